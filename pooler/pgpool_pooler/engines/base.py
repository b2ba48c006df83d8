"""What the agent asks of an engine, whatever the engine is.

The agent decides (`pgpool_pooler.agent.plan`); an engine only carries out and reports.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Protocol

from pgpool_pooler.contract import MONITOR_DATABASE, Endpoint, Peers, PoolConfig, PoolMode


@dataclass(frozen=True)
class Traits:
    """What an engine is like."""

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
    """All that an engine is told at a time.

    `limits` are connections per database; 0 is the limit of one that goes and still has some.
    """

    material: Material
    peer_id: int
    host: str
    port: int
    cap: int
    limits: Mapping[str, int]
    crowd: Mapping[str, int] = field(default_factory=dict)
    """Database -> users that have clients there now."""
    closing: frozenset[str] = frozenset()
    """Databases where connections close as they become free, because there are too many."""
    hurried: frozenset[str] = frozenset()
    """Those of them that close as fast as they can: more are at work than the limit, and clients wait."""
    held_back: Mapping[str, int] = field(default_factory=dict)
    """Database -> places of its limit that stay empty: what has closed there, the server may still be ending."""
    most_of_one: Mapping[str, int] = field(default_factory=dict)
    """Database that closes -> the most connections that one of its users has."""
    had_sessions: bool = False
    """This engine was in session mode: some of its connections may have lost what is set on them, until the engine
    starts anew."""

    @property
    def pool_mode(self) -> PoolMode:
        """SESSION where any client keeps a backend for its session, which undoes what is set on a connection, and
        where one did."""
        if self.had_sessions:
            return PoolMode.SESSION
        config = self.material.config
        modes = [database.pool_mode for database in config.databases if database.name in self.limits]
        modes += [user.pool_mode for user in config.users if user.pool_mode is not None]
        return PoolMode.SESSION if PoolMode.SESSION in modes else config.pool_mode

    def database_limit(self, name: str) -> int:
        """Connections that all users of a database may have there together.

        Never 0, which means unlimited to PgBouncer: a database that has 0 is paused instead.
        """
        if name == MONITOR_DATABASE:
            return 1
        limit = self.limits[name]
        percents = (entry.max_percent for entry in self.material.config.databases if entry.name == name)
        if (percent := next(percents, None)) is not None:
            limit = min(limit, _part(self.cap, percent))
        return max(1, limit)

    def pool_size(self, name: str) -> int:
        """Connections that each user of a database may have there.

        Without it, one user's clients take the whole share (2 of 1,380 tps were left for others, seen).
        """
        return max(1, self.database_limit(name) // max(1, self.crowd.get(name, 1)))

    def user_limit(self, name: str) -> int | None:
        """Connections that a user may have in all databases together; None: no rule says."""
        percents = (rule.max_percent for rule in self.material.config.users if rule.name == name)
        percent = next(percents, None)
        return None if percent is None else max(1, _part(self.cap, percent))


def _part(cap: int, percent: int) -> int:
    """`percent` of `cap`, rounded up."""
    return -(-cap * percent // 100)


@dataclass(frozen=True)
class DatabaseLoad:
    """One database in the engine, now."""

    open: int = 0
    """Connections to the server, those being opened included."""
    doubtful: int = 0
    """Of `open`: so many may be about to carry a cancel request instead of becoming a backend."""
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
    withheld: frozenset[str] = frozenset()
    """Databases that take no new client, or give their clients no connection, each by itself: the retired, and
    those that a `retire` or `revive` left half-way. Not what a pause of the whole engine withholds."""
    crowd: Mapping[str, int] = field(default_factory=dict)
    logged_in: frozenset[tuple[str, str]] = frozenset()
    """(database, user) that have a usable connection."""
    at_work: frozenset[tuple[str, str]] = frozenset()
    """(database, user) that have clients and a usable connection; not the monitor's entry."""
    queues: frozenset[tuple[str, str]] = frozenset()
    """(database, user) that have clients waiting; not the monitor's entry."""
    overdrawn: frozenset[str] = frozenset()
    """Databases where a user has more connections than his part."""
    starved: frozenset[str] = frozenset()
    """Databases where clients of a user wait who has no connection there."""
    most_of_one: Mapping[str, int] = field(default_factory=dict)
    """Database -> the most connections that one of its users has."""
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

    @property
    def opened(self) -> Mapping[str, int]:
        """Database -> connections to the server."""
        return {name: load.open for name, load in self.databases.items()}

    def load_of(self, database: str) -> DatabaseLoad:
        """One database; nothing where the engine has none of that name."""
        return self.databases.get(database, DatabaseLoad())

    def open_of(self, database: str) -> int:
        """Connections of one database."""
        return self.load_of(database).open


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
        """Start the process and return once it accepts clients; raises EngineRejected, EngineError.

        When it raises, no process is left. What it was not refused for, but did not come to (the process was
        ended, or never answered), is no fault of the setup: EngineError.
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

    async def abort_busy(self) -> None:
        """Disconnect the clients that hold a connection, with it."""

    async def stop_accepting(self) -> None:
        """Take no new client; disconnect those that are idle; go on serving the others."""

    async def finish(self) -> None:
        """Let running transactions end, start none, then exit."""

    async def kill(self) -> None:
        """End the process now, and wait until it is gone."""

    def expect_end(self) -> None:
        """The process is to end soon: from now on it counts how its connections are closed."""

    async def ended_clean(self) -> bool:
        """Whether the process, which is ending or has ended, left no backend that works: it ended as it was asked
        to, and since `expect_end` closed each connection between two transactions."""
