"""The PgBudget resource: the ledger of one database server's connections."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from pgpool_pooler.contract import Endpoint

from .base import SET, ApiModel, Cpu, HostName, ObjectName, Port, map_by, rules
from .core import Condition, Metadata


class BudgetServer(ApiModel):
    """The server: an instance of a cluster in this namespace, or a host."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self == oldSelf",
                "server cannot be changed: a ledger belongs to one server, make another PgBudget",
            ),
            (
                "has(self.host) ? !has(self.cluster) && !has(self.instance) "
                ": has(self.cluster) && has(self.instance)",
                "set cluster and instance, or host",
            ),
        )
    )

    cluster: Annotated[str, Field(min_length=1, max_length=63)] | None = None
    """The cluster's name."""
    instance: ObjectName | None = None
    """The name of the server's pod."""
    host: HostName | None = None
    """Host name or address of a server that this Kubernetes does not run."""
    port: Port = 5432
    """The server's port."""


Namespace = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
"""The name of a namespace."""


PodName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=317,
        pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?/)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
    ),
]
"""The name of a pod; of another namespace's pod: <namespace>/<name>."""


class PgBudgetSpec(ApiModel):
    """For the database's administrator; the operator writes server only."""

    server: BudgetServer
    """The server: an instance of a cluster in this namespace, or a host."""
    limit: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """The most connections that all pools together may have, whatever PgPools ask. None if not set."""
    allowed_namespaces: Annotated[tuple[Namespace, ...], Field(max_length=64, json_schema_extra=SET)] = ()
    """Other namespaces whose PgPools may draw on this budget, if they name the server by the same host and port.
    The first PgBudget of a server owns it for all namespaces; who is not allowed gets no connections."""
    release: Annotated[tuple[PodName, ...], Field(max_length=64, json_schema_extra=SET)] = ()
    """Pods that a person declares dead: what they hold is free at once; if one still runs, the budget is broken.
    Obeyed only for pods in state Unknown. One of another namespace than the PgBudget's is named <namespace>/<name>.
    Nobody takes a name out again but you."""


class CpuSource(StrEnum):
    """Where the number of CPUs is from."""

    SPEC = "Spec"
    CONTAINER_LIMIT = "ContainerLimit"
    CONTAINER_REQUEST = "ContainerRequest"
    NODE_ALLOCATABLE = "NodeAllocatable"


class GrantState(StrEnum):
    """Where a pod's grant is in its life."""

    GATED = "Gated"
    """Reserved, not yet acknowledged for the first time."""
    ACTIVE = "Active"
    SHRINKING = "Shrinking"
    """cap was lowered; reserved follows when the pod has drained."""
    DRAINING = "Draining"
    """The pod goes, moves to another server, or has gone and its backends may still be there."""
    UNKNOWN = "Unknown"
    """The pod is lost and not proven dead, or nobody knows how long its backends last: counted until that is known,
    or until a person releases it."""


class GrantRecord(ApiModel):
    """What one pod may hold on this server."""

    uid: Annotated[str, Field(min_length=1)]
    """The pod's UID."""
    pod: str
    """The pod's name."""
    pool: str
    """Its PgPool: <namespace>/<name>; <namespace>/ or empty of a pod that has none."""
    endpoint: Endpoint
    """write or read."""
    node: str = ""
    """The node that the pod was bound to; empty before that."""
    node_uid: str = ""
    """That node's UID, as it was when the pod ran: a machine that comes by the same name later proves nothing of
    the pod. Empty: not known."""
    grace_seconds: float = 0.0
    """How long the kubelet lets the pod go on after its deletion."""
    overdue: bool = False
    """The kubelet, alive, had not ended the deleted pod long after it should have: that it is alive does not prove
    the pod's end any more."""
    addresses: Annotated[tuple[str, ...], Field(json_schema_extra=SET)] = ()
    """The pod's addresses, as the server and Kubernetes know them: by these its backends are recognised."""
    direct: bool | None = None
    """Whether the server sees the pod under an address of its own, with no NAT in between; None: not known yet."""
    detects_dead_clients: bool | None = None
    """Whether the server notices clients that vanish, so that a dead pod's backends end within seconds, as the pod
    itself read last; None: it has not read that yet."""
    assumed_to_detect: bool = False
    """What is taken for detectsDeadClients of a pod that has not read that, by what others have read."""
    backends: int | None = None
    """Backends that the server still has from the addresses of a pod that is proven dead: they keep what is
    reserved. None: it has none, nobody sees them, or they are about to end."""
    cap: Annotated[int, Field(ge=0)]
    """Connections that the pod shall have at most."""
    reserved: Annotated[int, Field(ge=0)]
    """Connections that the pod may have by any grant that is or was on its way."""
    generation: Annotated[int, Field(ge=0)]
    """Of the newest grant."""
    state: GrantState
    """Gated: not acknowledged yet. Active: in force. Shrinking: cap was lowered, reserved follows once the pod has
    given back. Draining: the pod goes, moves to another server, or is dead and its backends may still be there.
    Unknown: the pod is not proven dead, or its backends are not proven to end: kept until a person releases it."""
    since: datetime
    """When it came into this state."""

    def namespace_in(self, ledger: str) -> str:
        """The pod's namespace, which is its PgPool's; without one, the namespace of the `ledger`."""
        return self.pool.rpartition("/")[0] or ledger


class SeenServer(ApiModel):
    """What a server says of itself; all three tell it from every other."""

    address: str
    """inet_server_addr()."""
    port: int
    """inet_server_port()."""
    started_at: datetime
    """pg_postmaster_start_time()."""


class PgBudgetStatus(ApiModel):
    """The ledger. Written by compare-and-swap only, and by the operator only."""

    observed_generation: int = -1
    """The metadata.generation that this status was written for; -1 before the first look."""
    address: str = ""
    """Host and port that pods connect to."""
    role: str = ""
    """primary or replica."""
    reached: bool = False
    """Clients were served by the server, or may have been before this ledger was made: backends of pods that die
    are waited for even if no agent could ever ask the server anything."""
    version: str = ""
    """The server's version, as it said itself."""
    max_connections: int | None = None
    """The server's max_connections, as it said itself."""
    server_reserved_connections: int | None = None
    """The server's superuser_reserved_connections + reserved_connections, as it said itself."""
    started_at: datetime | None = None
    """When the server started, as it said itself."""
    servers: tuple[SeenServer, ...] = ()
    """The server as it tells itself from others; several entries if several servers answer at the address."""
    aliases: Annotated[tuple[str, ...], Field(json_schema_extra=SET)] = ()
    """Other PgBudgets (<namespace>/<name>) of the same server: together they reserve no more than one of them."""
    cpu: Cpu | None = None
    """The server's CPUs."""
    cpu_source: CpuSource | None = None
    """Where cpu is from: Spec, ContainerLimit, ContainerRequest or NodeAllocatable."""
    connections_per_cpu: int | None = None
    """The strictest of all pools on the server."""
    set_by: str = ""
    """The PgPool whose connectionsPerCpu holds: <namespace>/<name>."""
    reserved_connections: int | None = None
    """Of max_connections, kept for those who do not come through a pool."""
    connections: int = 0
    """The budget B: what all grants together may reserve."""
    reserved: int = 0
    """What all grants together reserve."""
    unknown: int = 0
    """The part of reserved that pods in state Unknown hold."""
    recovering: bool = False
    """The ledger was lost, rolled back or edited: nothing grows until every pod was heard or is proven dead."""
    freed: Annotated[tuple[str, ...], Field(json_schema_extra=SET)] = ()
    """Pods (uid) that gave back all when they were gone for good, as long as their objects are there."""
    seal: str = ""
    """Of connections and grants as the operator wrote them: it tells when somebody else did."""
    pools: Annotated[tuple[str, ...], Field(json_schema_extra=SET)] = ()
    """The PgPools on the server: <namespace>/<name>."""
    grants: Annotated[tuple[GrantRecord, ...], Field(json_schema_extra=map_by("uid"))] = ()
    """What each pod may hold."""
    conditions: Annotated[tuple[Condition, ...], Field(json_schema_extra=map_by("type"))] = ()
    """Ready, Draining and Held."""


class PgBudget(ApiModel):
    """The ledger of one database server: who may hold how many of its connections."""

    metadata: Metadata
    spec: PgBudgetSpec
    status: PgBudgetStatus = PgBudgetStatus()
