"""Servers of a cluster that Patroni runs in this namespace.

Patroni labels its pods itself (kubernetes.labels and kubernetes.role_label in its configuration, by default
cluster-name and role). Values of `role`, by Patroni's kubernetes.py: master (before 4.0) or primary for the
leader, standby_leader for the leader of a standby cluster, replica for the others; none or another value
while a server starts, stops or is being promoted or demoted.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ..api import BudgetServer, Cluster, PgPool, ServerRole
from .cpu import container_cpu, spec_cpu
from .model import DATABASE_NOT_FOUND, NO_PRIMARY, Discovery, DiscoveryProblem, Server

Object = Mapping[str, Any]

_ROLES = {
    "master": ServerRole.PRIMARY,
    "primary": ServerRole.PRIMARY,
    "replica": ServerRole.REPLICA,
    "standby_leader": ServerRole.REPLICA,
}


def member_labels(cluster: Cluster) -> Mapping[str, str]:
    """The labels that the pods of a cluster have."""
    return cluster.match_labels or {"cluster-name": cluster.name}


def discover_patroni(
    pool: PgPool, cluster: Cluster, pods: Iterable[Object], nodes: Mapping[str, Object]
) -> Discovery:
    """The servers among the namespace's `pods`; one that starts, ends or has no role yet is none."""
    labels = member_labels(cluster)
    members = [pod for pod in pods if _has(pod, labels)]
    if not members:
        wanted = ", ".join(f"{key}={value}" for key, value in sorted(labels.items()))
        return Discovery(
            (),
            DiscoveryProblem(
                DATABASE_NOT_FOUND,
                f"database.cluster: no pod in {pool.metadata.namespace} has the labels {wanted}: correct "
                "name or matchLabels, or create the database",
            ),
        )
    up = sorted((pod for pod in members if _is_up(pod)), key=lambda pod: str(pod["metadata"]["name"]))
    servers = tuple(_server(pool, cluster, pod, nodes, role) for pod, role in _in_role(up))
    found = Discovery(servers)
    needs_primary = pool.spec.write is not None or not servers
    if needs_primary and found.primary is None:
        return Discovery(servers, _no_primary(pool, cluster, up))
    return found


def _has(pod: Object, labels: Mapping[str, str]) -> bool:
    present: Mapping[str, str] = pod["metadata"].get("labels", {})
    return labels.items() <= present.items()


def _is_up(pod: Object) -> bool:
    status = pod.get("status", {})
    deleted = "deletionTimestamp" in pod["metadata"]
    return not deleted and status.get("phase") == "Running" and bool(status.get("podIP"))


def _role(pod: Object) -> ServerRole | None:
    return _ROLES.get(_label(pod))


def _label(pod: Object) -> str:
    return str(pod["metadata"].get("labels", {}).get("role", ""))


def _server(
    pool: PgPool, cluster: Cluster, pod: Object, nodes: Mapping[str, Object], role: ServerRole
) -> Server:
    cpu = spec_cpu(pool.spec.budget.cpu) or container_cpu(pod, cluster.container, nodes)
    name = pod["metadata"]["name"]
    return Server(
        name=name,
        host=pod["status"]["podIP"],
        port=cluster.port,
        role=role,
        cpu=cpu.amount,
        cpu_source=cpu.source,
        cpu_problem=cpu.problem,
        ref=BudgetServer(cluster=cluster.name, instance=name, port=cluster.port),
        node=pod["spec"].get("nodeName", ""),
    )


def _in_role(pods: Iterable[Object]) -> list[tuple[Object, ServerRole]]:
    """Pods with their roles. Of several that say they are the primary, one that alone is Ready is believed.

    A pod on a node that was cut off keeps the label it had; Kubernetes marks it as not Ready.
    """
    found = [(pod, role) for pod in pods if (role := _role(pod)) is not None]
    primaries = [pod for pod, role in found if role is ServerRole.PRIMARY]
    believed = primaries if len(primaries) == 1 else [pod for pod in primaries if _is_ready(pod)]
    disputed = len(believed) > 1
    return [
        (pod, role)
        for pod, role in found
        if role is not ServerRole.PRIMARY or (pod in believed and not disputed)
    ]


def _is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(found["type"] == "Ready" and found["status"] == "True" for found in conditions)


def _no_primary(pool: PgPool, cluster: Cluster, up: Iterable[Object]) -> DiscoveryProblem:
    """What the pods say instead."""
    said = ", ".join(f"{pod['metadata']['name']} {_label(pod) or 'no role'}" for pod in up)
    found = f"its running pods say {said}" if said else "none of its pods runs"
    return DiscoveryProblem(
        NO_PRIMARY,
        f"database.cluster: cluster {cluster.name} in {pool.metadata.namespace} has no primary that is "
        f"certain: {found}; clients wait until there is one",
    )
