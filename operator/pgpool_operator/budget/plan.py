"""One step of a server's ledger: from what was observed to what is committed, and to the grants that follow.

Level-triggered: it keeps nothing, may be run at any time and any number of times, and changes nothing once the
world is as it should be. The caller commits `Plan.ledger` by compare-and-swap and only then sends `Plan.orders`.

The rules (R1-R6 of the design; model-checked):
reserve before sending; release only on the acknowledgement of the current generation, which says *drained*;
absence is not death, and dead is not drained; generations of a pod only rise, over all ledgers together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ..api import GrantState
from .allocation import Claim, allocate
from .death import Life, hold_seconds
from .model import Ledger, Reservation
from .size import Size
from .view import PodView


@dataclass(frozen=True)
class Order:
    """What the grant on a pod shall say."""

    generation: int
    cap: int


@dataclass(frozen=True)
class Plan:
    """The next ledger, and the grants to send once it is committed."""

    ledger: Ledger
    orders: Mapping[str, Order]
    waiting: tuple[str, ...] = ()
    """Pods without a grant: there is no room for their floor yet."""
    held: tuple[str, ...] = ()
    """Uids of pods that cannot be proven dead and hold connections."""
    draining: bool = False
    """B was lowered, and is not reached yet."""
    moving: bool = False
    """Some pod has not yet what it shall have."""
    look_again: float | None = None
    """Seconds until a dead pod's hold is over."""


def plan(ledger: Ledger, size: Size, pods: Sequence[PodView], now: datetime, *, server_seen: bool) -> Plan:
    """The next step. `pods` are all pods that have a reservation or should have one, gone ones included.

    A reservation whose pod is not among `pods` is kept as it is.
    """
    views = {pod.uid: pod for pod in sorted(pods, key=lambda pod: (pod.pool, pod.pod))}
    book = _Book(ledger, views, now)
    book.adopt()
    book.settle()
    look_again = book.bury(server_seen=server_seen)
    targets = _targets(book, size)
    book.shrink(targets)
    if not book.recovering:
        book.grow(targets, size)
    book.refresh_stale(targets)
    return book.close(size, targets, look_again)


def _targets(book: "_Book", size: Size) -> dict[str, int]:
    """The cap that each pod which belongs here should have."""
    claimants = [pod for pod in book.views.values() if pod.assigned and not _lost(pod)]
    uids = {pod.uid for pod in claimants}
    others = sum(r.reserved for r in book.entries.values() if r.uid not in uids)
    return allocate(max(0, size.connections - others), [_claim(book, pod, size) for pod in claimants])


def _claim(book: "_Book", pod: PodView, size: Size) -> Claim:
    entry = book.entries.get(pod.uid)
    return Claim(
        key=pod.uid,
        floor=pod.floor,
        demand=pod.demand,
        held=entry.cap if entry else 0,
        most=pod.floor if size.provisional else pod.most,
        leaving=pod.life is Life.TERMINATING,
    )


def _lost(pod: PodView) -> bool:
    return pod.life.dead or pod.life is Life.UNKNOWN


class _Book:
    """The ledger while it is being worked on."""

    def __init__(self, ledger: Ledger, views: Mapping[str, PodView], now: datetime) -> None:
        self.views = views
        self.entries = dict(ledger.reservations)
        self.recovering = ledger.recovering
        self._now = now

    def adopt(self) -> None:
        """Take in what pods hold and the ledger does not know: it was lost or rolled back."""
        for pod in self.views.values():
            generation, cap = _known_here(pod)
            entry = self.entries.get(pod.uid)
            if cap == 0 or (entry is not None and generation <= entry.generation):
                continue
            self.recovering = True
            reserved = max(cap, entry.reserved if entry else 0)
            self.entries[pod.uid] = self._entry(pod, cap, reserved, generation)
        if all(_accounted_for(pod) for pod in self.views.values()):
            self.recovering = False

    def settle(self) -> None:
        """Release what a pod acknowledged to have given back (R2)."""
        for uid, entry in list(self.entries.items()):
            pod = self.views.get(uid)
            if pod is None or pod.report is None:
                continue
            if pod.assigned and pod.report.acknowledged == entry.generation:
                self.entries[uid] = replace(entry, reserved=entry.cap)
            if not pod.assigned and pod.report.acknowledged > entry.generation and not pod.report.open_here:
                del self.entries[uid]

    def bury(self, *, server_seen: bool) -> float | None:
        """Free what the dead held (R3, R3b); returns the seconds until the next hold is over."""
        waits: list[float] = []
        for uid in list(self.entries):
            pod = self.views.get(uid)
            if pod is None:
                continue
            if pod.life is Life.UNKNOWN and pod.released:
                del self.entries[uid]
            if not pod.life.dead:
                continue
            hold = self._hold(pod, server_seen=server_seen)
            if hold is not None and pod.dead_for >= hold:
                del self.entries[uid]
            elif hold is not None:
                waits.append(hold - pod.dead_for)
            elif pod.released:
                del self.entries[uid]
        return min(waits, default=None)

    def shrink(self, targets: Mapping[str, int]) -> None:
        """Lower caps first; what they reserve stays until it is acknowledged."""
        for uid, entry in list(self.entries.items()):
            pod = self.views.get(uid)
            if pod is not None and targets.get(uid, entry.cap) < entry.cap:
                self.entries[uid] = replace(entry, cap=targets[uid], generation=self._next(pod, entry))

    def grow(self, targets: Mapping[str, int], size: Size) -> None:
        """Raise caps into the room that is left, newcomers first; reserved before it is sent (R1).

        One grant at a time: a pod that has not acknowledged the last one does not grow.
        """
        for uid in sorted(targets, key=lambda uid: (uid in self.entries, uid)):
            pod, entry = self.views[uid], self.entries.get(uid)
            cap, reserved = (entry.cap, entry.reserved) if entry else (0, 0)
            room = size.connections - sum(e.reserved for e in self.entries.values())
            reachable = min(targets[uid], reserved + max(0, room))
            if reachable <= cap or reachable < pod.floor or not _settled(pod, entry):
                continue
            reserved = max(reserved, reachable)
            if entry is None:
                self.entries[uid] = self._entry(pod, reachable, reserved, pod.known_generation + 1)
            else:
                generation = self._next(pod, entry)
                self.entries[uid] = replace(entry, cap=reachable, reserved=reserved, generation=generation)

    def refresh_stale(self, targets: Mapping[str, int]) -> None:
        """A new generation where the grant on the pod says the wrong thing and nothing newer is on its way."""
        for uid, entry in list(self.entries.items()):
            pod = self.views.get(uid)
            if pod is not None and uid in targets and pod.stale and pod.known_generation >= entry.generation:
                self.entries[uid] = replace(entry, generation=self._next(pod, entry))

    def close(self, size: Size, targets: Mapping[str, int], look_again: float | None) -> Plan:
        """The plan that the entries now make."""
        self.entries = {uid: self._described(entry) for uid, entry in self.entries.items()}
        reserved = sum(entry.reserved for entry in self.entries.values())
        committed = max(size.connections, reserved)
        orders = {
            uid: Order(self.entries[uid].generation, self.entries[uid].cap)
            for uid in targets
            if uid in self.entries
        }
        return Plan(
            ledger=Ledger(committed, self.entries, self.recovering),
            orders=orders,
            waiting=tuple(uid for uid in targets if uid not in orders),
            held=tuple(uid for uid, entry in self.entries.items() if entry.state is GrantState.UNKNOWN),
            draining=committed > size.connections,
            moving=any(orders[uid].cap != targets[uid] for uid in orders)
            or any(entry.reserved != entry.cap for entry in self.entries.values()),
            look_again=look_again,
        )

    def _hold(self, pod: PodView, *, server_seen: bool) -> float | None:
        detects = pod.detects_dead_clients or self.entries[pod.uid].detects_dead_clients
        return hold_seconds(pod.life, detects_dead_clients=detects, server_seen=server_seen)

    def _entry(self, pod: PodView, cap: int, reserved: int, generation: int) -> Reservation:
        return Reservation(
            uid=pod.uid,
            pod=pod.pod,
            pool=pod.pool,
            endpoint=pod.endpoint,
            node=pod.node,
            cap=cap,
            reserved=reserved,
            generation=generation,
            state=GrantState.GATED,
            since=self._now,
        )

    def _next(self, pod: PodView, entry: Reservation) -> int:
        reported = pod.report.generation if pod.report else 0
        return max(entry.generation, pod.known_generation, reported) + 1

    def _described(self, entry: Reservation) -> Reservation:
        """The entry with what is newly known of its pod; `since` moves only with the state."""
        pod = self.views.get(entry.uid)
        if pod is None:
            return entry
        state = self._state(pod, entry)
        return replace(
            entry,
            state=state,
            since=entry.since if state is entry.state else self._now,
            node=pod.node or entry.node,
            addresses=tuple(sorted({*entry.addresses, *pod.addresses})),
            detects_dead_clients=entry.detects_dead_clients or pod.detects_dead_clients,
        )

    def _state(self, pod: PodView, entry: Reservation) -> GrantState:
        if pod.life is Life.UNKNOWN or (pod.life.dead and self._unprovable(pod)):
            return GrantState.UNKNOWN
        if pod.life is not Life.ALIVE or not pod.assigned:
            return GrantState.DRAINING
        if entry.reserved > entry.cap:
            return GrantState.SHRINKING
        if pod.report is not None and pod.report.acknowledged > 0:
            return GrantState.ACTIVE
        return GrantState.GATED if entry.state is GrantState.GATED else GrantState.ACTIVE

    def _unprovable(self, pod: PodView) -> bool:
        return self._hold(pod, server_seen=True) is None


def _known_here(pod: PodView) -> tuple[int, int]:
    """(generation, cap) of the newest grant that the pod is known to have for this server."""
    annotated = pod.annotated or (0, 0)
    if pod.report is None or not pod.report.cap_here:
        return annotated
    cap = max(annotated[1], pod.report.cap_here, pod.report.open_here)
    return max(annotated[0], pod.report.generation), cap


def _accounted_for(pod: PodView) -> bool:
    """Nothing of what the pod may hold can be unknown to the ledger."""
    return pod.report is not None or pod.life.dead or not pod.known_generation


def _settled(pod: PodView, entry: Reservation | None) -> bool:
    if entry is None:
        return True
    return pod.report is not None and pod.report.acknowledged >= entry.generation
