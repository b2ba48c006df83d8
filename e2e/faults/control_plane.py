"""What can happen between the operator and the API server, and to the API server."""

from collections.abc import Iterator

from e2e.cluster import CONTROL_PLANE
from e2e.faults.fault import Catalog
from e2e.faults.processes import on_node
from e2e.faults.proxy import Policy
from e2e.faults.stage import PODS, Stage
from e2e.kube import eventually

API = Catalog("api")

_MANIFEST = "/etc/kubernetes/manifests/kube-apiserver.yaml"
_ASIDE = "/etc/kubernetes/kube-apiserver.yaml"
_SECONDS = 60.0
_THIRD = 1 / 3


@API.fault("down", seconds=120.0)
def down(stage: Stage) -> Iterator[None]:
    """There is no API server at all, for nobody."""
    on_node(CONTROL_PLANE, "mv", _MANIFEST, _ASIDE)
    eventually("the API server is down", lambda: not _answers(stage))
    yield
    on_node(CONTROL_PLANE, "mv", _ASIDE, _MANIFEST)
    eventually("the API server is back", lambda: _answers(stage))


def _answers(stage: Stage) -> bool:
    return stage.kubectl("get", "--raw", "/readyz", "--request-timeout=3s", may_fail=True) == "ok"


@API.fault("slow", seconds=_SECONDS, mixed=True)
def slow(stage: Stage) -> Iterator[None]:
    """Each request takes 200 to 500 ms longer."""
    yield from _disturbed(stage, Policy(delay=(0.2, 0.5)))


@API.fault("failing", seconds=_SECONDS, daily=True, mixed=True)
def failing(stage: Stage) -> Iterator[None]:
    """A third of the requests get 429, 500 or 503."""
    yield from _disturbed(stage, Policy(failing=_THIRD))


@API.fault("conflicting", seconds=_SECONDS, mixed=True)
def conflicting(stage: Stage) -> Iterator[None]:
    """A third of the writes get 409."""
    yield from _disturbed(stage, Policy(conflicting=_THIRD))


@API.fault("deaf", seconds=_SECONDS, mixed=True)
def deaf(stage: Stage) -> Iterator[None]:
    """A third of the watch events never arrive, the others come 1 to 3 s late."""
    yield from _disturbed(stage, Policy(events_dropped=_THIRD, events_delayed=(1.0, 3.0)))


def _disturbed(stage: Stage, policy: Policy) -> Iterator[None]:
    """With pods that come and go meanwhile, as nothing is read or written otherwise."""
    stage.operators.set_policy(policy.model_copy(update={"seed": stage.random.randrange(1 << 30)}))
    stage.scale(PODS + 1)
    stage.kubectl("delete", "pod", stage.any_pod()["metadata"]["name"], "--wait=false")
    yield
    stage.scale(PODS)
    stage.operators.clear()
