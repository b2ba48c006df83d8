"""What can happen to the operator."""

import itertools
import time
from collections.abc import Iterator
from typing import Literal

from e2e.faults.fault import Catalog
from e2e.faults.proxy import Kill, Policy
from e2e.faults.stage import PODS, Stage

OPERATOR = Catalog("operator")

_ALONE_SECONDS = 600.0
_PAUSE_SECONDS = 30.0

Moment = Literal["before", "after"]


@OPERATOR.fault("killed", mixed=True)
def killed(stage: Stage) -> Iterator[None]:
    """The leader dies while pods come and go."""
    stage.scale(PODS + 1)
    leader = stage.operators.wait_leading()
    stage.operators.kill(leader)
    yield
    stage.scale(PODS)


@OPERATOR.fault("killed-at-a-write", daily=True)
def killed_at_a_write(stage: Stage) -> Iterator[None]:
    """The leader dies at one of its first writes while a pod is added, and again while one goes."""
    for replicas in (PODS + 1, PODS):
        moment: Moment = "before" if stage.random.random() < 0.5 else "after"
        _kill_at(stage, replicas, stage.random.randint(1, 8), moment)
    yield


@OPERATOR.fault("killed-at-each-write")
def killed_at_each_write(stage: Stage) -> Iterator[None]:
    """The leader dies before and after each write that it takes to add a pod, and to remove one."""
    moments: tuple[Moment, ...] = ("before", "after")
    for moment in moments:
        for write in itertools.count(1):
            reached = [_kill_at(stage, replicas, write, moment) for replicas in (PODS + 1, PODS)]
            if not any(reached):
                break
    yield


def _kill_at(stage: Stage, replicas: int, write: int, moment: Moment) -> bool:
    """Whether so many writes were made that it came to it."""
    leader = stage.operators.wait_leading()
    kill = Kill(write=write, moment=moment, pid=stage.operators.pid(leader))
    stage.operators.set_policy(Policy(kill=kill), only=leader)
    stage.scale(replicas)
    stage.wait_for_pods(replicas)
    stage.wait_whole()
    died = stage.operators.counters(leader).killed
    stage.operators.clear()
    return died


@OPERATOR.fault("two-leaders", seconds=30.0)
def two_leaders(stage: Stage) -> Iterator[None]:
    """A second one leads by a Lease of its own, so that both write all the time while pods come and go."""
    with stage.operators.rival(stage.kubectl.namespace):
        stage.scale(PODS + 1)
        stage.kubectl("delete", "pod", stage.any_pod()["metadata"]["name"], "--wait=false")
        yield
        stage.scale(PODS)


@OPERATOR.fault("absent")
def absent(stage: Stage) -> Iterator[None]:
    """Ten minutes without one, while pods are deleted, restarted, and scaled by hand."""
    stage.operators.stop_all()
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
            break
    yield
    stage.operators.start_all()
