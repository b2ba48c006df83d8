"""What the pods said of their load lately, and what that comes to.

Counters are read as differences between two samples, so that nothing depends on how an engine averages them; a
counter that went back means a new engine, and what was before it does not count.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

from pgpool_pooler.contract import Activity, State

WINDOW_SECONDS = 15.0
"""What a load is averaged over: as the metrics pipeline of HPA does (metrics-server's default resolution)."""
SHORTEST_SECONDS = 3.0
"""Less than this between two samples says little about CPU time."""
MISSING_SECONDS = 10.0
"""A pod that was not heard for so long has no load that is known."""
CROWDED = 2.5
"""A pod is crowded if so many times its clients were too many."""
FULL = 0.9
"""All backends count as busy if this part of them is, on average: between two transactions one is free."""


@dataclass(frozen=True)
class Sample:
    """One pod's word at one moment (`at`: seconds, monotonic). Counters are since the engine's start."""

    at: float
    ready: bool
    cpu_seconds: float
    cpu_available: float
    clients: int
    max_clients: int
    waiting: int
    longest_wait: float
    """Seconds that the first client in a queue has waited."""
    active: int
    """Backends that a client uses."""
    cap: int
    """Backends that clients may use."""
    transactions: int
    busy_seconds: float
    query_seconds: float
    activity: Activity | None


def crowded(state: State) -> bool:
    """Clients are on their way to the limit: time to look more closely."""
    return 0 < state.max_clients <= CROWDED * state.clients


def sample(state: State, at: float) -> Sample:
    """What of a pod's state scaling looks at."""
    return Sample(
        at=at,
        ready=state.ready,
        cpu_seconds=state.cpu_seconds,
        cpu_available=state.cpu_available,
        clients=state.clients,
        max_clients=state.max_clients,
        waiting=state.waiting,
        longest_wait=max((d.max_wait_seconds for d in state.databases), default=0.0),
        active=sum(d.active for d in state.databases),
        cap=sum(d.limit for d in state.databases),
        transactions=state.transactions,
        busy_seconds=state.busy_seconds,
        query_seconds=state.query_seconds,
        activity=next((server.activity for server in state.servers if server.activity), None),
    )


@dataclass(frozen=True)
class Backends:
    """What the pool's backends on a server did, averaged over the looks; counts as in `Activity`."""

    cpu: float = 0.0
    io: float = 0.0
    lock: float = 0.0
    other: float = 0.0
    held: float = 0.0
    idle: float = 0.0
    unseen: float = 0.0


@dataclass(frozen=True)
class PodLoad:
    """One pod's load over the window."""

    cpu: float
    """The engine's CPU time as a share of what its process can use."""
    clients: float
    """Client connections as a share of max_client_conn; 0 where that is not known."""
    waiting: float
    """Clients in the queue, on average."""
    waits: bool
    """There was a queue more often than not."""
    longest_wait: float
    """Seconds that the client at the head of the queue had waited, at most."""
    active: float
    """Backends that clients used, on average."""
    cap: int
    """Backends that clients may use."""
    query_share: float | None
    """Part of the time in transactions in which a query ran; None: no transaction ended."""
    backends: Backends | None
    """On the pod's server, those of all pods; None: nobody looked."""

    @property
    def full(self) -> bool:
        """All its backends are busy."""
        return self.cap > 0 and self.active >= FULL * self.cap


class History:
    """One pod's samples, as far back as they matter."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque()

    def add(self, new: Sample) -> None:
        """Samples come in the order of time."""
        if self._samples and _restarted(self._samples[-1], new):
            self._samples.clear()
        self._samples.append(new)
        while self._samples[0].at < new.at - WINDOW_SECONDS:
            self._samples.popleft()

    def load(self, now: float) -> PodLoad | None:
        """The load at `now`; None if the pod takes no clients, was not heard enough of late, or does not know what
        CPU it can use (an older agent)."""
        samples = [one for one in self._samples if one.at >= now - WINDOW_SECONDS]
        if not samples or not samples[-1].ready or samples[-1].at < now - MISSING_SECONDS:
            return None
        if samples[-1].at - samples[0].at < SHORTEST_SECONDS or samples[-1].cpu_available <= 0:
            return None
        return _load(samples)


def _restarted(before: Sample, after: Sample) -> bool:
    return after.cpu_seconds < before.cpu_seconds or after.transactions < before.transactions


def _load(samples: Sequence[Sample]) -> PodLoad:
    first, last, count = samples[0], samples[-1], len(samples)
    # An engine books a wait when it ends and takes it off what it books for the work only when that ends too.
    unbooked = last.active * last.longest_wait - first.active * first.longest_wait
    busy = last.busy_seconds - first.busy_seconds + unbooked
    queued = sum(1 for one in samples if one.waiting > 0)
    return PodLoad(
        cpu=_share((last.cpu_seconds - first.cpu_seconds) / (last.at - first.at), last.cpu_available),
        clients=_share(last.clients, last.max_clients),
        waiting=sum(one.waiting for one in samples) / count,
        waits=2 * queued > count,
        longest_wait=max(one.longest_wait for one in samples),
        active=sum(one.active for one in samples) / count,
        cap=last.cap,
        query_share=(last.query_seconds - first.query_seconds + unbooked) / busy if busy > 0 else None,
        backends=_backends([one.activity for one in samples if one.activity is not None]),
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0


def _backends(looks: Sequence[Activity]) -> Backends | None:
    if not looks:
        return None
    return Backends(**{name: _mean(getattr(look, name) for look in looks) for name in _CLASSES})


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


_CLASSES = tuple(field.name for field in fields(Backends))
