from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from pgpool_operator.__main__ import main
from pgpool_operator.api import crd

CHECKED_IN = Path(__file__).parents[3] / "crds"
MANIFESTS = {"PgPool": crd.pgpool_crd(), "PgBudget": crd.pgbudget_crd()}


def version(manifest: dict[str, Any]) -> dict[str, Any]:
    (only,) = manifest["spec"]["versions"]
    return dict(only)


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from nodes(schema[key], f"{path}[]")


def all_nodes() -> list[tuple[str, dict[str, Any]]]:
    return [
        (kind + path, node)
        for kind, manifest in MANIFESTS.items()
        for path, node in nodes(version(manifest)["schema"]["openAPIV3Schema"])
    ]


def at(kind: str, *path: str) -> dict[str, Any]:
    node = version(MANIFESTS[kind])["schema"]["openAPIV3Schema"]
    for name in path:
        node = node["items"] if name == "[]" else node["properties"][name]
    return dict(node)


@pytest.mark.parametrize("name", sorted(crd.render()))
def test_the_files_under_crds_are_up_to_date(name: str) -> None:
    assert (CHECKED_IN / name).read_text(encoding="utf-8") == crd.render()[name], (
        "run: pgpool-operator crds --output crds"
    )


def test_there_is_no_stray_file_under_crds() -> None:
    assert {path.name for path in CHECKED_IN.iterdir()} == set(crd.render())


@pytest.mark.parametrize("name", sorted(crd.render()))
def test_a_file_is_small_enough_for_client_side_apply(name: str) -> None:
    assert len(crd.render()[name].encode()) < 256 * 1024


def test_every_field_is_described() -> None:
    bare = [
        path
        for path, node in all_nodes()
        if not path.endswith("[]") and ".metadata" not in path and not node.get("description")
    ]
    assert bare == []


def test_the_schema_is_structural() -> None:
    for path, node in all_nodes():
        assert "type" in node or "x-kubernetes-int-or-string" in node, path
        assert not {"$ref", "anyOf", "allOf", "title", "const", "$defs"} & set(node), path
        assert node.get("default", "set") is not None, path


def test_the_keys_of_a_keyed_list_are_required_or_have_a_default() -> None:
    for path, node in all_nodes():
        for key in node.get("x-kubernetes-list-map-keys", ()):
            entry = node["items"]
            assert key in entry["required"] or "default" in entry["properties"][key], f"{path} {key}"


def test_a_default_of_an_object_spells_out_the_defaults_inside_it() -> None:
    assert at("PgPool", "spec", "budget")["default"] == {
        "connectionsPerCpu": 3,
        "reservedConnections": 10,
        "overcommit": False,
    }
    assert at("PgPool", "spec", "timeouts")["default"]["switchoverSeconds"] == 30


def test_an_endpoint_has_no_default_for_it_exists_only_when_its_block_does() -> None:
    assert "default" not in at("PgPool", "spec", "write")
    assert "default" not in at("PgPool", "spec", "read")
    assert "default" not in at("PgPool", "spec", "read", "replicas")


@pytest.mark.parametrize("endpoint", ["write", "read"])
def test_autoscaling_stores_no_behavior_that_the_user_did_not_write(endpoint: str) -> None:
    autoscaling = at("PgPool", "spec", endpoint, "autoscaling")
    assert "default" not in autoscaling
    assert "default" not in autoscaling["properties"]["behavior"]
    assert "default" not in autoscaling["properties"]["behavior"]["properties"]["scaleDown"]


def test_only_what_this_release_can_do_is_in_the_schema() -> None:
    assert at("PgPool", "spec", "engine")["enum"] == ["pgbouncer"]
    assert at("PgPool", "spec", "database", "cluster", "provider")["enum"] == ["patroni"]
    assert set(at("PgPool", "spec", "database")["properties"]) == {"cluster", "servers"}
    assert set(at("PgPool", "spec", "auth")["properties"]) == {"userSecrets", "monitor"}
    assert set(at("PgPool", "spec", "write")["properties"]) == {"replicas", "autoscaling", "service"}


def test_the_scale_subresource_is_the_write_endpoint() -> None:
    assert version(MANIFESTS["PgPool"])["subresources"] == {
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.write.replicas",
            "statusReplicasPath": ".status.write.replicas",
            "labelSelectorPath": ".status.write.selector",
        },
    }
    assert at("PgPool", "spec", "write", "replicas")["default"] == 2


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        ("PgPool", "Ready Reason Write Read Budget Endpoint Age (Mode) (Message)"),
        ("PgBudget", "Role CPU Source Budget Reserved Unknown Ready Reason Age (Address) (Message)"),
    ],
)
def test_kubectl_get_shows_the_columns_of_the_design(kind: str, columns: str) -> None:
    shown = [
        f"({column['name']})" if column.get("priority") else column["name"]
        for column in version(MANIFESTS[kind])["additionalPrinterColumns"]
    ]
    assert " ".join(shown) == columns


@pytest.mark.parametrize("kind", ["PgPool", "PgBudget"])
def test_a_status_that_nobody_wrote_yet_says_so(kind: str) -> None:
    assert at(kind, "status")["default"] == {"observedGeneration": -1}


def test_the_command_writes_the_files(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["crds", "--output", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert {path.name: path.read_text() for path in (tmp_path / "out").iterdir()} == crd.render()


def test_the_command_prints_both_crds_for_kubectl_apply() -> None:
    result = CliRunner().invoke(main, ["crds"])
    assert list(yaml.safe_load_all(result.output)) == [crd.pgpool_crd(), crd.pgbudget_crd()]
