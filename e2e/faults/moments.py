"""What was seen while a scenario ran, and what can be asked of it: the ledger, the pods, PostgreSQL, the faults.

All times, `at`, are seconds since the scenario's start, by the monotonic clock of the one who records.
"""

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from math import inf
from typing import TypeVar

from e2e.world import PRIMARY

TOLERANCE_SECONDS = 1.0
"""How far apart a ledger's version and a look at PostgreSQL may be seen that belong together."""
BEGINS, ENDS = " begins", " ends"
"""How the marks of a fault end that lasts."""


@dataclass(frozen=True)
class Mark:
    """Something that the scenario did, or waited for."""

    at: float
    text: str


@dataclass(frozen=True)
class GrantSeen:
    """One pod's part of the ledger."""

    pod: str
    uid: str
    cap: int
    reserved: int
    generation: int
    state: str


@dataclass(frozen=True)
class LedgerSeen:
    """A new version of a server's ledger."""

    at: float
    server: str
    """The PgBudget's name."""
    connections: int
    reserved: int
    unknown: int
    recovering: bool
    grants: tuple[GrantSeen, ...]
    committed: bool = True
    """The operator wrote its size; False where it has not looked yet (observedGeneration is -1)."""


@dataclass(frozen=True)
class LedgerGone:
    """The PgBudget was deleted."""

    at: float
    server: str


@dataclass(frozen=True)
class PodSeen:
    """A pooler pod, as the API server has it, changed."""

    at: float
    pod: str
    address: str
    """Its IP; empty before it has one."""
    node: str
    ready: bool
    restarts: int
    """Of its containers."""
    leaving: bool
    """It has a deletionTimestamp."""


@dataclass(frozen=True)
class PodGone:
    """The pod's object was removed."""

    at: float
    pod: str


@dataclass(frozen=True)
class GrantWritten:
    """The grant in the pod's annotation changed."""

    at: float
    pod: str
    generation: int
    cap: int
    """Summed over servers."""


@dataclass(frozen=True)
class Acknowledged:
    """What the pod's agent says of itself changed."""

    at: float
    pod: str
    generation: int
    """Of the grant that it accepted."""
    acknowledged: int
    """The generation that is in force and drained."""
    cap: int
    """Of the grant that it accepted."""
    open: int
    """Backends, as its engine counts them."""
    phase: str


@dataclass(frozen=True)
class Silent:
    """The pod's agent does not answer any more."""

    at: float
    pod: str


@dataclass(frozen=True)
class Backends:
    """What PostgreSQL counted changed."""

    at: float
    total: int
    by_address: Mapping[str, int]


@dataclass(frozen=True)
class Blind:
    """PostgreSQL did not answer from now on, until the next `Backends`."""

    at: float


@dataclass(frozen=True)
class Over:
    """More backends than the ledger allowed."""

    at: float
    backends: Backends
    allowed: int

    def __str__(self) -> str:
        return f"{self.at:.2f} s: {self.backends.total} backends, {self.allowed} allowed"


Moment = (
    Mark
    | LedgerSeen
    | LedgerGone
    | PodSeen
    | PodGone
    | GrantWritten
    | Acknowledged
    | Silent
    | Backends
    | Blind
)
M = TypeVar("M", bound=Moment)


def moment_at(moment: Moment) -> float:
    """For sorting."""
    return moment.at


@dataclass
class Timeline:
    """The moments of one scenario. Any thread may add some at any time."""

    server: str = PRIMARY
    """The PgBudget of the server whose backends are counted."""
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    """The wall clock at 0."""
    _base: float = field(default_factory=time.monotonic)
    _moments: list[Moment] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def now(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._base

    def at(self, monotonic: float) -> float:
        """Where an instant of the monotonic clock is on this timeline."""
        return monotonic - self._base

    def add(self, *moments: Moment) -> None:
        """Moments need not come in order."""
        with self._lock:
            self._moments.extend(moments)

    def mark(self, text: str) -> float:
        """Note what the scenario does now; returns when that is. `X begins` and `X ends` belong together."""
        at = self.now()
        self.add(Mark(at, text))
        return at

    def moments(self) -> list[Moment]:
        """All so far, by time."""
        with self._lock:
            return sorted(self._moments, key=moment_at)

    def of(self, kind: type[M]) -> list[M]:
        """Those of one kind, by time."""
        return [moment for moment in self.moments() if isinstance(moment, kind)]

    def ledgers(self, server: str | None = None) -> list[LedgerSeen]:
        """The versions of one server's ledger that the operator committed."""
        name = server or self.server
        return [seen for seen in self.of(LedgerSeen) if seen.server == name and seen.committed]

    def peak(self) -> int:
        """The most backends that a look at PostgreSQL counted."""
        return max((backends.total for backends in self.of(Backends)), default=0)

    def allowed(self, server: str | None = None) -> int:
        """The largest budget that the ledger had; 0 if none was seen."""
        return max((seen.connections for seen in self.ledgers(server)), default=0)

    def unseen(self) -> list[str]:
        """What has to be seen for `backends_over` to say anything, and was not."""
        return [
            f"nobody saw {what}"
            for what, moments in (
                ("PostgreSQL's backends", self.of(Backends)),
                ("the ledger", self.ledgers()),
            )
            if not moments
        ]

    def backends_over(self, server: str | None = None) -> list[Over]:
        """The looks at PostgreSQL that counted more than any ledger within a second of them allowed.

        A count holds until the next look that differs: one that stays while the budget falls is over it too.
        """
        ledgers = self.ledgers(server)
        found = (_over(backends, until, ledgers) for backends, until in self.spans())
        return [over for over in found if over is not None]

    def spans(self) -> list[tuple[Backends, float]]:
        """What PostgreSQL counted, and until when that was so; the last until ever."""
        looks = [moment for moment in self.moments() if isinstance(moment, Backends | Blind)]
        pairs = pairwise([*looks, Blind(inf)])
        return [(look, after.at) for look, after in pairs if isinstance(look, Backends)]

    def faults(self) -> list[tuple[str, float, float]]:
        """Name, begin and end of each fault that lasts; one that has not ended lasts until ever."""
        open_since: dict[str, float] = {}
        found = []
        for mark in self.of(Mark):
            if mark.text.endswith(BEGINS):
                open_since[mark.text.removesuffix(BEGINS)] = mark.at
            elif (name := mark.text.removesuffix(ENDS)) != mark.text and name in open_since:
                found.append((name, open_since.pop(name), mark.at))
        return sorted(
            found + [(name, at, inf) for name, at in open_since.items()], key=lambda fault: fault[1]
        )


def _over(backends: Backends, until: float, ledgers: list[LedgerSeen]) -> Over | None:
    """A budget ends at the next version, and is out of sight one tolerance later."""
    ends = [after.at + TOLERANCE_SECONDS for _, after in pairwise(ledgers)]
    for at in [backends.at, *(end for end in ends if backends.at < end < until)]:
        allowed = _allowed_at(at, ledgers)
        if backends.total > allowed:
            return Over(at, backends, allowed)
    return None


def _allowed_at(at: float, ledgers: Iterable[LedgerSeen]) -> int:
    """The largest budget in force within the tolerance; the first one was in force before it was seen."""
    in_sight: list[int] = []
    for seen in ledgers:
        if seen.at <= at - TOLERANCE_SECONDS:
            in_sight = [seen.connections]
        elif seen.at <= at + TOLERANCE_SECONDS or not in_sight:
            in_sight.append(seen.connections)
    return max(in_sight, default=0)
