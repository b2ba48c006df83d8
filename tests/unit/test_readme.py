"""README.md cannot drift from what the project does."""

import ast
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from e2e.bench import BEGIN, END
from e2e.demo import FENCE
from pgpool_operator.api import crd, parse_pgpool
from tests import readme

NAMED_TARGET = re.compile(r"`(make [^`]+)`")

ANY_VALUE = "x-kubernetes-preserve-unknown-fields"


def makefile_targets() -> set[str]:
    makefile = (readme.REPOSITORY / "Makefile").read_text()
    return {f"make {name}" for name in re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE)}


def run_by_the_demo() -> set[str]:
    """The commands that e2e/demo.py passes to its shell."""
    calls = (
        node
        for node in ast.walk(ast.parse((readme.REPOSITORY / "e2e/demo.py").read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "shell"
    )
    first = (call.args[0] for call in calls)
    return {arg.value for arg in first if isinstance(arg, ast.Constant) and isinstance(arg.value, str)}


def unknown_fields(schema: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    """Fields that the CRD does not have: the API server would refuse them, the models ignore them."""
    if isinstance(value, dict) and not schema.get(ANY_VALUE) and "additionalProperties" not in schema:
        for name, inner in value.items():
            if name in schema.get("properties", {}):
                yield from unknown_fields(schema["properties"][name], inner, f"{path}.{name}")
            else:
                yield f"{path}.{name}"
    if isinstance(value, list):
        for number, element in enumerate(value):
            yield from unknown_fields(schema["items"], element, f"{path}[{number}]")


def names(pool: dict[str, Any]) -> str:
    return str(pool["metadata"]["name"])


@pytest.mark.parametrize("pool", readme.pools(), ids=names)
def test_each_pool_is_read_by_the_models(pool: dict[str, Any]) -> None:
    assert parse_pgpool({**pool, "metadata": {**pool["metadata"], "namespace": "any"}})


@pytest.mark.parametrize("pool", readme.pools(), ids=names)
def test_each_pool_has_only_fields_of_the_schema(pool: dict[str, Any]) -> None:
    schema = crd.pgpool_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert list(unknown_fields(schema["properties"]["spec"], pool["spec"], "spec")) == []


def test_the_first_pool_is_the_sample_that_the_demo_applies() -> None:
    sample = (readme.REPOSITORY / "manifests/samples/pgpool/pgpool.yaml").read_text()
    assert readme.pools()[0] == yaml.safe_load(sample)


@pytest.mark.parametrize("command", readme.lines("sh"))
def test_each_command_is_a_target_or_is_run_by_the_demo(command: str) -> None:
    assert command in makefile_targets() | run_by_the_demo()


def test_the_fence_is_the_one_that_the_demo_builds() -> None:
    assert tuple(line for line in readme.lines("sql") if line.startswith("ALTER ROLE")) == FENCE


def test_targets_named_in_the_text_exist() -> None:
    named = NAMED_TARGET.findall((readme.REPOSITORY / "README.md").read_text())
    assert set(named) <= makefile_targets()


def test_there_is_one_place_for_the_figures() -> None:
    text = (readme.REPOSITORY / "README.md").read_text()
    assert text.count(BEGIN) == text.count(END) == 1
    assert text.index(BEGIN) < text.index(END)
