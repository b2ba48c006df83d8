"""What can happen between the operator and the API server, and to the API server."""

import time
from collections.abc import Callable, Iterator

from e2e.cluster import CONTROL_PLANE
from e2e.faults.fault import Catalog
from e2e.faults.processes import on_node
from e2e.faults.proxy import Counters, Policy
from e2e.faults.stage import PODS, Stage
from e2e.kube import eventually

API = Catalog("api")

_MANIFEST = "/etc/kubernetes/manifests/kube-apiserver.yaml"
_ASIDE = "/etc/kubernetes/kube-apiserver.yaml"
_SECONDS = 45.0
_DOWN_SECONDS = 15.0
"""How long it goes on while the number of pods falls again."""
_THIRD = 1 / 3


@API.fault("down", seconds=120.0)
def down(stage: Stage) -> Iterator[None]:
    """There is no API server at all, for nobody."""
    try:
        on_node(CONTROL_PLANE, "mv", _MANIFEST, _ASIDE)
        eventually("the API server is down", lambda: not _answers(stage))
        yield
        assert not _answers(stage), "the API server came back by itself"
    finally:
        on_node(CONTROL_PLANE, "sh", "-c", f"test -e {_MANIFEST} || mv {_ASIDE} {_MANIFEST}")
        eventually("the API server is back", lambda: _answers(stage))


def _answers(stage: Stage) -> bool:
    return stage.kubectl("get", "--raw", "/readyz", "--request-timeout=3s", may_fail=True) == "ok"


@API.fault("slow", seconds=_SECONDS, mixed=True)
def slow(stage: Stage) -> Iterator[None]:
    """Each request takes 200 to 500 ms longer."""
    yield from _disturbed(stage, Policy(delay=(0.2, 0.5)), lambda seen: seen.delayed)


@API.fault("failing", seconds=_SECONDS, daily=True, mixed=True)
def failing(stage: Stage) -> Iterator[None]:
    """A third of the requests get 429, 500 or 503."""
    yield from _disturbed(stage, Policy(failing=_THIRD), lambda seen: seen.failed)


@API.fault("conflicting", seconds=_SECONDS, mixed=True)
def conflicting(stage: Stage) -> Iterator[None]:
    """A third of the writes get 409, among them one of a ledger or a grant."""
    policy = Policy(conflicting=_THIRD)
    yield from _disturbed(stage, policy, lambda seen: seen.budgets_and_pods_conflicted)


@API.fault("deaf", seconds=_SECONDS, mixed=True)
def deaf(stage: Stage) -> Iterator[None]:
    """A third of the watch events never arrive, the others come 1 to 3 s late."""
    policy = Policy(events_dropped=_THIRD, events_delayed=(1.0, 3.0))
    yield from _disturbed(stage, policy, lambda seen: seen.dropped)


def _disturbed(stage: Stage, policy: Policy, happened: Callable[[Counters], int]) -> Iterator[None]:
    """With pods that come and go meanwhile, as nothing is read or written otherwise.

    Nothing here waits for what the operator does: a lost event can keep it from it until this ends.
    """
    operators = stage.operators
    operators.set_policy(policy.model_copy(update={"seed": stage.random.randrange(1 << 30)}))
    try:
        _move_pods(stage, PODS + 1)
        yield
        _move_pods(stage, PODS)
        time.sleep(_DOWN_SECONDS)
        # Who waits to lead reads too, but writes only Leases.
        leading = [seen for seen in operators.all_counters() if seen.writes]
        assert any(happened(seen) for seen in leading), f"nothing came of {policy}"
    finally:
        operators.clear()
        stage.scale(PODS)


def _move_pods(stage: Stage, replicas: int) -> None:
    stage.scale(replicas)
    stage.kubectl("delete", "pod", stage.any_pod()["metadata"]["name"], "--wait=false")
