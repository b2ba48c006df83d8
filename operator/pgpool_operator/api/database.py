"""Where PostgreSQL is: a cluster in Kubernetes, or single servers outside."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from .base import ApiModel, Cpu, HostName, Port, rules


class Provider(StrEnum):
    """Who runs the PostgreSQL cluster, and so by which labels its pods are found."""

    PATRONI = "patroni"


class ServerRole(StrEnum):
    """What a PostgreSQL server is in its cluster."""

    PRIMARY = "primary"
    REPLICA = "replica"


class Cluster(ApiModel):
    """PostgreSQL in this namespace, found by its pods' labels; failover is followed."""

    provider: Provider
    """Who runs the cluster: patroni."""
    name: Annotated[str, Field(min_length=1, max_length=63)]
    """The cluster's name (Patroni: its scope)."""
    port: Port = 5432
    """The port of PostgreSQL in each pod."""
    container: (
        Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")] | None
    ) = None
    """The container that runs PostgreSQL: its CPU counts. Needed if the pods have several."""
    match_labels: Annotated[dict[str, str], Field(max_length=8)] | None = None
    """The labels of the cluster's pods; {cluster-name: <name>} if not set. Which of them is what, their label role
    says, with Patroni's values: primary (or master), replica, standby_leader."""


class Server(ApiModel):
    """One PostgreSQL server that this Kubernetes does not run."""

    host: HostName
    """Its host name or address. One server, never a Service or balancer over several."""
    port: Port = 5432
    """Its port."""
    role: ServerRole = ServerRole.PRIMARY
    """primary or replica; at most one primary."""
    cpu: Cpu | None = None
    """Its CPUs: 16, "1.5" or 500m. Needed here or as budget.cpu."""


class Database(ApiModel):
    """Where PostgreSQL is: exactly one of cluster and servers."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("has(self.cluster) != has(self.servers)", "set exactly one of cluster, servers")
        )
    )

    cluster: Cluster | None = None
    """PostgreSQL in this namespace, found by its pods' labels; failover is followed."""
    servers: (
        Annotated[
            tuple[Server, ...],
            Field(
                min_length=1,
                max_length=16,
                json_schema_extra=rules(
                    (
                        "self.filter(s, !has(s.role) || s.role == 'primary').size() <= 1",
                        "one server can be the primary: give the others role: replica",
                    ),
                    (
                        "self.all(a, self.exists_one(b, a.host == b.host && a.port == b.port))",
                        "the same host and port is listed twice",
                    ),
                )
                | {"x-kubernetes-list-type": "atomic"},
            ),
        ]
        | None
    ) = None
    """Servers that this Kubernetes does not run, each one by itself."""
