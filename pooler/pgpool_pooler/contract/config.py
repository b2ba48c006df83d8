"""The pool's configuration, the same for every pod: no servers, no caps, no secrets."""

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from ._wire import Wire
from .grant import CONTRACT_VERSION


class PoolMode(StrEnum):
    """When a backend goes back to the pool (PgBouncer's own spelling)."""

    SESSION = "session"
    TRANSACTION = "transaction"
    STATEMENT = "statement"


class Endpoint(StrEnum):
    """Which side of the database a pod serves."""

    WRITE = "write"
    READ = "read"


class ServerTlsMode(StrEnum):
    """libpq's sslmode values that a pooler can keep."""

    DISABLE = "disable"
    PREFER = "prefer"
    REQUIRE = "require"
    VERIFY_CA = "verify-ca"
    VERIFY_FULL = "verify-full"


class ClientTls(Wire):
    """TLS between clients and the pooler; the certificate is mounted beside."""

    mode: str
    """allow, prefer, require, verify-ca or verify-full."""


class ServerTls(Wire):
    """TLS between the pooler and the database; `has_secret` says that ca.crt is mounted."""

    mode: ServerTlsMode = ServerTlsMode.PREFER
    has_secret: bool = False


class DatabaseConfig(Wire):
    """One database that clients may ask for, and where it leads."""

    name: str
    dbname: str
    pool_mode: PoolMode
    max_percent: int | None = None
    """At most this part of the pod's connections, rounded up."""


class Monitor(Wire):
    """A role that may see what all backends do, and where it logs in; its Secret is mounted beside."""

    secret: str
    """The Secret's name, for messages."""
    dbname: str
    """A database on the server."""


class UserRule(Wire):
    """What differs for one user."""

    name: str
    endpoints: tuple[Endpoint, ...] = (Endpoint.WRITE, Endpoint.READ)
    pool_mode: PoolMode | None = None
    max_percent: int | None = None


class Timeouts(Wire):
    """Seconds; 0 means none. Names as in PgPool's spec.timeouts."""

    connect_seconds: int = 3
    login_seconds: int = 15
    queue_seconds: int = 120
    query_seconds: int = 0
    idle_in_transaction_seconds: int = 0
    client_idle_seconds: int = 0
    dead_peer_seconds: int = 30
    drain_seconds: int = 60
    switchover_seconds: int = 30


class PoolConfig(Wire):
    """Everything about a pool that its pods share."""

    version: int = CONTRACT_VERSION
    engine: str = "pgbouncer"
    pool_mode: PoolMode = PoolMode.TRANSACTION
    databases: tuple[DatabaseConfig, ...] = Field(min_length=1)
    user_secrets: tuple[str, ...] = ()
    """Names of spec.auth.userSecrets in order: number i is mounted at `<users>/i`. For messages only."""
    users: tuple[UserRule, ...] = ()
    monitor: Monitor | None = None
    """None: the agents see only what their users may."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """The engine's own parameters; the engine's typed model reads them."""
    timeouts: Timeouts = Timeouts()
    client_tls: ClientTls | None = None
    server_tls: ServerTls = ServerTls()


class Peers(Wire):
    """The pool's pods, so that a cancel request that reaches one pod finds the pod it is meant for."""

    addresses: dict[Annotated[int, Field(ge=1, le=16383)], str] = Field(default_factory=dict)
    """peer_id -> pod IP."""


def content_hash(data: Mapping[str, str]) -> str:
    """Hash of a ConfigMap's data: what operator and agent compare to know that they mean the same files."""
    canonical = json.dumps(dict(data), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
