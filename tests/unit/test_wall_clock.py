"""A clock that is wrong, or is set, moves no connection: what decides knows the monotonic clock only."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGES = (REPOSITORY / "operator/pgpool_operator", REPOSITORY / "pooler/pgpool_pooler")

CALLS = {"time.time", "datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.localtime"}

FOR_PEOPLE = {
    "cluster/events.py": "the time of an event",
    "reconcile/budget.py": "since when a pod is in its state",
    "reconcile/pool.py": "since when a condition is as it is",
    "reconcile/writer.py": "any fresh value",
}
"""Who may ask what time it is, and for what; nothing of it is compared with anything."""


def asks(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            name = ".".join(ast.unparse(node).split(".")[-2:])
            if name in CALLS:
                yield name


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_only_what_people_read_has_the_time_of_day(package: Path) -> None:
    asking = {str(path.relative_to(package)) for path in package.rglob("*.py") if any(asks(path))}
    assert asking == (set(FOR_PEOPLE) if package.name == "pgpool_operator" else set())
