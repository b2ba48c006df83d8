"""What can happen to a node with pooler pods on it; the database and the load are on another one."""

from collections.abc import Iterator

from e2e.cluster.shell import run
from e2e.faults.fault import Catalog
from e2e.faults.pods import name_of
from e2e.faults.processes import on_node
from e2e.faults.stage import Stage
from e2e.kube import eventually

NODE = Catalog("node")

OUT_OF_SERVICE = "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"
_SILENT_SECONDS = 90.0
"""Longer than the API server waits before it calls a node NotReady (40 to 50 s)."""


@NODE.fault("kubelet-stopped", seconds=_SILENT_SECONDS, mixed=True)
def kubelet_stopped(stage: Stage) -> Iterator[None]:
    """The node looks dead and its pods go on serving."""
    on_node(stage.occupied_victim(), "systemctl", "stop", "kubelet")
    yield
    on_node(stage.victim, "systemctl", "start", "kubelet")
    stage.mend_victim()


@NODE.fault("paused", seconds=_SILENT_SECONDS, mixed=True)
def paused(stage: Stage) -> Iterator[None]:
    """Everything on it stands still, as when a hypervisor suspends it, and goes on as if nothing had been."""
    run("docker", "pause", stage.occupied_victim())
    yield
    run("docker", "unpause", stage.victim)
    stage.mend_victim()


@NODE.fault("cut-off", seconds=60.0, daily=True, mixed=True)
def cut_off(stage: Stage) -> Iterator[None]:
    """Its processes run, and nobody hears of them."""
    _filter(stage.occupied_victim(), "-I")
    yield
    _filter(stage.victim, "-D")
    stage.mend_victim()


def _filter(node: str, change: str) -> None:
    on_node(node, "iptables", "-t", "raw", change, "PREROUTING", "-i", "eth0", "-j", "DROP")
    on_node(node, "iptables", "-t", "mangle", change, "POSTROUTING", "-o", "eth0", "-j", "DROP")


@NODE.fault("stopped-and-tainted")
def stopped_and_tainted(stage: Stage) -> Iterator[None]:
    """Power lost, and somebody vouches for it: the budget comes back while the node is still away."""
    victim = stage.occupied_victim()
    run("docker", "stop", "--time=0", victim)
    stage.kubectl("taint", "node", victim, OUT_OF_SERVICE)
    _replace_the_lost(stage)
    stage.wait_whole()
    yield
    stage.mend_victim()
    stage.kubectl("taint", "node", victim, f"{OUT_OF_SERVICE}-")


@NODE.fault("stopped-and-released")
def stopped_and_released(stage: Stage) -> Iterator[None]:
    """Power lost, and nothing proves it: the connections are held until a person releases the pods by name."""
    victim = stage.occupied_victim()
    lost = [name_of(pod) for pod in stage.pool.pods() if pod["spec"]["nodeName"] == victim]
    run("docker", "stop", "--time=0", victim)
    eventually("no pod is scheduled there any more", lambda: _unreachable(stage))
    _replace_the_lost(stage)
    held = eventually("the connections of the lost pods are held", lambda: _held(stage))
    for name in lost:
        assert name in held
    assert stage.ledger()["status"]["unknown"] > 0
    stage.kubectl.patch("pgbudget", "main-a-0", {"spec": {"release": lost}})
    stage.wait_whole()
    yield
    stage.kubectl.patch("pgbudget", "main-a-0", {"spec": {"release": None}})
    stage.mend_victim()


def _unreachable(stage: Stage) -> bool:
    node = stage.kubectl.get("node", stage.victim)
    assert node is not None
    return "node.kubernetes.io/unreachable" in {taint["key"] for taint in node["spec"].get("taints", ())}


def _held(stage: Stage) -> str:
    conditions = {c["type"]: c for c in stage.ledger()["status"]["conditions"]}
    held = conditions["Held"]
    assert held["status"] == "True", f"{held}"
    return str(held["message"])


def _replace_the_lost(stage: Stage) -> None:
    """What the control plane does after five minutes: the pods of the lost node are marked as deleted."""
    for pod in stage.pool.pods():
        if pod["spec"].get("nodeName") == stage.victim:
            stage.kubectl("delete", "pod", name_of(pod), "--wait=false")


@NODE.fault("rebooted")
def rebooted(stage: Stage) -> Iterator[None]:
    """Its pods come back with new addresses, the same uids, and what they had persisted."""
    run("docker", "restart", "--time=0", stage.occupied_victim())
    stage.mend_victim()
    yield
