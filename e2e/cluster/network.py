"""The pod network: one point-to-point link a pod, and plain routes between nodes and from the host.

No address is translated on the way, so PostgreSQL sees a pod's own address, and tests on the host reach pods.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from e2e.cluster.shell import run

SERVICE_CIDR = "10.96.0.0/16"
"""Addresses of Services (kind's default). The host reaches them by the first node's kube-proxy."""

_CONFIGURATION = "/etc/cni/net.d/10-pgpool.conflist"


@dataclass(frozen=True)
class Node:
    """A node container: its address in Docker's network, and the addresses of its pods."""

    name: str
    address: str
    pod_cidr: str


@dataclass(frozen=True)
class Route:
    """A way to the pods of another machine."""

    pod_cidr: str
    via: str


def routes_from(node: Node | None, nodes: Iterable[Node]) -> tuple[Route, ...]:
    """The routes that a node, or the host (None), needs to reach every other node's pods."""
    return tuple(Route(other.pod_cidr, other.address) for other in nodes if other != node)


def cni_configuration(node: Node) -> str:
    """The CNI configuration of a node, as a conflist."""
    addresses = {
        "type": "host-local",
        # On a tmpfs: after a restart of the node no pod holds an address.
        "dataDir": "/run/cni-ipam-state",
        "routes": [{"dst": "0.0.0.0/0"}],
        "ranges": [[{"subnet": node.pod_cidr}]],
    }
    plugins = [
        {"type": "ptp", "ipMasq": False, "ipam": addresses},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return json.dumps({"cniVersion": "0.3.1", "name": "pgpool", "plugins": plugins}, indent=1)


def connect(nodes: Iterable[Node], image: str) -> None:
    """Sets up each node's pod network and the routes, those of the host too; what is right stays as it is.

    The first node is one that no test breaks: clients on the host reach Services through it.

    `image` is an image with `ip`, for the host's routes: the host may lack the command, or the rights.
    """
    nodes = tuple(nodes)
    for node in nodes:
        staged = f"{_CONFIGURATION}.new"
        script = (
            f"cmp -s - {_CONFIGURATION} <<'EOF' && exit 0\n{cni_configuration(node)}\nEOF\n"
            f"cat > {staged} <<'EOF'\n{cni_configuration(node)}\nEOF\nmv {staged} {_CONFIGURATION}\n"
        )
        run("docker", "exec", "-i", node.name, "sh", "-s", stdin=_replace(routes_from(node, nodes)) + script)
    host = (
        "docker",
        "run",
        "--rm",
        "-i",
        "--network=host",
        "--cap-add=NET_ADMIN",
        "--entrypoint=sh",
        image,
        "-s",
    )
    services = Route(SERVICE_CIDR, nodes[0].address)
    run(*host, stdin=_replace((*routes_from(None, nodes), services)))


def _replace(routes: Iterable[Route]) -> str:
    lines = ["set -e", *(f"ip route replace {route.pod_cidr} via {route.via}" for route in routes)]
    return "\n".join(lines) + "\n"
