"""A clock that is wrong, or is set, moves no connection: what decides knows the monotonic clock only."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGES = (REPOSITORY / "operator/pgpool_operator", REPOSITORY / "pooler/pgpool_pooler")

OF_A_DATE = {"now", "utcnow", "today", "fromtimestamp", "utcfromtimestamp"}
OF_TIME = {"time", "time_ns", "localtime", "gmtime", "ctime", "asctime", "strftime", "CLOCK_REALTIME"}
CALLS = {
    *(f"{kind}.{name}" for kind in ("datetime", "date") for name in OF_A_DATE),
    *(f"time.{name}" for name in OF_TIME),
}

FOR_PEOPLE = {
    "cluster/events.py": "the time of an event",
    "reconcile/budget.py": "since when a pod is in its state",
    "reconcile/pool.py": "since when a condition is as it is",
    "reconcile/writer.py": "any fresh value",
}
"""Who may ask what time it is, once, and for what; nothing of it is compared with anything."""


def asks(source: str) -> Iterator[str]:
    """The names under which a module reads the clock on the wall, as often as it does."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            name = ".".join(ast.unparse(node).split(".")[-2:])
            if name in CALLS:
                yield name
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            yield from (f"time.{found.name}" for found in node.names if found.name in OF_TIME)


@pytest.mark.parametrize(
    "source",
    [
        "time.time()",
        "clock: Callable[[], float] = time.time",
        "time.time_ns()",
        "time.gmtime()",
        "time.clock_gettime(time.CLOCK_REALTIME)",
        "from time import time",
        "datetime.now(UTC)",
        "datetime.datetime.now(datetime.UTC)",
        "datetime.fromtimestamp(path.stat().st_mtime, UTC)",
        "date.today()",
    ],
)
def test_it_is_seen_to_be_asked(source: str) -> None:
    assert list(asks(source))


@pytest.mark.parametrize("source", ["time.monotonic()", "loop.time()", "from time import monotonic"])
def test_another_clock_is_not_taken_for_it(source: str) -> None:
    assert not list(asks(source))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_only_what_people_read_has_the_time_of_day(package: Path) -> None:
    found = {str(path.relative_to(package)): [*asks(path.read_text())] for path in package.rglob("*.py")}
    expected = {path: ["datetime.now"] for path in FOR_PEOPLE} if package.name == "pgpool_operator" else {}
    assert {path: names for path, names in found.items() if names} == expected
