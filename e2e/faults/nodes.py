"""What can happen to a node with pooler pods on it; the database and the load are on another one."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta

from e2e.cluster.shell import run
from e2e.faults.fault import Catalog
from e2e.faults.network import dropped
from e2e.faults.pods import name_of
from e2e.faults.processes import container_of, first_process, on_node, state_of
from e2e.faults.stage import Stage
from e2e.kube import Object, eventually

NODE = Catalog("node")

OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
_SILENT_SECONDS = 90.0
"""Longer than the API server waits before it calls a node NotReady (40 to 50 s)."""
_LAST_WORD = timedelta(seconds=3)
"""A kubelet renews its Lease every 10 s; what was on its way when it fell silent may still arrive."""
_RULES = tuple(
    f"{command} {rule}"
    for command in ("iptables", "ip6tables")
    for rule in ("-t raw {} PREROUTING -i eth0 -j DROP", "-t mangle {} POSTROUTING -o eth0 -j DROP")
)
"""Nothing in, nothing out. A kubelet that IPv4 leads nowhere tries IPv6 after 40 s (seen)."""


@NODE.fault("kubelet-stopped", seconds=_SILENT_SECONDS, mixed=True)
def kubelet_stopped(stage: Stage) -> Iterator[None]:
    """The node looks dead and its pods go on serving."""
    with _without_kubelet(stage, stage.occupied_victim()):
        yield


@NODE.fault("kubelet-stopped-and-pods-gone", seconds=_SILENT_SECONDS)
def kubelet_stopped_and_pods_gone(stage: Stage) -> Iterator[None]:
    """Its pods are forced away and go on serving, and there are others in their places: what the old ones have is
    nobody else's until the kubelet is back and has had the time to end them."""
    victim = stage.occupied_victim()
    agents = {name_of(pod): (pod, first_process(pod)) for pod in _pods_on(stage, victim)}
    with _without_kubelet(stage, victim):
        stage.kubectl("delete", "pod", *agents, "--grace-period=0", "--force", "--wait=false")
        eventually("what they have is held", lambda: _all_held(stage, agents))
        yield
        assert _all_held(stage, agents), "what they have is free"
        for name, (pod, agent) in agents.items():
            assert state_of(pod, agent), f"{name} has ended"


@contextmanager
def _without_kubelet(stage: Stage, victim: str) -> Iterator[None]:
    try:
        on_node(victim, "systemctl", "stop", "kubelet")
        with _silence(stage, victim):
            yield
    finally:
        on_node(victim, "systemctl", "start", "kubelet")
        stage.mend_victim()


def _all_held(stage: Stage, names: Iterable[str]) -> bool:
    """Whether all of these pods are named; AssertionError where nobody is."""
    held = stage.held()
    return all(name in held for name in names)


@NODE.fault("paused", seconds=_SILENT_SECONDS, mixed=True)
def paused(stage: Stage) -> Iterator[None]:
    """Everything on it stands still, as when a hypervisor suspends it, and goes on as if nothing had been."""
    victim = stage.occupied_victim()
    run("docker", "pause", victim)
    try:
        with _silence(stage, victim):
            yield
    finally:
        run("docker", "unpause", victim)
        stage.mend_victim()


@NODE.fault("cut-off", seconds=60.0, daily=True, mixed=True)
def cut_off(stage: Stage) -> Iterator[None]:
    """Its processes run, and nobody hears of them."""
    victim = stage.occupied_victim()
    try:
        with dropped(victim, _RULES), _silence(stage, victim):
            yield
    finally:
        stage.mend_victim()


@contextmanager
def _silence(stage: Stage, node: str) -> Iterator[None]:
    """Asserts that the API server hears nothing of the node meanwhile."""
    began = datetime.now(UTC)
    yield
    lease = stage.kubectl.within("kube-node-lease").get("lease", node)
    assert lease is not None, f"node {node} has no Lease"
    heard = datetime.fromisoformat(lease["spec"]["renewTime"])
    assert heard < began + _LAST_WORD, f"{node} was heard of at {heard}, and is broken since {began}"


@NODE.fault("stopped-and-tainted")
def stopped_and_tainted(stage: Stage) -> Iterator[None]:
    """Power lost, and somebody vouches for it: the budget comes back while the node is still away."""
    victim = stage.occupied_victim()
    with ExitStack() as mending:
        mending.callback(_untaint, stage, victim)
        mending.callback(stage.mend_victim)
        run("docker", "stop", "--time=0", victim)
        stage.kubectl("taint", "node", victim, f"{OUT_OF_SERVICE}=nodeshutdown:NoExecute")
        # The control plane deletes the pods because of the taint alone.
        eventually("the pods of the lost node are to go", lambda: not _pods_on(stage, victim))
        stage.wait_whole()
        yield


def _untaint(stage: Stage, node: str) -> None:
    if OUT_OF_SERVICE in _taints(stage, node):
        stage.kubectl("taint", "node", node, f"{OUT_OF_SERVICE}-")


@NODE.fault("stopped-and-released")
def stopped_and_released(stage: Stage) -> Iterator[None]:
    """Power lost, and nothing proves it: the connections are held until a person releases the pods by name."""
    victim = stage.occupied_victim()
    lost = [name_of(pod) for pod in _pods_on(stage, victim)]
    with ExitStack() as mending:
        mending.callback(stage.mend_victim)
        mending.callback(stage.release, None)
        run("docker", "stop", "--time=0", victim)
        unreachable = "node.kubernetes.io/unreachable"
        eventually("no pod is scheduled there any more", lambda: unreachable in _taints(stage, victim))
        _replace_the_lost(stage)
        eventually("the connections of the lost pods are held", lambda: _all_held(stage, lost))
        assert stage.ledger()["status"]["unknown"] > 0
        stage.release(lost)
        stage.wait_whole()
        yield


def _taints(stage: Stage, node: str) -> set[str]:
    """By their keys."""
    found = stage.kubectl.get("node", node)
    assert found is not None, f"node {node} is gone"
    return {taint["key"] for taint in found["spec"].get("taints", ())}


def _pods_on(stage: Stage, node: str) -> list[Object]:
    return [pod for pod in stage.pool.pods() if pod["spec"].get("nodeName") == node]


def _replace_the_lost(stage: Stage) -> None:
    """What the control plane does after five minutes: the pods of the lost node are marked as deleted."""
    for pod in _pods_on(stage, stage.victim):
        stage.kubectl("delete", "pod", name_of(pod), "--wait=false")


@NODE.fault("rebooted")
def rebooted(stage: Stage) -> Iterator[None]:
    """Its pods come back with the same uids, what they had persisted, and perhaps with each other's addresses."""
    victim = stage.occupied_victim()
    before = [(pod, container_of(pod)) for pod in _pods_on(stage, victim)]
    try:
        run("docker", "restart", "--time=0", victim)
    finally:
        stage.mend_victim()
    eventually("its pods were started again", lambda: all(container_of(pod) != old for pod, old in before))
    yield
