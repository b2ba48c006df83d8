"""One endpoint, as its scaling wants to see it, and the words that scaling uses."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from .cause import Cause
from .signals import PodLoad

CPU_TARGET = 0.75
"""Share of what the pooler's process can use; above it latency grows before throughput does."""
CLIENTS_TARGET = 0.8
"""Share of max_client_conn; at 1 the next client is refused."""


class Reason(StrEnum):
    """Why the number of pods is what it is."""

    POOLER_BUSY = "PoolerBusy"
    CLIENT_LIMIT = "ClientLimit"
    POOLER_IDLE = "PoolerIdle"
    """Fewer pods would be enough."""
    BUDGET_MOVES = "BudgetMoves"
    """Some pods lack connections that others do not use: the budget moves, no pod is needed."""
    CLIENTS_UNEVEN = "ClientsUneven"
    """Some pooler is at its target and others are not: its clients stay where they are, whatever pods come."""
    CPU_SATURATED = "CpuSaturated"
    IO_SATURATED = "IoSaturated"
    LOCK_CONTENTION = "LockContention"
    CLIENTS_HOLD_TRANSACTIONS = "ClientsHoldTransactions"
    BUDGET_EXHAUSTED = "BudgetExhausted"
    """All connections are busy, and why is not known."""
    FROZEN = "Frozen"
    """The database does not answer."""
    NO_SIGNAL = "NoSignal"
    """No pod's load is known."""
    STEADY = "Steady"


@dataclass(frozen=True)
class ServerView:
    """The pods of an endpoint that use one server. Connections go from pod to pod here, never between servers."""

    loads: Sequence[PodLoad | None]
    """One for each pod that is not leaving; None: it is not ready, or not heard."""
    cause: Cause = Cause.UNKNOWN
    """What the server is busy with."""
    reachable: bool = True
    """It answers, as far as the pods that are heard have tried."""

    @property
    def known(self) -> tuple[PodLoad, ...]:
        """The loads that are known."""
        return tuple(load for load in self.loads if load is not None)

    @property
    def busy(self) -> bool:
        """Its poolers are at their target."""
        return _mean([load.cpu for load in self.known]) >= CPU_TARGET

    @property
    def waits(self) -> bool:
        """Some pod has clients in the queue and no connection for them."""
        return any(load.full and load.waits for load in self.known)

    @property
    def full(self) -> bool:
        """Clients wait, and no pod has a connection to spare."""
        return self.waits and all(load.full for load in self.known)


@dataclass(frozen=True)
class EndpointView:
    """The pods of one endpoint."""

    current: int
    """Pods that shall run now."""
    minimum: int
    maximum: int
    room: int
    """Pods that the servers' budgets can feed."""
    servers: Sequence[ServerView]
    said: Reason | None = None
    """The saturation that the status speaks of."""
    sessions: bool = False
    """Some clients hold a backend until they leave: a pod that goes would cut them off."""
    paused: bool = False
    """No queries run, as a person wants it."""

    @property
    def loads(self) -> tuple[PodLoad | None, ...]:
        """Of all pods."""
        return tuple(load for server in self.servers for load in server.loads)

    @property
    def reachable(self) -> bool:
        """Some server answers."""
        return not self.servers or any(server.reachable for server in self.servers)

    @property
    def known(self) -> tuple[PodLoad, ...]:
        """The loads that are known."""
        return tuple(load for load in self.loads if load is not None)

    @property
    def cpu(self) -> float:
        """Mean share of CPU."""
        return _mean([load.cpu for load in self.known])

    @property
    def clients(self) -> float:
        """Mean share of max_client_conn."""
        return _mean([load.clients for load in self.known])

    @property
    def waiting(self) -> float:
        """Clients in queues, on average, of all pods."""
        return sum(load.waiting for load in self.known)

    @property
    def longest_wait(self) -> float:
        """Seconds that the client at the head of a queue had waited, at most."""
        return max((load.longest_wait for load in self.known), default=0.0)

    @property
    def active(self) -> float:
        """Backends in use, on average, of all pods."""
        return sum(load.active for load in self.known)

    @property
    def cap(self) -> int:
        """Backends that all pods together may use."""
        return sum(load.cap for load in self.known)

    @property
    def busy(self) -> bool:
        """The poolers themselves are at their target."""
        return self.cpu >= CPU_TARGET

    @property
    def uneven(self) -> bool:
        """Some pooler is at its target, another not even halfway there."""
        shares = [load.cpu for load in self.known]
        return bool(shares) and max(shares) >= CPU_TARGET and min(shares) < CPU_TARGET / 2


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
