"""The kind cluster: one control plane and two workers, revived where that is possible, else made anew."""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import yaml

from e2e.cluster import docker, go_tools, network, paths
from e2e.cluster.engine import capabilities_withheld
from e2e.cluster.node_image import KIND
from e2e.cluster.shell import CommandError, GroundError, run, say

AUDIT_LOG = "/var/log/kubernetes/audit.log"
"""The API server's audit log in the control-plane node, one JSON object a line: writes, without leases."""

CONTROL_PLANE = f"{paths.CLUSTER}-control-plane"
WORKERS = (f"{paths.CLUSTER}-worker", f"{paths.CLUSTER}-worker2")
_NODES = (CONTROL_PLANE, *WORKERS)
_POLICY = Path(__file__).parent / "node" / "audit-policy.yaml"
_POLICY_IN_NODE = "/etc/kubernetes/audit"
_READY_SECONDS = 180.0

_Seen = TypeVar("_Seen")


@dataclass(frozen=True)
class Container:
    """A node's container: when it started, its address in kind's network, and what it was made from."""

    name: str
    running: bool
    started: datetime
    address: str
    image: str
    mounts: tuple[str, ...]


def ensure_cluster(node_image: Callable[[], str]) -> None:
    """Returns once all nodes are Ready. `node_image` is asked only where a cluster must be made."""
    _ensure_kind()
    ground = paths.cache_dir() / "ground" / config_digest(kind_config(Path("/"), capabilities_withheld()))
    containers = _containers()
    if containers and not can_revive(containers, ground):
        say("the cluster's nodes are not whole, or another version of this tool made them: deleting them")
        delete_cluster()
        containers = ()
    if containers and _revive(containers):
        return
    _create(node_image(), ground)


def delete_cluster() -> None:
    """Deletes the nodes with all they hold; images and binaries stay cached."""
    _ensure_kind()
    run(paths.kind(), "delete", "cluster", "--name", paths.CLUSTER, "--kubeconfig", paths.kubeconfig())


def can_revive(containers: tuple[Container, ...], ground: Path) -> bool:
    """Whether these are all the nodes, made with the configuration that `ground` is named after."""
    names = {container.name for container in containers}
    control_plane = [c for c in containers if c.name == CONTROL_PLANE]
    return names == set(_NODES) and all(str(ground) in c.mounts for c in control_plane)


def kind_config(ground: Path, withheld: bool) -> str:
    """kind's configuration as YAML.

    `ground` is the host's folder with the audit policy, `withheld` whether the machine withholds
    CAP_SYS_RESOURCE: then containerd must not lower a container's OOM score.
    """
    audit = {
        "kind": "ClusterConfiguration",
        "apiServer": {
            "extraArgs": {
                "audit-policy-file": f"{_POLICY_IN_NODE}/{_POLICY.name}",
                "audit-log-path": AUDIT_LOG,
                "audit-log-maxsize": "100",
                "audit-log-maxbackup": "1",
            },
            "extraVolumes": [
                _volume("audit-policy", _POLICY_IN_NODE, "DirectoryOrCreate", read_only=True),
                _volume("audit-log", str(Path(AUDIT_LOG).parent), "DirectoryOrCreate", read_only=False),
            ],
        },
    }
    config: dict[str, Any] = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "networking": {"disableDefaultCNI": True, "podSubnet": "10.244.0.0/16"},
        "kubeadmConfigPatches": [yaml.safe_dump(audit)],
        "nodes": [
            {
                "role": "control-plane",
                "extraMounts": [
                    {"hostPath": str(ground), "containerPath": _POLICY_IN_NODE, "readOnly": True},
                ],
            },
            *({"role": "worker"} for _ in WORKERS),
        ],
    }
    if withheld:
        patch = '[plugins."io.containerd.grpc.v1.cri"]\n  restrict_oom_score_adj = true\n'
        config["containerdConfigPatches"] = [patch]
    return yaml.safe_dump(config, sort_keys=False)


def config_digest(config: str) -> str:
    """A short name for a configuration and its audit policy."""
    return hashlib.sha256((config + _POLICY.read_text()).encode()).hexdigest()[:8]


def leases_are_fresh(leases: dict[str, datetime], containers: tuple[Container, ...]) -> bool:
    """Whether each node's kubelet has renewed its lease since the node's container started.

    After a hard stop the API server still calls the nodes Ready, as it last heard of them.
    """
    return all(
        container.name in leases and leases[container.name] > container.started for container in containers
    )


def _volume(name: str, path: str, kind: str, *, read_only: bool) -> dict[str, str | bool]:
    return {"name": name, "hostPath": path, "mountPath": path, "pathType": kind, "readOnly": read_only}


def _ensure_kind() -> None:
    if not paths.kind().exists():
        built = go_tools.build(KIND)["kind"]
        paths.bin_dir().mkdir(parents=True, exist_ok=True)
        paths.kind().symlink_to(built)


def _create(image: str, ground: Path) -> None:
    ground.mkdir(parents=True, exist_ok=True)
    (ground / _POLICY.name).write_text(_POLICY.read_text())
    config = kind_config(ground, capabilities_withheld())
    say(f"creating a three-node cluster of {image.split('@')[0]} (about 30 s)")
    run(
        *(paths.kind(), "create", "cluster", "--name", paths.CLUSTER, "--image", image),
        *("--kubeconfig", paths.kubeconfig(), "--config", "-"),
        stdin=config,
    )
    paths.kubectl().unlink(missing_ok=True)
    _settle(_containers())


def _revive(containers: tuple[Container, ...]) -> bool:
    stopped = [container.name for container in containers if not container.running]
    if stopped:
        say(f"starting the cluster's nodes again: {', '.join(stopped)} (about 30 s)")
    try:
        if stopped:
            run("docker", "start", *stopped)
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
    deadline = time.monotonic() + _READY_SECONDS
    cidrs = _wait_for(_pod_cidrs, lambda found: set(found) == set(_NODES), deadline)
    nodes = [network.Node(c.name, c.address, cidrs[c.name]) for c in containers]
    network.connect(nodes, containers[0].image)
    _wait_for(_lease_times, lambda leases: leases_are_fresh(leases, containers), deadline)
    _kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=120s")
    _kubectl("-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=120s")


def _wait_for(look: Callable[[], _Seen], enough: Callable[[_Seen], bool], deadline: float) -> _Seen:
    while True:
        try:
            seen = look()
            if enough(seen):
                return seen
            problem = f"what it says of its nodes is incomplete: {seen}"
        except CommandError as error:
            problem = error.output
        if time.monotonic() > deadline:
            raise GroundError(f"the cluster's API server is not ready: {problem}")
        time.sleep(1)


def _pod_cidrs() -> dict[str, str]:
    return _by_name("nodes", "{.spec.podCIDR}")


def _lease_times() -> dict[str, datetime]:
    found = _by_name("leases", "{.spec.renewTime}", "-n", "kube-node-lease")
    return {name: datetime.fromisoformat(renewed) for name, renewed in found.items()}


def _by_name(resource: str, field: str, *options: str) -> dict[str, str]:
    template = "{range .items[*]}{.metadata.name} " + field + '{"\\n"}{end}'
    lines = _kubectl("get", resource, *options, "-o", f"jsonpath={template}").splitlines()
    return {name: value for name, _, value in (line.partition(" ") for line in lines) if value}


def _kubectl(*arguments: str) -> str:
    return run(paths.kubectl(), "--kubeconfig", paths.kubeconfig(), *arguments, timeout=150)


def _containers() -> tuple[Container, ...]:
    label = f"label=io.x-k8s.kind.cluster={paths.CLUSTER}"
    names = run("docker", "ps", "-a", "--filter", label, "--format", "{{.Names}}").split()
    return tuple(sorted((_container(name) for name in names), key=lambda c: c.name))


def _container(name: str) -> Container:
    (seen,) = json.loads(run("docker", "inspect", name))
    return Container(
        name=name,
        running=seen["State"]["Running"],
        started=datetime.fromisoformat(seen["State"]["StartedAt"][:19] + "+00:00"),
        address=seen["NetworkSettings"]["Networks"]["kind"]["IPAddress"],
        image=seen["Image"],
        mounts=tuple(mount.get("Source", "") for mount in seen["Mounts"]),
    )
