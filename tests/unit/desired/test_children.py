import pathlib
from typing import Any

import pytest
import yaml

from pgpool_operator.api import PgPool, parse_pgpool
from pgpool_operator.desired import EndpointPlan, Manifest, children, config_hash, stale
from pgpool_pooler.agent.drain import UNREADY_SECONDS
from pgpool_pooler.contract import (
    CONFIG_KEY,
    GRANT_ANNOTATION,
    PEERS_KEY,
    Endpoint,
    Monitor,
    Peers,
    PoolConfig,
    ServerTlsMode,
    content_hash,
)

GOLDEN = pathlib.Path(__file__).parents[2] / "golden" / "desired"
IMAGE = "pgpool-pooler:dev"
TWO = EndpointPlan(replicas=2, max_surge=1, max_unavailable=0)
PLANS: dict[str, tuple[EndpointPlan | None, EndpointPlan | None, dict[int, str]]] = {
    "minimal": (TWO, None, {}),
    "complete": (
        EndpointPlan(replicas=4, max_surge=1, max_unavailable=0),
        EndpointPlan(replicas=1, max_surge=0, max_unavailable=1),
        {12: "10.0.1.12", 3: "10.0.1.3"},
    ),
}
MONITORED = {"userSecrets": [{"name": "main-app"}], "monitor": {"secretRef": {"name": "watcher"}}}


def spec(case: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((GOLDEN / case / "pgpool.yaml").read_text())
    return loaded


def pool(case: str = "minimal", **changes: Any) -> PgPool:
    loaded = spec(case)
    loaded["spec"] |= changes
    return parse_pgpool(loaded)


def made(case: str) -> tuple[Manifest, ...]:
    write, read, peers = PLANS[case]
    return children(pool(case), IMAGE, write, read, peers)


def file_name(manifest: Manifest) -> str:
    suffix = {"write": "-rw", "read": "-ro"}.get(
        manifest["metadata"]["labels"].get("pgpool.dev/endpoint"), ""
    )
    return f"{manifest['kind'].lower()}{suffix}.yaml"


def deployment(of: PgPool, image: str = IMAGE, plan: EndpointPlan = TWO) -> Manifest:
    return next(child for child in children(of, image, plan, None, {}) if child["kind"] == "Deployment")


def template(of: PgPool) -> Any:
    return deployment(of)["spec"]["template"]


def configuration(of: PgPool) -> PoolConfig:
    [data] = [child["data"] for child in children(of, IMAGE, TWO, None, {}) if child["kind"] == "ConfigMap"]
    return PoolConfig.model_validate_json(data[CONFIG_KEY])


@pytest.mark.parametrize("case", PLANS)
def test_every_child_is_written_down(case: str) -> None:
    files = {path.name for path in (GOLDEN / case).iterdir()} - {"pgpool.yaml"}
    assert {file_name(child) for child in made(case)} == files


@pytest.mark.parametrize(
    ("case", "file"),
    [(case, file_name(child)) for case in PLANS for child in made(case)],
)
def test_each_child_is_exactly_what_its_golden_file_says(case: str, file: str) -> None:
    child = next(child for child in made(case) if file_name(child) == file)
    assert child == yaml.safe_load((GOLDEN / case / file).read_text())


def test_children_come_in_the_order_in_which_they_need_each_other() -> None:
    kinds = [child["kind"] for child in made("minimal")]
    assert kinds == ["ServiceAccount", "ConfigMap", "Service", "PodDisruptionBudget", "Deployment"]


def test_an_endpoint_without_a_plan_keeps_its_service_and_leaves_its_deployment_alone() -> None:
    kinds = [child["kind"] for child in children(pool(), IMAGE, None, None, {})]
    assert "Service" in kinds
    assert "Deployment" not in kinds


@pytest.mark.parametrize(
    "change",
    [
        {"pgbouncer": {"parameters": {"max_client_conn": 9}}},
        {"timeouts": {"queueSeconds": 61}},
        {"databases": [{"name": "app"}, {"name": "more"}]},
        {"users": [{"name": "one", "maxPercent": 10}]},
        {"budget": {"connectionsPerCpu": 1}},
        {"poolMode": "session"},
        {"paused": True},
        {"write": {"replicas": 7, "service": {"type": "NodePort", "port": 6432}}},
        {"write": {"autoscaling": {"maxReplicas": 7}}},
        {"read": {}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_change_that_running_pods_can_take_over_leaves_the_pod_template_alone(
    change: dict[str, Any],
) -> None:
    assert template(pool(**change)) == template(pool())


@pytest.mark.parametrize(
    "change",
    [
        {"timeouts": {"drainSeconds": 61}},
        {"auth": {"userSecrets": [{"name": "main-app"}, {"name": "other"}]}},
        {"auth": MONITORED},
        {"tls": {"client": {"secretName": "tls"}}},
        {"pods": {"image": "mine:1"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_change_of_the_image_the_mounts_or_the_drain_time_makes_new_pods(change: dict[str, Any]) -> None:
    assert template(pool(**change)) != template(pool())


def test_the_kubelet_ends_no_pod_that_still_drains() -> None:
    """It leaves its Service before it drains."""
    granted = template(pool(timeouts={"drainSeconds": 40}))["spec"]["terminationGracePeriodSeconds"]
    assert granted > UNREADY_SECONDS + 40


def test_peers_are_in_the_configmap_and_nowhere_else() -> None:
    before, after = (children(pool(), IMAGE, TWO, None, peers) for peers in ({}, {7: "10.0.0.7"}))
    changed = [new["kind"] for old, new in zip(before, after, strict=True) if old != new]
    assert changed == ["ConfigMap"]


def test_the_configmap_is_what_the_agents_read() -> None:
    data = next(child for child in made("complete") if child["kind"] == "ConfigMap")["data"]
    config = PoolConfig.model_validate_json(data[CONFIG_KEY])
    assert [database.dbname for database in config.databases] == ["shop", "reports_v2"]
    assert [user.endpoints for user in config.users] == [(Endpoint.READ,), (Endpoint.WRITE, Endpoint.READ)]
    assert Peers.model_validate_json(data[PEERS_KEY]).addresses == {3: "10.0.1.3", 12: "10.0.1.12"}


def test_the_monitors_secret_is_mounted_and_may_be_missing() -> None:
    pod = template(pool(auth=MONITORED))["spec"]
    [volume] = [volume for volume in pod["volumes"] if volume["name"] == "monitor"]
    assert volume["secret"] == {"secretName": "watcher", "optional": True, "defaultMode": 0o440}
    [mount] = [mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == "monitor"]
    assert mount == {"name": "monitor", "mountPath": "/etc/pgpool/monitor", "readOnly": True}


def test_a_pool_without_a_monitor_mounts_none() -> None:
    assert "monitor" not in {volume["name"] for volume in template(pool())["spec"]["volumes"]}
    assert configuration(pool()).monitor is None


@pytest.mark.parametrize(
    ("first", "dbname"), [({"name": "app"}, "app"), ({"name": "app", "dbname": "app_v2"}, "app_v2")]
)
def test_the_monitor_logs_in_to_the_first_database_by_its_name_on_the_server(
    first: dict[str, Any], dbname: str
) -> None:
    found = configuration(pool(auth=MONITORED, databases=[first, {"name": "more"}]))
    assert found.monitor == Monitor(secret="watcher", dbname=dbname)


def test_the_config_hash_is_the_hash_of_the_configmap_as_applied() -> None:
    data = next(child for child in made("complete") if child["kind"] == "ConfigMap")["data"]
    assert config_hash(pool("complete"), PLANS["complete"][2]) == content_hash(data)


@pytest.mark.parametrize(
    ("database", "server", "mode"),
    [
        ("minimal", None, ServerTlsMode.PREFER),
        ("minimal", {}, ServerTlsMode.PREFER),
        ("minimal", {"secretName": "ca"}, ServerTlsMode.VERIFY_CA),
        ("complete", {"secretName": "ca"}, ServerTlsMode.VERIFY_FULL),
        ("complete", {"secretName": "ca", "mode": "require"}, ServerTlsMode.REQUIRE),
        ("complete", {"mode": "disable"}, ServerTlsMode.DISABLE),
    ],
)
def test_the_database_is_checked_as_strictly_as_its_certificates_allow(
    database: str, server: dict[str, Any] | None, mode: ServerTlsMode
) -> None:
    tls = {} if server is None else {"server": server}
    data = children(pool(database, tls=tls), IMAGE, None, None, {})[1]["data"]
    assert PoolConfig.model_validate_json(data[CONFIG_KEY]).server_tls.mode is mode


def test_the_pods_meet_the_restricted_pod_security_standard() -> None:
    pod = template(pool("minimal"))["spec"]
    [container] = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {next(key for key in volume if key != "name") for volume in pod["volumes"]} <= {
        "configMap",
        "downwardAPI",
        "emptyDir",
        "secret",
    }


def test_a_user_cannot_give_pods_a_grant_or_the_labels_of_another_pool() -> None:
    metadata = template(pool("complete"))["metadata"]
    assert GRANT_ANNOTATION not in metadata["annotations"]
    assert metadata["labels"]["pgpool.dev/pool"] == "shop"
    assert metadata["labels"]["app.kubernetes.io/name"] == "pgpool"


def test_nothing_of_the_pools_own_labels_and_annotations_is_copied() -> None:
    [account, *_] = made("complete")
    assert "team" not in account["metadata"]["labels"]
    assert "note" not in account["metadata"]["annotations"]


def live(of: PgPool, uid: str | None = None) -> list[Manifest]:
    loaded = (
        of if uid is None else of.model_copy(update={"metadata": of.metadata.model_copy(update={"uid": uid})})
    )
    return list(children(loaded, IMAGE, TWO, TWO, {}))


def test_the_children_of_a_removed_endpoint_are_stale() -> None:
    existing = live(pool(read={}))
    names = {(child["kind"], child["metadata"]["name"]) for child in stale(pool(), existing)}
    assert names == {("Service", "app-ro"), ("PodDisruptionBudget", "app-ro"), ("Deployment", "app-ro")}


def test_nothing_is_stale_while_the_spec_asks_for_it() -> None:
    assert stale(pool(read={}), live(pool(read={}))) == ()


def test_what_another_pool_owns_is_never_stale() -> None:
    assert stale(pool(), live(pool(read={}), uid="another")) == ()
