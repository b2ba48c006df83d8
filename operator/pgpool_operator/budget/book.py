"""The ledger while it is being worked on: each rule of the protocol as one move."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from ..api import GrantState
from .death import COUNT_SECONDS, STILL_COUNTED_SECONDS, Life, hold_seconds
from .model import Ledger, Reservation
from .size import Size
from .view import PodView, Report


class Book:
    """The ledger while it is being worked on."""

    def __init__(
        self, ledger: Ledger, views: Mapping[str, PodView], now: datetime, *, server_seen: bool
    ) -> None:
        self.views = views
        self.entries = dict(ledger.reservations)
        self.freed = ledger.freed
        self.recovering = ledger.recovering
        self._now = now
        self._server_seen = server_seen

    @property
    def reserved(self) -> int:
        """The sum of all reservations, now."""
        return sum(entry.reserved for entry in self.entries.values())

    def adopt(self) -> None:
        """Take in what pods hold and the ledger does not know: it was lost or rolled back."""
        trusted = not self.recovering
        for pod in self.views.values():
            entry = self.entries.get(pod.uid)
            freed = trusted and entry is None and pod.life.dead and pod.uid in self.freed
            if freed or self._written_off(pod):
                continue
            found = _taken_in(pod, entry or self._entry(pod))
            self.recovering = self.recovering or found is not None or _conceals(pod)
            if found is not None:
                self.entries[pod.uid] = found
        if self.recovering:
            self._count_what_is_reported()
            self._grant_what_is_there()
            self.recovering = bool(self.awaited())

    def awaited(self) -> tuple[str, ...]:
        """Pods that may hold what the ledger does not know.

        To be heard is not enough: a pod whose newest grant is not in force may still hold what an older one, long
        overwritten, allowed.
        """
        silent = [pod.pod for pod in self.views.values() if not self._accounted_for(pod)]
        return (*silent, *(entry.pod for uid, entry in self.entries.items() if uid not in self.views))

    def _count_what_is_reported(self) -> None:
        for uid, entry in list(self.entries.items()):
            report = self.views[uid].report if uid in self.views else None
            if report is not None and report.acknowledged < entry.generation:
                reserved = max(entry.reserved, report.cap_here, report.open_here)
                self.entries[uid] = replace(entry, reserved=reserved)

    def _grant_what_is_there(self) -> None:
        """No pod is granted more than it has: what such a ledger says beyond that may never have been reserved, or
        have been given to another pod since. It stays reserved: a grant may still be on its way."""
        for uid, entry in list(self.entries.items()):
            pod = self.views.get(uid)
            if pod is None:
                continue
            annotated = pod.annotated[1] if pod.annotated is not None else 0
            cap = max(annotated, pod.report.cap_here if pod.report is not None else 0)
            if cap < entry.cap:
                self.entries[uid] = replace(entry, cap=cap, generation=_next(pod, entry))

    def settle(self) -> None:
        """Release what a pod acknowledged to have given back (R2)."""
        for uid, entry in list(self.entries.items()):
            pod = self.views.get(uid)
            if pod is None or pod.report is None:
                continue
            if not pod.assigned and _has_left(pod.report, entry):
                del self.entries[uid]
            elif _has_given_back(pod.report, entry):
                self.entries[uid] = replace(entry, reserved=entry.cap)

    def bury(self) -> float | None:
        """Free what the dead held (R3, R3b); returns the seconds until the next hold is over.

        Not before a recovering ledger is sound again: until then, who has no reservation may have lost it.
        """
        waits: list[float] = []
        for uid in list(self.entries):
            pod = self.views.get(uid)
            if pod is None:
                continue
            if self._written_off(pod) or (self._drained(pod) and not self.recovering):
                del self.entries[uid]
                self.freed |= {uid}
            elif pod.life.dead and not self._drained(pod):
                hold = self._hold(pod)
                waits += [hold - pod.dead_for] if hold is not None and hold > pod.dead_for else []
                waits += [COUNT_SECONDS] if pod.countable else []
        return min(waits, default=None)

    def shrink(self, targets: Mapping[str, int]) -> None:
        """Lower caps first; what they reserve stays until it is acknowledged."""
        for uid, entry in list(self.entries.items()):
            pod = self.views.get(uid)
            if pod is not None and targets.get(uid, entry.cap) < entry.cap:
                self.entries[uid] = replace(entry, cap=targets[uid], generation=_next(pod, entry))

    def grow(self, targets: Mapping[str, int], size: Size) -> None:
        """Raise caps into the room that is left, newcomers first; reserved before it is sent (R1).

        One grant at a time: a pod that has not acknowledged the last one does not grow.
        """
        for uid in sorted(targets, key=lambda uid: (uid in self.entries, uid)):
            pod, entry = self.views[uid], self.entries.get(uid)
            cap, reserved = (entry.cap, entry.reserved) if entry else (0, 0)
            room = size.connections - self.reserved
            reachable = min(targets[uid], reserved + max(0, room))
            if reachable <= cap or reachable < pod.floor or not _settled(pod, entry):
                continue
            entry = entry or self._entry(pod)
            reserved, generation = max(reserved, reachable), _next(pod, entry)
            self.entries[uid] = replace(entry, cap=reachable, reserved=reserved, generation=generation)

    def renew(self, targets: Mapping[str, int]) -> None:
        """A new generation where the one here cannot be told from, or is older than, another ledger's."""
        for uid, entry in list(self.entries.items()):
            pod = self.views.get(uid)
            if pod is None:
                continue
            if (uid in targets and _outdated(pod, entry)) or _ambiguous(pod, entry):
                self.entries[uid] = replace(entry, generation=_next(pod, entry))

    def _accounted_for(self, pod: PodView) -> bool:
        if pod.life.lost:
            return self._written_off(pod) or self._drained(pod)
        if pod.report is None:
            return not pod.node or not (pod.known_generation or pod.started)
        annotated = pod.annotated[0] if pod.annotated is not None else 0
        return pod.report.acknowledged >= max(pod.report.generation, pod.written_generation, annotated)

    def _written_off(self, pod: PodView) -> bool:
        """A person's word, obeyed where there is no proof and can be none."""
        unprovable = self._unprovable(pod)
        return pod.released and unprovable

    def _unprovable(self, pod: PodView) -> bool:
        """Nobody knows whether it is dead, or for how long its backends last, or they last longer than they should:
        a count of none may tell yet, but an address may also be somebody else's by now, who never goes."""
        if not pod.life.dead:
            return pod.life is Life.UNKNOWN
        hold = self._hold(pod)
        return hold is None or (bool(pod.counted) and pod.dead_for >= hold + STILL_COUNTED_SECONDS)

    def _drained(self, pod: PodView) -> bool:
        """Dead, and its backends were counted and are none, or nobody counts them and it is for long enough that
        they have ended: who sees them knows better than any hold."""
        if not pod.life.dead:
            return False
        if pod.counted is not None:
            return pod.counted == 0
        hold = self._hold(pod)
        return hold is not None and pod.dead_for >= hold

    def _hold(self, pod: PodView) -> float | None:
        entry = self.entries.get(pod.uid)
        said = _said_to_detect(pod, entry)
        detects = _assumed_to_detect(pod, entry) if said is None else said
        return hold_seconds(pod.life, detects_dead_clients=detects, server_seen=self._server_seen)

    def _entry(self, pod: PodView) -> Reservation:
        """Of a pod that has nothing yet."""
        return Reservation(
            uid=pod.uid,
            pod=pod.pod,
            pool=pod.pool,
            endpoint=pod.endpoint,
            node=pod.node,
            cap=0,
            reserved=0,
            generation=0,
            state=GrantState.GATED,
            since=self._now,
        )

    def described(self) -> dict[str, Reservation]:
        """The reservations as they are to be committed."""
        return {uid: self._described(entry) for uid, entry in self.entries.items()}

    def still_freed(self) -> frozenset[str]:
        """Pods that gave back all when they were gone for good, and whose objects are there."""
        there = {uid for uid, pod in self.views.items() if pod.listed and pod.life.lost}
        return (self.freed & there) - self.entries.keys()

    def _described(self, entry: Reservation) -> Reservation:
        """The entry with what is newly known of its pod; `since` moves only with the state."""
        pod = self.views.get(entry.uid)
        if pod is None:
            return entry
        state = self._state(pod, entry)
        said = _said_to_detect(pod, entry)
        return replace(
            entry,
            state=state,
            since=entry.since if state is entry.state else self._now,
            node=pod.node or entry.node,
            node_uid=entry.node_uid or pod.node_uid,
            overdue=entry.overdue or pod.overdue,
            grace_seconds=pod.grace_seconds or entry.grace_seconds,
            addresses=tuple(sorted({*entry.addresses, *pod.addresses})),
            direct=pod.direct if entry.direct is None else entry.direct and pod.direct is not False,
            detects_dead_clients=said,
            assumed_to_detect=said is None and _assumed_to_detect(pod, entry),
            backends=(pod.counted or None) if self._unprovable(pod) else None,
        )

    def _state(self, pod: PodView, entry: Reservation) -> GrantState:
        if self._unprovable(pod):
            return GrantState.UNKNOWN
        if pod.life is not Life.ALIVE or not pod.assigned:
            return GrantState.DRAINING
        if entry.reserved > entry.cap:
            return GrantState.SHRINKING
        if pod.report is not None and pod.report.acknowledged >= entry.generation:
            return GrantState.ACTIVE
        return GrantState.GATED if entry.state is GrantState.GATED else GrantState.ACTIVE


def _known(pod: PodView) -> int:
    """The pod's highest generation that anybody but this ledger knows of."""
    return max(pod.known_generation, pod.report.generation if pod.report else 0)


def _said_to_detect(pod: PodView, entry: Reservation | None) -> bool | None:
    """The pod's own newest word: it may come to be in another mode, in which the server notices less, or more."""
    if pod.detects_dead_clients is None and entry is not None:
        return entry.detects_dead_clients
    return pod.detects_dead_clients


def _assumed_to_detect(pod: PodView, entry: Reservation | None) -> bool:
    """What is assumed of the pod; of one whose pool was deleted, what was assumed last."""
    if pod.assumed_to_detect is None:
        return entry is not None and entry.assumed_to_detect
    return pod.assumed_to_detect


def _next(pod: PodView, entry: Reservation) -> int:
    """Above every generation that the pod was or will be granted by anybody (R5)."""
    return max(entry.generation, _known(pod)) + 1


def _conceals(pod: PodView) -> bool:
    """It had a grant, and nothing tells of it: somebody took it off the pod, which is not heard."""
    return pod.was_ready and not pod.life.dead and pod.report is None and not pod.written_generation


def _taken_in(pod: PodView, entry: Reservation) -> Reservation | None:
    """The entry with what the pod has here and the ledger does not know; None: all is known.

    What is only reported is counted, but not granted: the report may be older than the ledger. Nor is more granted
    than is reported: what the ledger says may have been given to another pod since.
    """
    generation, cap = pod.annotated or (0, 0)
    if generation >= entry.generation and (generation, cap) != (entry.generation, entry.cap):
        return replace(entry, cap=cap, reserved=max(cap, entry.reserved), generation=generation)
    if pod.report is None:
        return None
    holds = max(pod.report.cap_here, pod.report.open_here)
    written = max(entry.generation, pod.known_generation)
    somewhere = entry.generation or not pod.known_generation
    if holds > entry.reserved or (somewhere and pod.report.generation > written):
        cap = min(entry.cap, pod.report.cap_here)
        return replace(entry, cap=cap, reserved=max(holds, entry.reserved), generation=_next(pod, entry))
    return None


def _outdated(pod: PodView, entry: Reservation) -> bool:
    """The pod's newest grant says the wrong thing, or another ledger has reserved more newly.

    The latter is so when a pod comes back before the other server's grant was sent: only a newer acknowledgement
    frees what is reserved there.
    """
    newer = _known(pod) > entry.generation or (pod.stale and pod.known_generation == entry.generation)
    return pod.assigned and newer


def _ambiguous(pod: PodView, entry: Reservation) -> bool:
    """The pod follows another ledger's grant of the same generation; it must take one that is newer than ours."""
    if pod.assigned or pod.life.dead or pod.report is None or pod.annotated is not None:
        return False
    return pod.report.acknowledged == pod.known_generation == entry.generation


def _has_left(report: Report, entry: Reservation) -> bool:
    """It follows a grant for elsewhere, refuses what this server still has on its way, and holds nothing here."""
    return report.acknowledged > entry.generation and report.cap_here == 0 and report.open_here == 0


def _has_given_back(report: Report, entry: Reservation) -> bool:
    """It follows the grant that is here. The generation alone does not tell: before the ledger was rolled back, or
    the grant on the pod was altered, the pod may have accepted another one of that generation, and refuses this."""
    return report.acknowledged == entry.generation and report.cap_here <= entry.cap


def _settled(pod: PodView, entry: Reservation | None) -> bool:
    if entry is None:
        return True
    return pod.report is not None and pod.report.acknowledged >= entry.generation
