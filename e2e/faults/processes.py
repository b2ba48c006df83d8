"""The processes of a pooler pod, as its node sees them: reached past the API server, where even PID 1 obeys."""

import json

from e2e.cluster.shell import run
from e2e.kube import Object

AGENT = "agent"
ENGINE = "pgbouncer"


def on_node(node: str, *command: str) -> str:
    """Run a command in a node's container."""
    return run("docker", "exec", node, *command)


def node_of(pod: Object) -> str:
    """The name of the pod's node, which is also its container's."""
    return str(pod["spec"]["nodeName"])


def first_process(pod: Object) -> int:
    """The container's PID 1, the agent, by the node's numbers."""
    (status,) = pod["status"]["containerStatuses"]
    container = status["containerID"].rpartition("/")[2]
    inspected = json.loads(on_node(node_of(pod), "crictl", "inspect", "--output=json", container))
    return int(inspected["info"]["pid"])


def engine_process(pod: Object) -> int:
    """The engine, by the node's numbers; AssertionError where none runs."""
    agent = first_process(pod)
    script = f"pgrep --parent {agent} --exact {ENGINE} || true"
    found = on_node(node_of(pod), "sh", "-c", script).split()
    assert found, f"no {ENGINE} runs in {pod['metadata']['name']}"
    return int(found[0])


def send_signal(pod: Object, process: int, signal: str) -> None:
    """A signal to one process; one that is gone needs none."""
    on_node(node_of(pod), "sh", "-c", f"kill -{signal} {process} 2>/dev/null || true")
