"""What can happen to one pooler pod."""

import json
from collections.abc import Iterator

from e2e.faults.fault import Catalog
from e2e.faults.processes import engine_process, first_process, node_of, on_node, send_signal
from e2e.faults.stage import Stage
from e2e.kube import Object, eventually

POD = Catalog("pod")

_FROZEN_SECONDS = 20.0
_ALLOCATE = """
import os, time
for _ in range(12):
    if os.fork() == 0:
        held = b"x" * (25 << 20)
        break
time.sleep(30)
"""
"""More than the container's memory limit, by processes that are each smaller than the agent: that one is ended."""


def name_of(pod: Object) -> str:
    """The pod's name."""
    return str(pod["metadata"]["name"])


@POD.fault("delete", mixed=True)
def delete(stage: Stage) -> Iterator[None]:
    """Somebody deletes it."""
    stage.kubectl("delete", "pod", name_of(stage.any_pod()), "--wait=false")
    yield


@POD.fault("force-delete", daily=True, mixed=True)
def force_delete(stage: Stage) -> Iterator[None]:
    """The object goes at once; the processes go on until the kubelet notices."""
    stage.kubectl("delete", "pod", name_of(stage.any_pod()), "--grace-period=0", "--force", "--wait=false")
    yield


@POD.fault("evict", mixed=True)
def evict(stage: Stage) -> Iterator[None]:
    """As the eviction API does it, for a drain or an autoscaler of nodes."""
    name, namespace = name_of(stage.any_pod()), stage.kubectl.namespace
    path = f"/api/v1/namespaces/{namespace}/pods/{name}/eviction"
    metadata = {"name": name, "namespace": namespace}
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
    stage.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
    yield


@POD.fault("drain", seconds=5)
def drain(stage: Stage) -> Iterator[None]:
    """As before an upgrade of the node; PodDisruptionBudgets hold."""
    options = ("--ignore-daemonsets", "--delete-emptydir-data", "--timeout=300s")
    stage.kubectl("drain", stage.victim, "--pod-selector=pgpool.dev/pool", *options)
    yield
    stage.kubectl("uncordon", stage.victim)


@POD.fault("kill-container", mixed=True)
def kill_container(stage: Stage) -> Iterator[None]:
    """The agent, PID 1, dies and the engine with it."""
    pod = stage.any_pod()
    send_signal(pod, first_process(pod), "KILL")
    yield


@POD.fault("kill-engine", mixed=True)
def kill_engine(stage: Stage) -> Iterator[None]:
    """The engine dies under its agent."""
    pod = stage.any_pod()
    send_signal(pod, engine_process(pod), "KILL")
    yield


@POD.fault("freeze-agent", seconds=_FROZEN_SECONDS, mixed=True)
def freeze_agent(stage: Stage) -> Iterator[None]:
    """The agent hangs; the engine goes on."""
    pod = stage.any_pod()
    agent = first_process(pod)
    send_signal(pod, agent, "STOP")
    yield
    send_signal(pod, agent, "CONT")


@POD.fault("freeze-engine", seconds=_FROZEN_SECONDS, mixed=True)
def freeze_engine(stage: Stage) -> Iterator[None]:
    """The engine hangs; the agent goes on."""
    pod = stage.any_pod()
    engine = engine_process(pod)
    send_signal(pod, engine, "STOP")
    yield
    send_signal(pod, engine, "CONT")


@POD.fault("stop-sandbox", mixed=True)
def stop_sandbox(stage: Stage) -> Iterator[None]:
    """The pod keeps its uid and gets a new address."""
    pod = stage.any_pod()
    found = on_node(
        node_of(pod),
        "crictl",
        "pods",
        "--quiet",
        "--label",
        f"io.kubernetes.pod.uid={pod['metadata']['uid']}",
    )
    on_node(node_of(pod), "crictl", "stopp", *found.split())
    yield


@POD.fault("out-of-memory", mixed=True)
def out_of_memory(stage: Stage) -> Iterator[None]:
    """The kernel ends the agent, PID 1, when the container reaches its limit."""
    pod = stage.any_pod()
    restarts = _restarts(stage, pod)
    stage.kubectl("exec", name_of(pod), "--", "python3", "-c", _ALLOCATE, may_fail=True)
    eventually("the container was started again", lambda: _restarts(stage, pod) > restarts)
    yield


def _restarts(stage: Stage, pod: Object) -> int:
    found = stage.kubectl.get("pod", name_of(pod))
    assert found is not None, f"pod {name_of(pod)} is gone"
    return int(found["status"]["containerStatuses"][0]["restartCount"])
