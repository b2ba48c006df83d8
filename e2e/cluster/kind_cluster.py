"""The kind cluster: one control plane and two workers, revived where that is possible, else made anew."""

import json
import shutil
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from e2e.cluster import docker, go_tools, network, node_image, paths
from e2e.cluster.engine import capabilities_withheld
from e2e.cluster.kind_config import AUDIT_POLICY, config_digest, kind_config
from e2e.cluster.mending import mend
from e2e.cluster.shell import CommandError, GroundError, run, say

CONTROL_PLANE = f"{paths.CLUSTER}-control-plane"
WORKERS = (f"{paths.CLUSTER}-worker", f"{paths.CLUSTER}-worker2")
_NODES = (CONTROL_PLANE, *WORKERS)
_READY_SECONDS = 180.0

_Seen = TypeVar("_Seen")


@dataclass(frozen=True)
class Container:
    """A node's container: when it started, its address in kind's network, and what it was made from."""

    name: str
    running: bool
    """Also while it is paused."""
    paused: bool
    started: datetime
    address: str
    image: str
    mounts: tuple[str, ...]


def ensure_cluster() -> None:
    """Returns once all nodes are Ready and answer this host."""
    _ensure_kind()
    ground = _ground()
    containers = _containers()
    if containers and not can_revive(containers, ground):
        say("the cluster's nodes are not whole, or another version of this tool made them: deleting them")
        delete_cluster()
        containers = ()
    if containers and _revive(containers):
        return
    _create(node_image.ensure_node_image(), ground)


def delete_cluster() -> None:
    """Deletes the nodes with all they hold; images and binaries stay cached."""
    _ensure_kind()
    run(paths.kind(), "delete", "cluster", "--name", paths.CLUSTER, "--kubeconfig", paths.kubeconfig())


def mend_cluster() -> None:
    """Starts the nodes that are stopped, and undoes what faults have broken in the others.

    Returns once all are Ready and answer this host.
    """
    _start(_containers())
    _settle(_containers())


def require_running() -> None:
    """Raises GroundError unless the nodes' containers run."""
    if len([container for container in _containers() if container.running]) < len(_NODES):
        raise GroundError("The cluster is not up. Run `make up`.")


def can_revive(containers: tuple[Container, ...], ground: Path) -> bool:
    """Whether these are all the nodes, made with the configuration that `ground` is named after."""
    names = {container.name for container in containers}
    control_plane = [c for c in containers if c.name == CONTROL_PLANE]
    return names == set(_NODES) and all(str(ground) in c.mounts for c in control_plane)


def leases_are_fresh(leases: dict[str, datetime], containers: tuple[Container, ...]) -> bool:
    """Whether each node's kubelet has renewed its lease since the node's container started.

    After a hard stop the API server still calls the nodes Ready, as it last heard of them.
    """
    return all(
        container.name in leases and leases[container.name] > container.started for container in containers
    )


def _ground() -> Path:
    config = kind_config(Path("/"), capabilities_withheld())
    digest = config_digest(config, AUDIT_POLICY.read_text(), node_image.recipe())
    return paths.cache_dir() / "ground" / digest


def _ensure_kind() -> None:
    found = shutil.which("kind")
    right = found and f" {node_image.KIND.version} " in run(found, "version")
    program = Path(found).resolve() if found and right else go_tools.build(node_image.KIND)["kind"]
    if paths.kind().resolve() != program:
        paths.bin_dir().mkdir(parents=True, exist_ok=True)
        paths.kind().unlink(missing_ok=True)
        paths.kind().symlink_to(program)


def _create(image: str, ground: Path) -> None:
    ground.mkdir(parents=True, exist_ok=True)
    (ground / AUDIT_POLICY.name).write_text(AUDIT_POLICY.read_text())
    config = kind_config(ground, capabilities_withheld())
    say(f"creating a three-node cluster of {image.split('@')[0]} (about 30 s)")
    run(
        *(paths.kind(), "create", "cluster", "--name", paths.CLUSTER, "--image", image),
        *("--kubeconfig", paths.kubeconfig(), "--config", "-"),
        stdin=config,
    )
    paths.kubectl().unlink(missing_ok=True)
    _settle(_containers())


def _start(containers: tuple[Container, ...]) -> None:
    mend([c.name for c in containers if c.running], [c.name for c in containers if c.paused])
    stopped = [container.name for container in containers if not container.running]
    if stopped:
        say(f"starting the cluster's nodes again: {', '.join(stopped)} (about 30 s)")
        run("docker", "start", *stopped)


def _revive(containers: tuple[Container, ...]) -> bool:
    try:
        _start(containers)
        run(
            *(paths.kind(), "export", "kubeconfig", "--name", paths.CLUSTER),
            *("--kubeconfig", paths.kubeconfig()),
        )
        _settle(_containers())
    except GroundError as error:
        say(f"the cluster cannot be revived: {error}")
        delete_cluster()
        return False
    return True


def _settle(containers: tuple[Container, ...]) -> None:
    if not paths.kubectl().exists():
        docker.copy_from(CONTROL_PLANE, "/usr/bin/kubectl", paths.kubectl())
    cidrs = _wait_for(
        "the API server names its nodes' pod networks", _pod_cidrs, lambda found: set(found) == set(_NODES)
    )
    nodes = [network.Node(c.name, c.address, cidrs[c.name]) for c in containers]
    network.connect(nodes, containers[0].image)
    _wait_for("every kubelet reports", _lease_times, lambda leases: leases_are_fresh(leases, containers))
    _kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=120s")
    _wait_for(
        "the cluster's DNS servers answer this host", _dns_servers, lambda answers: all(answers.values())
    )


def _wait_for(what: str, look: Callable[[], _Seen], enough: Callable[[_Seen], bool]) -> _Seen:
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        try:
            seen = look()
            if seen and enough(seen):
                return seen
            problem = f"last seen: {seen}"
        except CommandError as error:
            problem = error.output
        if time.monotonic() > deadline:
            raise GroundError(f"waited {_READY_SECONDS:g} s until {what}; {problem}")
        time.sleep(1)


def _pod_cidrs() -> dict[str, str]:
    return _by_name("nodes", "{.spec.podCIDR}")


def _lease_times() -> dict[str, datetime]:
    found = _by_name("leases", "{.spec.renewTime}", "-n", "kube-node-lease")
    return {name: datetime.fromisoformat(renewed) for name, renewed in found.items()}


def _dns_servers() -> dict[str, bool]:
    """Whether each DNS server answers, by its address. What the API server knows of them may be old."""
    path = "jsonpath={.items[*].status.podIP}"
    addresses = _kubectl("-n", "kube-system", "get", "pods", "-l", "k8s-app=kube-dns", "-o", path).split()
    return {address: _answers(f"http://{address}:8181/ready") for address in addresses}


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=3):
            return True
    except OSError:
        return False


def _by_name(resource: str, field: str, *options: str) -> dict[str, str]:
    template = "{range .items[*]}{.metadata.name} " + field + '{"\\n"}{end}'
    lines = _kubectl("get", resource, *options, "-o", f"jsonpath={template}").splitlines()
    return {name: value for name, _, value in (line.partition(" ") for line in lines) if value}


def _kubectl(*arguments: str) -> str:
    return run(paths.kubectl(), "--kubeconfig", paths.kubeconfig(), *arguments, timeout=150)


def _containers() -> tuple[Container, ...]:
    """By name: the control plane comes first."""
    label = f"label=io.x-k8s.kind.cluster={paths.CLUSTER}"
    names = run("docker", "ps", "-a", "--filter", label, "--format", "{{.Names}}").split()
    return tuple(sorted((_container(name) for name in names), key=lambda c: c.name))


def _container(name: str) -> Container:
    (seen,) = json.loads(run("docker", "inspect", name))
    return Container(
        name=name,
        running=seen["State"]["Running"],
        paused=seen["State"]["Paused"],
        started=datetime.fromisoformat(seen["State"]["StartedAt"][:19] + "+00:00"),
        address=seen["NetworkSettings"]["Networks"]["kind"]["IPAddress"],
        image=seen["Image"],
        mounts=tuple(mount.get("Source", "") for mount in seen["Mounts"]),
    )
