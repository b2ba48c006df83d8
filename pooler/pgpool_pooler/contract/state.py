"""The state: what a pod says of itself at `GET /v1/state`."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from ._wire import Wire
from .grant import CONTRACT_VERSION


class Phase(StrEnum):
    """Where the pod is in its life."""

    GATED = "Gated"
    """No usable grant (or it has not waited out its own old backends): no engine runs."""
    STARTING = "Starting"
    SERVING = "Serving"
    PAUSED = "Paused"
    DRAINING = "Draining"
    STOPPED = "Stopped"


class Problem(Wire):
    """Something a person must mend: `field` is a path in the PgPool's spec, `text` says what and how."""

    field: str
    text: str
    reason: str
    """A reason of the PgPool's conditions, e.g. SecretInvalid, EngineRejected, LoginFailed."""


class ServerIdentity(Wire):
    """What the server said of itself over the pod's own pooled connection."""

    address: str
    """inet_server_addr(); with port and started_at it tells one server from another, whatever its names."""
    port: int
    started_at: datetime
    """pg_postmaster_start_time()."""
    version: str
    """server_version, e.g. 17.6."""
    max_connections: int
    reserved_connections: int
    """superuser_reserved_connections + reserved_connections (PostgreSQL >= 16), not for the pools' users."""
    in_recovery: bool
    client_address: str
    """inet_client_addr(): this pod as the server sees it; not the pod's IP behind NAT."""
    detects_dead_clients: bool
    """client_connection_check_interval, keepalives and tcp_user_timeout were read back as set: ghosts end soon."""
    asked_at: datetime | None = None
    """clock_timestamp() when it said so: of two answers of one server, the one from before a restart is told by
    the server's own clock."""


class DatabaseState(Wire):
    """One database of the pool in this pod."""

    name: str
    limit: int
    """Connections the engine may open now."""
    open: int
    active: int
    clients: int
    waiting: int
    max_wait_seconds: float


class Activity(Wire):
    """What the pool's backends do, those of all pods, as one look at the server's pg_stat_activity saw it.

    A backend is one of the pool's if its user is one of the pool's users and its database one of the pool's.
    """

    age_seconds: float
    """How long ago the look was."""
    cpu: int = 0
    """Active and waiting for nothing: on a CPU, or ready to be."""
    io: int = 0
    """Active, wait_event_type IO."""
    lock: int = 0
    """Active, wait_event_type Lock."""
    other: int = 0
    """Active, any other wait (LWLock, IPC, Timeout, Client...)."""
    held: int = 0
    """Idle in a transaction: a client holds the backend and asks nothing of it."""
    idle: int = 0
    unseen: int = 0
    """Backends of other users, whose state this login may not see (it is not a member of pg_monitor)."""


class Backends(Wire):
    """All client backends of the server, of whatever user, by where they come from, as one look saw them."""

    age_seconds: float
    """How long ago the question was asked: what was seen is no older."""
    complete: bool
    """The login may see all users' backends (pg_monitor), and all addresses are named: who is not has none."""
    by_address: dict[str, int] = Field(default_factory=dict)
    """Backends by client_addr, those over a unix socket left out; at most 128 addresses, the fullest first."""


class ServerState(Wire):
    """One server, as this pod sees it."""

    host: str
    port: int
    cap: int
    open: int
    """Connections of all databases, those being removed included."""
    active: int
    reachable: bool | None
    """None: not tried yet."""
    error: str = ""
    identity: ServerIdentity | None = None
    others: tuple[ServerIdentity, ...] = ()
    """Other servers that answered at the same time as `identity`, over other connections of this pod: there are
    several behind the address."""
    activity: Activity | None = None
    """None: nobody looked of late, as nobody waits, or the look got no answer. A monitor also looks once a minute
    while nobody waits; what it saw is here for 15 s."""
    backends: Backends | None = None
    """None: there is no monitor, or its last look, at most 15 s ago, got no answer."""


class State(Wire):
    """One pod, now."""

    version: int = CONTRACT_VERSION
    uid: str
    pod: str
    phase: Phase
    ready: bool
    generation: int
    """Of the grant that was accepted (persisted); 0 without one."""
    acknowledged: int
    """The highest generation that is in force *and* drained: no database above its share for half a second, no
    connection left to a server that it does not grant. What the ledger may release on."""
    cap: int
    """Of the accepted grant, summed over servers."""
    servers: tuple[ServerState, ...] = ()
    databases: tuple[DatabaseState, ...] = ()
    """Those that clients use; not the monitor's."""
    clients: int = 0
    waiting: int = 0
    max_clients: int = 0
    """Clients that the engine takes at most (PgBouncer: max_client_conn); 0: not known."""
    transactions: int = 0
    """Begun since the engine started (PgBouncer: total_xact_count)."""
    busy_seconds: float = 0.0
    """Backend time in ended transactions since the engine started, summed (PgBouncer: total_xact_time without
    total_wait_time). It may go back a little: PgBouncer books a wait when it ends, the work only later."""
    query_seconds: float = 0.0
    """The part of it in which a query ran (PgBouncer: total_query_time without total_wait_time)."""
    cpu_seconds: float = 0.0
    """The engine's user + system time since it started."""
    cpu_available: float = 0.0
    """CPUs that the engine can use: its threads, or the container's limit where that is less; 0: not known."""
    config_hash: str = ""
    """`content_hash` of the files that the engine accepted last."""
    secrets_version: str = ""
    """Hash of what is mounted from Secrets; the same on all pods once all have seen the newest."""
    problems: tuple[Problem, ...] = ()
