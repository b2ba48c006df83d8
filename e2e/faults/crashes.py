"""What can happen to the operator."""

import itertools
import time
from collections.abc import Iterator
from typing import Literal

from e2e.faults.fault import Catalog
from e2e.faults.proxy import Kill, Policy
from e2e.faults.stage import LEDGER, PODS, Stage
from e2e.kube import eventually

OPERATOR = Catalog("operator")

_ALONE_SECONDS = 600.0
_PAUSE_SECONDS = 30.0
_KILLED_SECONDS = 30.0
"""A Lease that nobody renews is another's after 15 s: half of the time is left for the successor."""
_LEAST_WRITES = 16
"""It takes about 25 to add a pod and 15 to remove one: children, the ledger, grants, status, events."""
_HANDOVERS = 3

Moment = Literal["before", "after"]


@OPERATOR.fault("killed", seconds=_KILLED_SECONDS, mixed=True)
def killed(stage: Stage) -> Iterator[None]:
    """The leader dies in the middle of adding a pod and replacing another; its successor has to finish that.

    There is no wait for what the successor does: it may not come to it before another fault ends. What it left
    undone shows when all has to be whole again.
    """
    operators = stage.operators
    writes = _writes(stage)
    try:
        stage.scale(PODS + 1)
        stage.kubectl("delete", "pod", stage.any_pod()["metadata"]["name"], "--wait=false")
        eventually("the leader has begun", lambda: _writes(stage) > writes)
        leader = operators.wait_leading()
        starts = operators.starts(leader)
        operators.kill(leader)
        yield
        assert operators.starts(leader) > starts, f"operator {leader} was not started again"
        operators.wait_leading()
    finally:
        stage.scale(PODS)


def _writes(stage: Stage) -> int:
    return sum(seen.writes for seen in stage.operators.all_counters())


@OPERATOR.fault("killed-at-a-write", daily=True)
def killed_at_a_write(stage: Stage) -> Iterator[None]:
    """The leader dies before one of its first writes while a pod is added, and after one while one goes."""
    times: tuple[tuple[Moment, int, int], ...] = (("before", PODS + 1, PODS), ("after", PODS, PODS + 1))
    for moment, replicas, before in times:
        write = stage.random.randint(1, 8)
        while not _kill_at(stage, replicas, write, moment):
            assert write > 1, f"no operator writes to get to {replicas} pods"
            write //= 2
            _move(stage, before)
    yield


@OPERATOR.fault("killed-at-each-write")
def killed_at_each_write(stage: Stage) -> Iterator[None]:
    """The leader dies before and after each write that it takes to add a pod, and to remove one."""
    moments: tuple[Moment, ...] = ("before", "after")
    for moment in moments:
        died_at: list[str] = []
        for write in itertools.count(1):
            reached = [
                at for replicas in (PODS + 1, PODS) if (at := _kill_at(stage, replicas, write, moment))
            ]
            died_at += reached
            if not reached:
                break
        require_the_protocol(moment, died_at)
    yield


def require_the_protocol(moment: Moment, writes: list[str]) -> None:
    """Among what an operator died before, or after, are the ledger, a PUT of its status, and a grant, a PATCH of a
    pod.

    Writes come in another order each time, so of one scale-in's few ledgers all may be missed.
    """
    assert len(writes) >= _LEAST_WRITES, f"only {len(writes)} deaths {moment} a write: {writes}"
    assert any(f"/pgbudgets/{LEDGER}/" in write for write in writes), f"none {moment} a ledger: {writes}"
    grants = [write for write in writes if write.startswith("PATCH ") and "/pods/" in write]
    assert grants, f"none {moment} a grant: {writes}"


def _kill_at(stage: Stage, replicas: int, write: int, moment: Moment) -> str:
    """The write that the leader died at; empty if it takes fewer to get to so many pods."""
    operators = stage.operators
    leader = operators.wait_leading()
    kill = Kill(write=write, moment=moment, pid=operators.pid(leader))

    def died_or_done() -> str | None:
        if died_at := operators.counters(leader).killed_at:
            return died_at
        return "" if _is_done(stage, replicas) else None

    try:
        operators.set_policy(Policy(kill=kill), only=leader)
        stage.scale(replicas)
        if eventually("the leader dies, or is done with fewer writes", died_or_done):
            # A successor would only wait until the Lease has run out, some eighty times.
            operators.free_lease()
        stage.wait_moved(replicas)
        died_at = operators.counters(leader).killed_at
    finally:
        operators.clear()
    if died_at:
        # It may have come when all seemed whole already.
        stage.wait_whole()
    return died_at


def _is_done(stage: Stage, replicas: int) -> bool:
    stage.check_whole()
    return len(stage.pool.pods()) == replicas


def _move(stage: Stage, replicas: int) -> None:
    stage.scale(replicas)
    stage.wait_moved(replicas)


@OPERATOR.fault("two-leaders", seconds=30.0)
def two_leaders(stage: Stage) -> Iterator[None]:
    """A second one leads by a Lease of its own, so that both write all the time while pods come and go."""
    operators = stage.operators
    with operators.rival(stage.kubectl.namespace):
        operators.clear()
        try:
            stage.scale(PODS + 1)
            stage.kubectl("delete", "pod", stage.any_pod()["metadata"]["name"], "--wait=false")
            yield
        finally:
            stage.scale(PODS)
        stage.wait_for_pods(PODS)
        writes = [seen.writes for seen in operators.all_counters()]
        assert all(writes), f"not every operator has written: {writes}"


@OPERATOR.fault("lease-edited", seconds=5.0)
def lease_edited(stage: Stage) -> Iterator[None]:
    """Somebody writes the other one into the Lease, again and again, while pods come and go: each time both lead
    until the first one has not been able to renew it for 10 s."""
    try:
        for number in range(_HANDOVERS):
            _hand_over(stage, PODS + 1 - number % 2)
        yield
    finally:
        stage.scale(PODS)


def _hand_over(stage: Stage, replicas: int) -> None:
    """Returns when who led before has ended."""
    operators = stage.operators
    leader = operators.wait_leading()
    starts = operators.starts(leader)
    operators.give_lease(operators.next_to(leader))
    stage.scale(replicas)
    stage.kubectl("delete", "pod", stage.any_pod()["metadata"]["name"], "--wait=false")
    eventually("who leads no more has ended", lambda: operators.starts(leader) > starts)


@OPERATOR.fault("absent", interrupts=True)
def absent(stage: Stage) -> Iterator[None]:
    """Ten minutes without one, while pods are deleted, restarted, and scaled by hand: a new one is granted nothing,
    and in the end none of the old ones is left."""
    stage.operators.stop_all()
    try:
        _interfere(stage)
        yield
    finally:
        stage.operators.start_all()


def _interfere(stage: Stage) -> None:
    deployment = f"deployment/{stage.pool.name}-rw"
    until = time.monotonic() + _ALONE_SECONDS
    for number in itertools.count():
        match number % 4:
            case 0:
                stage.kubectl("delete", "pod", stage.any_pod()["metadata"]["name"], "--wait=false")
            case 1:
                stage.kubectl("scale", deployment, f"--replicas={stage.random.randint(1, 6)}")
            case 2:
                stage.kubectl("rollout", "restart", deployment)
            case 3:
                stage.kubectl("delete", "pod", stage.any_pod()["metadata"]["name"], "--force", "--wait=false")
        time.sleep(_PAUSE_SECONDS)
        if time.monotonic() > until:
            return
