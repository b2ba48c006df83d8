"""What the agent asks of an engine, whatever the engine is.

The agent decides (`pgpool_pooler.agent.plan`); an engine only carries out and reports. An engine says of itself
how it takes a change of its caps, because that decides how the budget can be moved without exceeding it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Protocol

from pgpool_pooler.contract import MONITOR_DATABASE, Endpoint, Peers, PoolConfig, PoolMode


class CapChange(StrEnum):
    """What it takes to change an engine's caps."""

    LIVE = "live"
    """A command; nothing else happens."""
    RELOAD = "reload"
    """The configuration is read again; clients stay."""
    RESTART = "restart"
    """Clients are disconnected."""


@dataclass(frozen=True)
class Traits:
    """What an engine is like; constants measured on the real one."""

    cap_change: CapChange
    reload_doubles: bool
    """Connections of the old and the new configuration exist side by side for a while after a reload, so a
    reload needs the sum of both in the budget (Odyssey 12 -> 4 peaked at 16; HAProxy 12 + 10 = 22)."""
    threads: int
    """Threads that do the work: the engine cannot use more CPUs than that."""


@dataclass(frozen=True)
class User:
    """Who may log in: a clear password, a verifier (SCRAM-SHA-256$... or md5...), or both."""

    name: str
    password: str = field(default="", repr=False)
    verifier: str = field(default="", repr=False)
    secret: int = 0
    """Number of the Secret in spec.auth.userSecrets that it came from."""


@dataclass(frozen=True)
class Material:
    """What a pod was given besides its grant. Certificates are file name -> content."""

    config: PoolConfig
    config_hash: str
    peers: Peers
    endpoint: Endpoint
    users: tuple[User, ...]
    monitor: User | None = None
    """Whom the agent logs in as to see what all backends do; None: nobody, or its Secret was never good."""
    revoked: frozenset[str] = frozenset()
    """Names that were allowed since the engine started and are no longer."""
    client_tls: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    server_tls: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def databases(self) -> tuple[str, ...]:
        """The names that clients may ask for."""
        return tuple(database.name for database in self.config.databases)

    @property
    def logins(self) -> tuple[User, ...]:
        """All that the Secrets name: the pool's users and the monitor."""
        return (*self.users, self.monitor) if self.monitor is not None else self.users

    @property
    def entries(self) -> tuple[str, ...]:
        """The names that the engine opens connections for: the clients' databases and the monitor's entry."""
        watched = self.config.monitor is not None and self.monitor is not None
        return (*self.databases, MONITOR_DATABASE) if watched else self.databases


@dataclass(frozen=True)
class Setup:
    """All that an engine is told at a time. `limits` are connections per database, each at least 1."""

    material: Material
    peer_id: int
    host: str
    port: int
    cap: int
    limits: Mapping[str, int]
    crowd: Mapping[str, int] = field(default_factory=dict)
    """Database -> users that have clients there now."""

    @property
    def pool_mode(self) -> PoolMode:
        """SESSION where any client keeps a backend for its session, which undoes what is set on a connection."""
        config = self.material.config
        modes = [database.pool_mode for database in config.databases if database.name in self.limits]
        modes += [user.pool_mode for user in config.users if user.pool_mode is not None]
        return PoolMode.SESSION if PoolMode.SESSION in modes else config.pool_mode


@dataclass(frozen=True)
class DatabaseLoad:
    """One database in the engine, now."""

    open: int = 0
    """Connections to the server, those being opened included."""
    usable: int = 0
    """Connections that have logged in."""
    active: int = 0
    clients: int = 0
    waiting: int = 0
    max_wait_seconds: float = 0.0


@dataclass(frozen=True)
class EngineStatus:
    """What the engine says of itself, now."""

    databases: Mapping[str, DatabaseLoad] = field(default_factory=dict)
    paused: bool = False
    retired: frozenset[str] = frozenset()
    """Databases that take no new client and open no connection."""
    crowd: Mapping[str, int] = field(default_factory=dict)
    logged_in: frozenset[tuple[str, str]] = frozenset()
    """(database, user) that have a usable connection."""
    queues: frozenset[tuple[str, str]] = frozenset()
    """(database, user) that have clients waiting; not the monitor's entry."""
    excess: Mapping[str, int] = field(default_factory=dict)
    """Database -> connections above what it, or one of its users, may have there; only those that have any."""
    bystanders: bool = False
    """Whether a user of a database has connections there and not too many; the monitor does not count."""
    max_clients: int = 0
    """Clients that the engine takes at most; 0: not known."""
    transactions: int = 0
    """Begun since the engine started; as the seconds, of the clients' databases."""
    busy_seconds: float = 0.0
    """Of connections in transactions."""
    query_seconds: float = 0.0
    """Of connections in queries."""
    totals: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Database -> counters since the engine started, by the engine's names."""

    @property
    def served(self) -> Mapping[str, DatabaseLoad]:
        """The databases that clients use: all but the monitor's entry."""
        return {name: load for name, load in self.databases.items() if name != MONITOR_DATABASE}

    @property
    def open(self) -> int:
        """Connections to the server, of all databases."""
        return sum(load.open for load in self.databases.values())

    @property
    def usable(self) -> int:
        """Connections that have logged in, of the clients' databases."""
        return sum(load.usable for load in self.served.values())

    @property
    def clients(self) -> int:
        """Clients of their databases, waiting ones included."""
        return sum(load.clients for load in self.served.values())

    @property
    def waiting(self) -> int:
        """Clients that wait for a connection."""
        return sum(load.waiting for load in self.served.values())

    def open_of(self, database: str) -> int:
        """Connections of one database."""
        return self.databases.get(database, DatabaseLoad()).open


class FailureKind(StrEnum):
    """Why a connection to the server could not be opened; as reasons of DatabaseReachable, but for FULL."""

    UNREACHABLE = "Unreachable"
    FULL = "Full"
    """The server or a CONNECTION LIMIT has no place left just now: backends of vanished clients may fill it."""
    LOGIN = "LoginFailed"
    TLS = "TLSFailed"


@dataclass(frozen=True)
class ServerFailure:
    """The engine could not open a connection; `text` is the engine's or PostgreSQL's own."""

    kind: FailureKind
    database: str
    user: str
    text: str


class EngineError(Exception):
    """The engine does not answer."""


class EngineRejected(Exception):  # noqa: N818
    """The engine refused a configuration, in its own words; what it had before still serves."""

    def __init__(self, words: str, *, ran: bool = False) -> None:
        """`ran`: of a start, the process lived and was ended; it may have opened connections meanwhile."""
        super().__init__(words)
        self.ran = ran


class Engine(Protocol):
    """A pooler process that the agent runs. Methods raise EngineError when the process does not answer."""

    traits: ClassVar[Traits]

    @property
    def running(self) -> bool:
        """Whether the process exists."""

    @property
    def pid(self) -> int | None:
        """The process, if it exists."""

    @property
    def last_words(self) -> str:
        """The last errors that the engine wrote, for a message."""

    def needs_restart(self, old: Setup, new: Setup) -> bool:
        """Whether going from one to the other takes a new process."""

    async def start(self, setup: Setup) -> None:
        """Start the process and return once it accepts clients; raises EngineRejected.

        When it raises, no process is left.
        """

    async def observe(self) -> EngineStatus:
        """Ask the engine how it is."""

    async def apply(self, setup: Setup) -> None:
        """Make `setup` the one in force, or keep the old one and raise EngineRejected."""

    async def pause(self) -> None:
        """Give no connection to a client any more and close each one as it becomes free. Returns at once."""

    async def resume(self) -> None:
        """Undo `pause`."""

    async def retire(self, database: str) -> None:
        """Refuse new clients of a database and close its connections as they become free."""

    async def revive(self, database: str) -> None:
        """Undo `retire`."""

    async def shed(self, excess: Mapping[str, int], *, opening: bool) -> None:
        """Close so many connections per database as they become free; without `opening`, open none meanwhile.

        It goes on until the next call: more may close than were asked for. With nothing in excess and `opening`
        the engine is as it was before.
        """

    async def abort_busy(self) -> None:
        """Disconnect the clients that hold a connection, with it."""

    async def stop_accepting(self) -> None:
        """Take no new client; disconnect those that are idle; go on serving the others."""

    async def finish(self) -> None:
        """Let running transactions end, start none, then exit."""

    async def kill(self) -> None:
        """End the process now, and wait until it is gone."""
