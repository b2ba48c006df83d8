"""What can happen to the ledger itself, the PgBudget: by a person, or by a backup that is restored.

Those that can be mixed do not wait until the operator takes note: it may not before another fault ends. That the
ledger is there and right again is asked for afterwards.
"""

import time
from collections.abc import Iterator

from e2e.faults.fault import Catalog
from e2e.faults.pods import name_of
from e2e.faults.processes import first_process, go_on, stop
from e2e.faults.stage import LEDGER, PODS, Stage
from e2e.kube import Object, condition, eventually

LEDGERS = Catalog("ledger")

_SILENT_SECONDS = 5.0
"""A kubelet ends an agent that does not answer for longer."""


@LEDGERS.fault("deleted", mixed=True)
def deleted(stage: Stage) -> Iterator[None]:
    """Gone altogether."""
    _delete(stage)
    yield


@LEDGERS.fault("deleted-while-pods-move")
def deleted_while_pods_move(stage: Stage) -> Iterator[None]:
    """Gone in the middle of a rollout, when grants are on their way."""
    stage.kubectl("rollout", "restart", f"deployment/{stage.pool.name}-rw")
    _delete(stage)
    yield


@LEDGERS.fault("deleted-while-a-pod-is-silent", seconds=_SILENT_SECONDS, daily=True)
def deleted_while_a_pod_is_silent(stage: Stage) -> Iterator[None]:
    """Gone, and so is every operator that has heard of the pods, while one of these cannot be asked and one more
    wants connections: nothing grows, and the new ledger says whom it waits for."""
    pod = stage.any_pod()
    agent = first_process(pod)
    try:
        stop(pod, agent)
        stage.operators.stop_all()
        _delete(stage)
        stage.scale(PODS + 1)
        stage.operators.start_all()
        eventually("the new ledger waits for the pod", lambda: _waits_for(stage, name_of(pod)))
        yield
        assert _waits_for(stage, name_of(pod)), "it does not wait any more"
    finally:
        go_on(pod, agent)
        stage.operators.start_all()
        stage.scale(PODS)


def _waits_for(stage: Stage, pod: str) -> bool:
    ledger = stage.ledger()
    assert ledger.get("status", {}).get("recovering"), "it does not recover"
    return pod in str(condition(ledger, "Ready")["message"])


def _delete(stage: Stage) -> None:
    """Returns when this very object is gone, even if there is a new one."""
    stage.kubectl("delete", "pgbudget", LEDGER, "--wait")


@LEDGERS.fault("emptied", mixed=True)
def emptied(stage: Stage) -> Iterator[None]:
    """The object is there, as from a backup that leaves status out."""
    _write(stage, {"grants": [], "connections": 0, "reserved": 0, "observedGeneration": -1})
    yield


@LEDGERS.fault("rolled-back")
def rolled_back(stage: Stage) -> Iterator[None]:
    """An older version comes back: its generations are below those that the pods have acknowledged."""
    old = stage.ledger()["status"]
    try:
        for replicas in (PODS + 1, PODS):
            stage.scale(replicas)
            stage.wait_moved(replicas)
        later = _later(stage, old)
        assert later, f"no grant has changed since {old['grants']}"
        # Until here nothing was broken.
        stage.waits.clear()
        written = time.monotonic()
        _write(stage, old)
        eventually("the operator has left the old version behind", lambda: _later(stage, old) >= later)
        stage.wait_whole(began=written)
        yield
    finally:
        stage.scale(PODS)


def _later(stage: Stage, old: Object) -> set[str]:
    """The pods, by uid, whose grants are of a later generation than in an old version, or not in it."""
    before = {grant["uid"]: grant["generation"] for grant in old["grants"]}
    grants = stage.ledger()["status"]["grants"]
    return {grant["uid"] for grant in grants if grant["generation"] > before.get(grant["uid"], 0)}


@LEDGERS.fault("edited", mixed=True)
def edited(stage: Stage) -> Iterator[None]:
    """One pod is taken out of it, another is said to hold one connection."""
    grants = stage.ledger()["status"]["grants"]
    assert len(grants) > 1, f"too few to edit: {grants}"
    _, second, *others = grants
    second = {**second, "cap": 1, "reserved": 1, "generation": max(1, second["generation"] - 1)}
    _write(stage, {"grants": [second, *others], "reserved": 1 + sum(grant["reserved"] for grant in others)})
    yield


def _write(stage: Stage, status: Object) -> None:
    stage.kubectl.patch("pgbudget", LEDGER, {"status": status}, subresource="status")
