"""What can happen to one pooler pod.

What each asserts is seen on the pod's node: it holds whatever else is broken at the time.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from e2e.faults.fault import Catalog
from e2e.faults.processes import (
    address_of,
    container_of,
    end_of,
    engine_process,
    first_process,
    freeze,
    go_on,
    kill,
    node_of,
    on_node,
    runs,
    sandbox_of,
    shim_process,
    state_of,
    stop,
)
from e2e.faults.stage import PATIENCE_SECONDS, Stage
from e2e.kube import KubectlError, Object, T, eventually

POD = Catalog("pod")

_FROZEN_SECONDS = 20.0
_PROOF_SECONDS = 120.0 + 25.0 + 45.0
"""Beyond its grace period, until a pod that is gone is free by its kubelet's life: for the kubelet, for the
backends, and for an operator that starts and looks at the Lease."""
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


@POD.fault("force-delete", mixed=True)
def force_delete(stage: Stage) -> Iterator[None]:
    """The object goes at once; the processes go on until the kubelet notices."""
    stage.kubectl("delete", "pod", name_of(stage.any_pod()), "--grace-period=0", "--force", "--wait=false")
    yield


@POD.fault("evict", mixed=True)
def evict(stage: Stage) -> Iterator[None]:
    """As the eviction API does it, for a drain or an autoscaler of nodes."""
    eventually("a pod may be evicted", lambda: _evicted(stage, name_of(stage.any_pod())))
    yield


def _evicted(stage: Stage, name: str) -> bool:
    """False where the PodDisruptionBudget does not allow it just now."""
    namespace = stage.kubectl.namespace
    path = f"/api/v1/namespaces/{namespace}/pods/{name}/eviction"
    metadata = {"name": name, "namespace": namespace}
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
    try:
        stage.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
    except KubectlError as error:
        if "disruption budget" not in str(error):
            raise
        return False
    return True


@POD.fault("drain", seconds=5)
def drain(stage: Stage) -> Iterator[None]:
    """As before an upgrade of the node; PodDisruptionBudgets hold."""
    victim = stage.occupied_victim()
    options = ("--ignore-daemonsets", "--delete-emptydir-data", "--timeout=300s")
    try:
        stage.kubectl("drain", victim, "--pod-selector=pgpool.dev/pool", *options)
        left = [name_of(pod) for pod in stage.pool.pods() if pod["spec"].get("nodeName") == victim]
        assert not left, f"{left} are still on {victim}"
        yield
    finally:
        stage.kubectl("uncordon", victim)
        stage.mend_victim()


@POD.fault("kill-container", mixed=True)
def kill_container(stage: Stage) -> Iterator[None]:
    """The agent, PID 1, dies and the engine with it."""
    pod, container = _pod_with(stage, "a container", container_of)
    kill(pod, first_process(pod))
    eventually("the container has ended", lambda: not runs(pod, container))
    yield


@POD.fault("kill-engine", mixed=True)
def kill_engine(stage: Stage) -> Iterator[None]:
    """The engine dies under its agent."""
    pod, engine = _pod_with(stage, "an engine", engine_process)
    agent = first_process(pod)
    kill(pod, engine)
    assert first_process(pod) == agent, "the agent ended too"
    yield


@POD.fault("freeze-agent", seconds=_FROZEN_SECONDS, mixed=True)
def freeze_agent(stage: Stage) -> Iterator[None]:
    """The agent hangs; the engine goes on."""
    pod, agent = _pod_with(stage, "an agent", first_process)
    freeze(pod, agent, _FROZEN_SECONDS)
    yield


@POD.fault("freeze-engine", seconds=_FROZEN_SECONDS, mixed=True)
def freeze_engine(stage: Stage) -> Iterator[None]:
    """The engine hangs; the agent goes on."""
    pod, engine = _pod_with(stage, "an engine", engine_process)
    freeze(pod, engine, _FROZEN_SECONDS)
    yield


@POD.fault("stop-sandbox", daily=True, mixed=True)
def stop_sandbox(stage: Stage) -> Iterator[None]:
    """The pod keeps its uid and gets a new address."""
    pod, sandbox = _pod_with(stage, "a sandbox", sandbox_of)
    address = address_of(pod, sandbox)
    on_node(node_of(pod), "crictl", "stopp", sandbox)
    eventually("it has another address, unless it is to go", lambda: _replaced(stage, pod, address))
    yield


def _replaced(stage: Stage, pod: Object, address: str) -> bool:
    if pod["metadata"]["uid"] not in {each["metadata"]["uid"] for each in stage.pool.pods()}:
        return True
    return address_of(pod, sandbox_of(pod)) != address


@POD.fault("out-of-memory", mixed=True)
def out_of_memory(stage: Stage) -> Iterator[None]:
    """The kernel ends the agent, PID 1, when the container reaches its limit."""
    pod, container = _pod_with(stage, "a container", container_of)
    stage.kubectl("exec", name_of(pod), "--", "python3", "-c", _ALLOCATE, may_fail=True)
    eventually("the container has ended", lambda: not runs(pod, container))
    assert end_of(pod, container) == "OOMKilled"
    yield


@POD.fault("cannot-be-ended")
def cannot_be_ended(stage: Stage) -> Iterator[None]:
    """What would end its processes hangs, and its kubelet is alive: it serves on, deleted, and forced away, and
    whoever leads next does not take it for dead either. A person knows, once it has ended."""
    pod, shim = _pod_with(stage, "a shim", shim_process)
    name, agent = name_of(pod), first_process(pod)
    free_after = float(pod["spec"]["terminationGracePeriodSeconds"]) + _PROOF_SECONDS
    with ExitStack() as mending:
        # Whatever happens: without its object, nothing else would tell that it has ended.
        mending.callback(stage.release, [name])
        mending.callback(go_on, pod, shim)
        stop(pod, shim)
        stage.kubectl("delete", "pod", name, "--wait=false")
        eventually("a person is told", lambda: _is_held(stage, name), PATIENCE_SECONDS)
        stage.kubectl("delete", "pod", name, "--grace-period=0", "--force", "--wait=false")
        stage.operators.stop_all()
        stage.operators.start_all()
        stage.operators.wait_leading()
        until = time.monotonic() + free_after
        while time.monotonic() < until:
            assert _is_held(stage, name), f"{name} runs, and what it has is free"
            time.sleep(1.0)
        assert state_of(pod, agent), f"{name} has ended"
        go_on(pod, shim)
        eventually("the pod has ended", lambda: not state_of(pod, agent), PATIENCE_SECONDS)
        stage.release([name])
        stage.wait_whole()
        yield


def _is_held(stage: Stage, name: str) -> bool:
    return name in stage.held()


def _pod_with(stage: Stage, what: str, find: Callable[[Object], T]) -> tuple[Object, T]:
    """A pod in which this is found just now, and what is found: another fault may have hit some of them."""

    def look() -> tuple[Object, T]:
        pod = stage.any_pod()
        return pod, find(pod)

    return eventually(f"a pod has {what}", look)
