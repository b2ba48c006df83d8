"""The PgPool resource: what a user asks for."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from pgpool_pooler.contract import MONITOR_DATABASE, Endpoint, PoolMode, ServerTlsMode

from .base import (
    SET,
    ApiModel,
    Cpu,
    ObjectName,
    Percent,
    PostgresName,
    map_by,
    rules,
)
from .core import LocalRef, Metadata
from .database import Database
from .endpoints import Read, Write
from .pgbouncer import PgBouncer
from .pgpool_status import PgPoolStatus
from .pods import Pods


class Engine(StrEnum):
    """The poolers that this release can run."""

    PGBOUNCER = "pgbouncer"


class PooledDatabase(ApiModel):
    """One database that clients may ask for."""

    name: Annotated[
        PostgresName,
        Field(
            json_schema_extra=rules(
                (
                    "self != 'pgbouncer'",
                    "pgbouncer is the name of the pooler's own console: choose another name and set dbname",
                ),
                (
                    f"self != '{MONITOR_DATABASE}'",
                    f"{MONITOR_DATABASE} is the name of the monitor's own entry (auth.monitor): choose another "
                    "name and set dbname",
                ),
            )
        ),
    ]
    """What clients ask for. No "*": the budget is divided over this list."""
    dbname: PostgresName | None = None
    """The database's name on the server; name if not set."""
    pool_mode: PoolMode | None = None
    """When a backend goes back to the pool, as spec.poolMode, which holds if not set."""
    max_percent: Percent | None = None
    """At most this part of each pod's connections, rounded up. No limit if not set."""


class Monitor(ApiModel):
    """A role that may see what all backends do: LOGIN, member of pg_monitor."""

    secret_ref: LocalRef
    """Secret with the keys username or user, and password."""


class Auth(ApiModel):
    """Who may log in."""

    user_secrets: Annotated[
        tuple[LocalRef, ...], Field(min_length=1, max_length=64, json_schema_extra=map_by("name"))
    ]
    """Secrets with the keys username or user, password and perhaps verifier (SCRAM), or userlist.txt."""
    monitor: Monitor | None = None
    """A role with pg_monitor: the pods see with it what the backends of all the pool's users do, and name what
    keeps the database busy. Costs one connection per pod. Without it they see what a user may of the others."""


class User(ApiModel):
    """What differs for one user."""

    name: PostgresName
    """The user."""
    endpoints: (
        Annotated[tuple[Endpoint, ...], Field(min_length=1, max_length=2, json_schema_extra=SET)] | None
    ) = None
    """Where the user may log in: write, read; both if not set."""
    pool_mode: PoolMode | None = None
    """When a backend goes back to the pool, as spec.poolMode; the database's if not set."""
    max_percent: Percent | None = None
    """At most this part of each pod's connections, rounded up. No limit if not set."""


class Budget(ApiModel):
    """How many connections each server gets; if several PgPools use one server, the strictest holds."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.connectionsPerCpu <= 4 || (has(self.overcommit) && self.overcommit)",
                "above 4 per CPU a database usually gets slower, not faster: measure first, "
                "then set overcommit: true",
            )
        )
    )

    connections_per_cpu: Annotated[int, Field(ge=1, le=16)] = 3
    """Connections for each CPU of the server; above 4 only with overcommit."""
    cpu: Cpu | None = None
    """CPUs of each server: 16, "1.5" or 500m. If not set: the container's limit, else its request, else all of the
    node's allocatable CPU."""
    reserved_connections: Annotated[int, Field(ge=0, le=10_000)] = 10
    """Of max_connections, kept for those who do not come through a pool."""
    overcommit: bool = False
    """Allows more than 4 connections for each CPU."""


class ClientTlsMode(StrEnum):
    """What the pooler asks of its clients."""

    ALLOW = "allow"
    PREFER = "prefer"
    REQUIRE = "require"
    VERIFY_CA = "verify-ca"
    VERIFY_FULL = "verify-full"


class ClientTls(ApiModel):
    """TLS between clients and the pooler."""

    secret_name: ObjectName
    """Secret with tls.crt, tls.key and, for verify-ca and verify-full, ca.crt (as cert-manager makes it)."""
    mode: ClientTlsMode = ClientTlsMode.REQUIRE
    """allow, prefer, require, verify-ca or verify-full."""


class ServerTls(ApiModel):
    """TLS between the pooler and the database."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.mode) || !self.mode.startsWith('verify-') || has(self.secretName)",
                "modes verify-ca and verify-full need secretName: a Secret with ca.crt",
            )
        )
    )

    secret_name: ObjectName | None = None
    """Secret with ca.crt and perhaps tls.crt, tls.key; only these keys are mounted."""
    mode: ServerTlsMode | None = None
    """disable, prefer, require, verify-ca or verify-full. If not set: with secretName verify-full for
    database.servers and verify-ca for database.cluster, else prefer."""


class Tls(ApiModel):
    """Encryption on both sides of the pooler."""

    client: ClientTls | None = None
    """Between clients and the pooler. If not set, clients cannot use TLS."""
    server: ServerTls | None = None
    """Between the pooler and the database. If not set, TLS where the server has it (prefer), and its certificate is
    not checked."""


_WEEK = 604_800


class Timeouts(ApiModel):
    """Times in seconds; 0 is none."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.queueSeconds == 0 || self.queueSeconds > self.switchoverSeconds",
                "queueSeconds must be 0 or more than switchoverSeconds: clients wait in the queue while a "
                "switchover is under way",
            )
        )
    )

    connect_seconds: Annotated[int, Field(ge=1, le=60)] = 3
    """For a connection to the database, login included."""
    login_seconds: Annotated[int, Field(ge=1, le=300)] = 15
    """For a client's login."""
    queue_seconds: Annotated[int, Field(ge=0, le=86_400)] = 120
    """How long a client may wait for a backend; it fails after that."""
    query_seconds: Annotated[int, Field(ge=0, le=_WEEK)] = 0
    """For one query."""
    idle_in_transaction_seconds: Annotated[int, Field(ge=0, le=_WEEK)] = 0
    """How long a client may hold a transaction without doing anything."""
    client_idle_seconds: Annotated[int, Field(ge=0, le=_WEEK)] = 0
    """How long a client may stay connected without doing anything."""
    dead_peer_seconds: Annotated[int, Field(ge=25, le=600)] = 30
    """How long sent data may stay unacknowledged before a connection counts as dead (tcp_user_timeout). PostgreSQL
    has to give up first, and does after 20 s: otherwise a pod would open new connections beside the old ones."""
    drain_seconds: Annotated[int, Field(ge=0, le=3600)] = 60
    """How long a pod that goes lets transactions run. It disconnects each client between two transactions, starts
    none in the second half, and cuts off who is still in one at the end. Clients have to reconnect."""
    switchover_seconds: Annotated[int, Field(ge=1, le=300)] = 30
    """How long transactions may go on at a server that its pods leave, as in a switchover, until they are cut off.
    Clients wait meanwhile, and until the next server is there, for queueSeconds at most."""


_SPEC_RULES: dict[str, Any] = rules(
    (
        "!has(self.database.servers) || has(self.budget.cpu) || self.database.servers.all(s, has(s.cpu))",
        "the CPUs of a server outside this cluster cannot be discovered: set cpu on each of "
        "database.servers, or budget.cpu",
    ),
    (
        "!has(self.database.servers) || !has(self.write) || "
        "self.database.servers.exists(s, !has(s.role) || s.role == 'primary')",
        "no server is the primary: give one role: primary, or leave write out",
    ),
    (
        "has(self.write) || has(self.read)",
        "set write, read or both: an endpoint exists when its block does, write: {} is enough",
    ),
    (
        "!has(self.users) || self.users.all(u, !has(u.endpoints) || u.endpoints.all(e, "
        "(e == 'write' && has(self.write)) || (e == 'read' && has(self.read))))",
        "users[].endpoints names an endpoint that is not there",
    ),
    (
        "self.poolMode != 'session' || ((!has(self.write) || !has(self.write.autoscaling)) && "
        "(!has(self.read) || !has(self.read.autoscaling)))",
        "poolMode session: every client holds a backend until it leaves, so more pods cannot serve more clients "
        "and pods cannot be drained; use poolMode transaction, or replicas instead of autoscaling",
    ),
)


class PgPoolSpec(ApiModel):
    """What the user asks for."""

    model_config = ConfigDict(json_schema_extra=_SPEC_RULES)

    database: Database
    """Where PostgreSQL is: exactly one of cluster and servers."""
    databases: Annotated[
        tuple[PooledDatabase, ...], Field(min_length=1, max_length=32, json_schema_extra=map_by("name"))
    ]
    """The databases that clients may ask for; each costs one connection per pod at least."""
    auth: Auth
    """Who may log in."""
    users: Annotated[tuple[User, ...], Field(max_length=64, json_schema_extra=map_by("name"))] = ()
    """Rules for single users."""
    budget: Budget = Budget()
    """How many connections each server gets; if several PgPools use one server, the strictest holds."""
    engine: Engine = Engine.PGBOUNCER
    """The pooler."""
    pool_mode: PoolMode = PoolMode.TRANSACTION
    """When a backend goes back to the pool: session, transaction or statement."""
    pgbouncer: PgBouncer = PgBouncer()
    """Settings of the engine pgbouncer."""
    write: Write | None = None
    """The endpoint to the primary, <name>-rw; it exists when this block does."""
    read: Read | None = None
    """The endpoint to the replicas, <name>-ro; it exists when this block does."""
    tls: Tls = Tls()
    """Encryption on both sides of the pooler."""
    timeouts: Timeouts = Timeouts()
    """Times in seconds; 0 is none."""
    pods: Pods = Pods()
    """The pods of both endpoints."""
    paused: bool = False
    """Clients wait and no queries run, until queueSeconds; the operator goes on working."""


class PgPool(ApiModel):
    """A pool of poolers in front of one PostgreSQL, within the budget of its servers."""

    metadata: Metadata
    spec: PgPoolSpec
    status: PgPoolStatus = PgPoolStatus()
