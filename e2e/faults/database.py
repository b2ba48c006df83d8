"""What can happen to the database: it stays one server, with another size."""

from collections.abc import Iterator
from datetime import datetime

from e2e.faults.fault import Catalog
from e2e.faults.stage import Stage
from e2e.kube import eventually
from e2e.world import BUDGET, PRIMARY

DATABASE = Catalog("database")

_FEW_CONNECTIONS = BUDGET - 2
_FEW = _FEW_CONNECTIONS - 3 - 10
"""B with so few: less superuser_reserved_connections, less budget.reservedConnections."""
_CPUS = 8
_RESIZED_SECONDS = 10.0
_LONG_SECONDS = 2.0
"""Of a transaction: so long a budget that was lowered cannot be in force."""


@DATABASE.fault("restarted", seconds=2, daily=True, mixed=True, interrupts=True)
def restarted(stage: Stage) -> Iterator[None]:
    """It ends at once, as in a crash, and comes back."""
    before = _started(stage)
    with stage.database.held_down():
        yield
    eventually(
        "the database was started again", lambda: stage.database_answers() and _started(stage) > before
    )


def _started(stage: Stage) -> datetime:
    ((at,),) = stage.database.query("SELECT pg_postmaster_start_time()")
    assert isinstance(at, datetime)
    return at


@DATABASE.fault(
    "fewer-connections", seconds=_RESIZED_SECONDS, transaction_seconds=_LONG_SECONDS, interrupts=True
)
def fewer_connections(stage: Stage) -> Iterator[None]:
    """max_connections falls below the budget that the CPUs give; then it is as before."""
    try:
        _set_max_connections(stage, str(_FEW_CONNECTIONS))
        stage.wait_whole(_FEW)
        with stage.bounded(_FEW):
            yield
    finally:
        _set_max_connections(stage, None)


def _set_max_connections(stage: Stage, value: str | None) -> None:
    change = f"SET max_connections = {value}" if value else "RESET max_connections"
    stage.database.query(f"ALTER SYSTEM {change}")
    with stage.database.held_down():
        pass
    eventually("the database takes connections", stage.database_answers)


@DATABASE.fault("half-the-cpu", seconds=_RESIZED_SECONDS, transaction_seconds=_LONG_SECONDS, interrupts=True)
def half_the_cpu(stage: Stage) -> Iterator[None]:
    """The limit is halved in place, and doubled again."""
    yield from _resized(stage, _CPUS // 2, BUDGET // 2)


@DATABASE.fault(
    "twice-the-cpu",
    seconds=_RESIZED_SECONDS,
    transaction_seconds=_LONG_SECONDS,
    interrupts=True,
    most=2 * BUDGET,
)
def twice_the_cpu(stage: Stage) -> Iterator[None]:
    """The limit is doubled in place, and halved again."""
    yield from _resized(stage, _CPUS * 2, BUDGET * 2)


def _resized(stage: Stage, cpus: int, budget: int) -> Iterator[None]:
    try:
        _limit(stage, cpus)
        stage.wait_whole(budget)
        with stage.bounded(budget):
            yield
    finally:
        _limit(stage, _CPUS)


def _limit(stage: Stage, cpus: int) -> None:
    resources = {"containers": [{"name": "postgres", "resources": {"limits": {"cpu": str(cpus)}}}]}
    stage.kubectl.patch("pod", PRIMARY, {"spec": resources}, subresource="resize", strategy="strategic")
