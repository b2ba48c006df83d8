"""What happens: pure data. All times are seconds of virtual time.

Transactions are some ten times longer, and as much rarer, than an application's: what scaling looks at are shares
and queues over 15 s, which do not change by that, and a run takes a tenth of the time.
"""

from dataclasses import dataclass, field
from math import inf

from pgpool_operator.api import WriteAutoscaling

ALWAYS = inf
"""Of a client's stay: it never reconnects."""


@dataclass(frozen=True)
class Work:
    """A transaction. Times are means of exponential distributions, but for the pooler's, which is what it is."""

    cpu: float = 0.1
    """On a CPU of the database."""
    io: float = 0.0
    """On the database's disk, before that."""
    hold: float = 0.0
    """Idle in the transaction: the client keeps the backend and asks nothing."""
    pooler: float = 0.01
    """CPU of the pooler: half of it to read the query, half of it to hand on the answer."""
    locked: float = 0.0
    """Part of the transactions that need the one lock, from their first query to their end."""
    slow: float = 0.0
    """Part of the transactions that are slow."""
    slow_cpu: float = 10.0
    """On a CPU of the database, of a slow one."""


@dataclass(frozen=True)
class Load:
    """The load from a moment on, until the next one."""

    at: float
    clients: int = 0
    """Closed: each thinks, runs a transaction, and thinks again."""
    think: float = 1.0
    rate: float = 0.0
    """Open: clients that come, run one transaction and go, per second (Poisson)."""
    work: Work = Work()
    weights: tuple[float, ...] = ()
    """How much more often than others a pod is chosen, oldest pod first; 1 where not given. A change lets all
    clients reconnect."""
    stay: float = 60.0
    """Mean time after which a client reconnects: a Service never moves one that stays."""


@dataclass(frozen=True)
class Database:
    """B is cpus x connections_per_cpu."""

    cpus: int = 4
    connections_per_cpu: int = 3
    disks: int = 1


@dataclass(frozen=True)
class Poolers:
    """The pods."""

    cpu_available: float = 1.0
    """CPUs that the engine can use: one thread."""
    max_clients: int = 500
    start: float = 8.0
    """From the pod's creation to its agent's first answer."""
    monitor: bool = True
    """A login that may see what all backends do; it costs one connection of each pod."""


@dataclass(frozen=True)
class Silence:
    """The operator does not hear a pod, which goes on working."""

    pod: int
    at: float
    seconds: float


@dataclass(frozen=True)
class Scenario:
    """A run."""

    loads: tuple[Load, ...]
    about: str = ""
    seconds: float = 600.0
    database: Database = Database()
    poolers: Poolers = Poolers()
    autoscaling: WriteAutoscaling = field(default_factory=lambda: WriteAutoscaling(max_replicas=6))
    silences: tuple[Silence, ...] = ()
