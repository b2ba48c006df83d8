"""The processes of a pooler pod, as its node sees them: reached past the API server, where even PID 1 obeys."""

import json

from e2e.cluster.shell import run
from e2e.kube import Object, eventually

ENGINE = "pgbouncer"


def on_node(node: str, *command: str) -> str:
    """Run a command in a node's container."""
    return run("docker", "exec", node, *command)


def node_of(pod: Object) -> str:
    """The name of the pod's node, which is also its container's."""
    return str(pod["spec"]["nodeName"])


def sandbox_of(pod: Object) -> str:
    """The id of its sandbox; AssertionError where it has none."""
    return _only("sandbox", pod, "pods", "--state=Ready")


def address_of(pod: Object, sandbox: str) -> str:
    """The IP that a sandbox of the pod has."""
    inspected = on_node(node_of(pod), "crictl", "inspectp", "--output=json", sandbox)
    return str(json.loads(inspected)["status"]["network"]["ip"])


def container_of(pod: Object) -> str:
    """The id of its container; AssertionError where it does not run."""
    return _only("container", pod, "ps", "--state=Running")


def _only(what: str, pod: Object, *listing: str) -> str:
    label = f"io.kubernetes.pod.uid={pod['metadata']['uid']}"
    found = on_node(node_of(pod), "crictl", *listing, "--quiet", "--no-trunc", "--label", label).split()
    assert len(found) == 1, f"{pod['metadata']['name']} has {len(found)} of a {what}, not one"
    return found[0]


def runs(pod: Object, container: str) -> bool:
    """Whether a container that ran still does."""
    return bool(on_node(node_of(pod), "crictl", "ps", "--state=Running", "--quiet", "--id", container))


def end_of(pod: Object, container: str) -> str:
    """Why a container has ended, in its runtime's word."""
    inspected = on_node(node_of(pod), "crictl", "inspect", "--output=json", container)
    return str(json.loads(inspected)["status"]["reason"])


def first_process(pod: Object) -> int:
    """The container's PID 1, the agent, by the node's numbers; AssertionError where none runs."""
    inspected = on_node(node_of(pod), "crictl", "inspect", "--output=json", container_of(pod))
    return int(json.loads(inspected)["info"]["pid"])


def engine_process(pod: Object) -> int:
    """The engine, by the node's numbers; AssertionError where none runs."""
    agent = first_process(pod)
    script = f"pgrep --parent {agent} --exact {ENGINE} || true"
    found = on_node(node_of(pod), "sh", "-c", script).split()
    assert found, f"no {ENGINE} runs in {pod['metadata']['name']}"
    return int(found[0])


def shim_process(pod: Object) -> int:
    """What starts and ends the processes of the pod's containers for containerd, by the node's numbers."""
    # The brackets keep the pattern from matching the shell that it is part of.
    script = f"pgrep --full 'containerd-shim[-].* -id {sandbox_of(pod)} ' || true"
    found = on_node(node_of(pod), "sh", "-c", script).split()
    assert found, f"no shim runs for {pod['metadata']['name']}"
    return int(found[0])


def state_of(pod: Object, process: int) -> str:
    """Its letter in /proc: T where it is stopped; empty where it is gone."""
    script = f"sed 's/.*) //; s/ .*//' /proc/{process}/stat 2>/dev/null || true"
    return on_node(node_of(pod), "sh", "-c", script).strip()


def kill(pod: Object, process: int) -> None:
    """SIGKILL, and wait until it is gone and its parent has taken note."""
    _require_one(process)
    on_node(node_of(pod), "kill", "-KILL", f"{process}")
    eventually(f"process {process} is gone", lambda: not state_of(pod, process))


def stop(pod: Object, process: int) -> None:
    """SIGSTOP, and wait until it stands still."""
    _require_one(process)
    on_node(node_of(pod), "kill", "-STOP", f"{process}")
    eventually(f"process {process} stands still", lambda: state_of(pod, process) == "T")


def go_on(pod: Object, process: int) -> None:
    """SIGCONT, if it is still there."""
    _require_one(process)
    on_node(node_of(pod), "sh", "-c", f"kill -CONT {process} || true")


def freeze(pod: Object, process: int, seconds: float) -> None:
    """Stop a process for so long; returns when it stands still.

    The node itself lets it go on: it does so whatever becomes of the tests, and after a pause of the node,
    during which nobody can reach it.
    """
    _require_one(process)
    script = f"kill -STOP {process} && sleep {seconds:g}; kill -CONT {process}"
    run("docker", "exec", "--detach", node_of(pod), "sh", "-c", script)
    eventually(f"process {process} stands still", lambda: state_of(pod, process) == "T")


def _require_one(process: int) -> None:
    """To `kill`, 0 and negative numbers are groups, and 1 is the node's own first process."""
    if process <= 1:
        raise ValueError(f"{process} is no process of a pod")
