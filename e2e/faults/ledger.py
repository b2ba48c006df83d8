"""What can happen to the ledger itself, the PgBudget: by a person, or by a backup that is restored."""

from collections.abc import Iterator

from e2e.faults.fault import Catalog
from e2e.faults.stage import LEDGER, PODS, Stage
from e2e.kube import Object

LEDGERS = Catalog("ledger")


@LEDGERS.fault("deleted", daily=True, mixed=True)
def deleted(stage: Stage) -> Iterator[None]:
    """Gone altogether."""
    stage.kubectl("delete", "pgbudget", LEDGER, "--wait=false")
    yield


@LEDGERS.fault("deleted-while-pods-move")
def deleted_while_pods_move(stage: Stage) -> Iterator[None]:
    """Gone in the middle of a rollout, when grants are on their way."""
    stage.kubectl("rollout", "restart", f"deployment/{stage.pool.name}-rw")
    stage.kubectl("delete", "pgbudget", LEDGER, "--wait=false")
    yield


@LEDGERS.fault("emptied", mixed=True)
def emptied(stage: Stage) -> Iterator[None]:
    """The object is there, as from a backup that leaves status out."""
    _write(stage, {"grants": [], "connections": 0, "reserved": 0, "observedGeneration": -1})
    yield


@LEDGERS.fault("rolled-back")
def rolled_back(stage: Stage) -> Iterator[None]:
    """An older version comes back: its generations are below those that the pods have acknowledged."""
    old = stage.ledger()["status"]
    for replicas in (PODS + 1, PODS):
        stage.scale(replicas)
        stage.wait_for_pods(replicas)
        stage.wait_whole()
    _write(stage, old)
    yield


@LEDGERS.fault("edited", mixed=True)
def edited(stage: Stage) -> Iterator[None]:
    """One pod is taken out of it, another is said to hold one connection."""
    _, second, *others = stage.ledger()["status"]["grants"]
    second = {**second, "cap": 1, "reserved": 1, "generation": max(1, second["generation"] - 1)}
    _write(stage, {"grants": [second, *others], "reserved": 1 + sum(grant["reserved"] for grant in others)})
    yield


def _write(stage: Stage, status: Object) -> None:
    stage.kubectl.patch("pgbudget", LEDGER, {"status": status}, subresource="status")
