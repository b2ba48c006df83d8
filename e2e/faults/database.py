"""What can happen to the database: it stays one server, with another size."""

from collections.abc import Iterator

from e2e.faults.fault import Catalog
from e2e.faults.stage import LEDGER, Stage
from e2e.kube import eventually
from e2e.world import BUDGET

DATABASE = Catalog("database")

_FEW_CONNECTIONS = 25
_FEW = _FEW_CONNECTIONS - 3 - 10
"""B with so few: less superuser_reserved_connections, less budget.reservedConnections."""
_CPUS = 8


@DATABASE.fault("restarted", seconds=2, daily=True, mixed=True)
def restarted(stage: Stage) -> Iterator[None]:
    """It ends at once, as in a crash, and comes back."""
    with stage.database.held_down():
        yield


@DATABASE.fault("fewer-connections")
def fewer_connections(stage: Stage) -> Iterator[None]:
    """max_connections falls below what the CPUs would give; then it is as before."""
    _set_max_connections(stage, str(_FEW_CONNECTIONS))
    stage.wait_whole(_FEW)
    yield
    _set_max_connections(stage, None)


def _set_max_connections(stage: Stage, value: str | None) -> None:
    change = f"SET max_connections = {value}" if value else "RESET max_connections"
    stage.database.query(f"ALTER SYSTEM {change}")
    with stage.database.held_down():
        pass
    eventually("the database takes connections", stage.database_answers)


@DATABASE.fault("half-the-cpu")
def half_the_cpu(stage: Stage) -> Iterator[None]:
    """The limit is halved in place, and doubled again."""
    _limit(stage, _CPUS // 2)
    stage.wait_whole(BUDGET // 2)
    yield
    _limit(stage, _CPUS)


@DATABASE.fault("twice-the-cpu", most=2 * BUDGET)
def twice_the_cpu(stage: Stage) -> Iterator[None]:
    """The limit is doubled in place, and halved again."""
    _limit(stage, _CPUS * 2)
    stage.wait_whole(BUDGET * 2)
    yield
    _limit(stage, _CPUS)


def _limit(stage: Stage, cpus: int) -> None:
    resources = {"containers": [{"name": "postgres", "resources": {"limits": {"cpu": str(cpus)}}}]}
    stage.kubectl.patch("pod", LEDGER, {"spec": resources}, subresource="resize", strategy="strategic")
