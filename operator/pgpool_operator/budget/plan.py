"""One step of a server's ledger: from what was observed to what is committed, and to the grants that follow.

Level-triggered: it keeps nothing, may be run at any time and any number of times, and changes nothing once the
world is as it should be. The caller commits `Plan.ledger` by compare-and-swap and only then sends `Plan.orders`.

The rules (R1-R6 of the design; model-checked):
reserve before sending; release only on the acknowledgement of the current generation, which says *drained*;
absence is not death, and dead is not drained; generations of a pod only rise, over all ledgers together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from ..api import GrantState
from .allocation import Claim, allocate
from .book import Book
from .death import Life
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
    leaving: Mapping[str, Order] = field(default_factory=dict)
    """Grants for pods that are placed elsewhere, but have no grant there yet and must give way here: two servers
    that swap their pods would otherwise wait for each other."""
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
    awaited: tuple[str, ...] = ()
    """Names of the pods that a recovering ledger waits for; not empty as long as it is recovering."""


def plan(
    ledger: Ledger,
    size: Size,
    pods: Sequence[PodView],
    now: datetime,
    *,
    server_seen: bool,
    frozen: bool = False,
) -> Plan:
    """The next step. `pods` are those that have a reservation, gone ones included, and all of the server's pools.

    Where growth is `frozen`, or the size is provisional, nobody gets more than it has, or than its floor.
    A reservation whose pod is not among `pods` is kept as it is. A ledger that was never written, or is not there
    any more, has to be given as `recovering`.
    """
    views = {pod.uid: pod for pod in sorted(pods, key=lambda pod: (pod.pool, pod.pod))}
    book = Book(ledger, views, now, server_seen=server_seen)
    book.adopt()
    book.settle()
    look_again = book.bury()
    targets = _targets(book, size, frozen=frozen)
    book.shrink(targets)
    if not book.recovering:
        book.grow(targets, size)
    book.renew(targets)
    return _close(book, size, targets, look_again)


def _targets(book: Book, size: Size, *, frozen: bool) -> dict[str, int]:
    """The cap that each pod should have.

    Pods that leave keep theirs until the other server grants, unless pods that belong here lack their floor or B
    is exceeded.
    """
    present = [pod for pod in book.views.values() if not (pod.life.lost or pod.orphan)]
    here = [pod for pod in present if pod.assigned and not (_too_late(book, pod) or _too_early(book, pod))]
    leaving = [_last_claim(book, pod) for pod in present if not pod.assigned and pod.uid in book.entries]
    held_by_leaving = sum(book.entries[claim.key].reserved for claim in leaving)
    claimed = {pod.uid for pod in here} | {claim.key for claim in leaving}
    room = size.connections - sum(r.reserved for r in book.entries.values() if r.uid not in claimed)

    def shares(room: int, leaving: Sequence[Claim] = ()) -> dict[str, int]:
        staying = _claims(book, here, room, frozen=frozen or size.provisional)
        return allocate(room, [*staying, *leaving])

    targets = shares(max(0, room - held_by_leaving))
    if leaving and (book.reserved > size.connections or not all(targets.values())):
        return shares(max(0, room), leaving)
    return targets


def _claims(book: Book, pods: Sequence[PodView], room: int, *, frozen: bool) -> list[Claim]:
    """Fixed shares are floors where all of them fit. Else what is there of them is, or if that is too much as well,
    only what each pod needs: a floor is all or nothing, and nothing would pause a pod until its sessions end."""
    ways = (_least,) if frozen else (_fixed, _kept, _least)
    claims: list[Claim] = []
    for floor_of in ways:
        claims = [_claim(book, pod, floor_of(book, pod), frozen=frozen) for pod in pods]
        if sum(claim.floor for claim in claims) <= room:
            break
    return claims


def _fixed(_: Book, pod: PodView) -> int:
    return pod.floor if pod.fixed is None else pod.fixed


def _kept(book: Book, pod: PodView) -> int:
    entry = book.entries.get(pod.uid)
    return max(pod.floor, min(_fixed(book, pod), entry.cap if entry else 0))


def _least(_: Book, pod: PodView) -> int:
    return pod.floor


def _claim(book: Book, pod: PodView, floor: int, *, frozen: bool) -> Claim:
    entry = book.entries.get(pod.uid)
    claim = Claim(
        key=pod.uid,
        floor=floor,
        demand=pod.demand if pod.fixed is None else float(pod.fixed),
        held=entry.cap if entry else 0,
        most=pod.fixed,
        leaving=pod.life is Life.TERMINATING,
    )
    return _frozen(claim) if frozen or pod.silent else claim


def _frozen(claim: Claim) -> Claim:
    """Nobody gets more than it has, or than its floor."""
    most = max(claim.held, claim.floor)
    return replace(claim, most=most if claim.most is None else min(most, claim.most))


def _last_claim(book: Book, pod: PodView) -> Claim:
    """Of a pod that is placed elsewhere: what it has, after everybody's floor."""
    cap = book.entries[pod.uid].cap
    return Claim(key=pod.uid, floor=0, demand=float(cap), held=cap, most=cap, leaving=True)


def _too_late(book: Book, pod: PodView) -> bool:
    """A pod that goes before it was ever granted anything needs nothing any more."""
    return pod.life is Life.TERMINATING and pod.uid not in book.entries


def _too_early(book: Book, pod: PodView) -> bool:
    """A pod that is on no node yet can use nothing. Were something reserved for it, and it were deleted while
    nobody watches, nobody could prove that it never ran."""
    return not pod.node and pod.uid not in book.entries


def _close(book: Book, size: Size, targets: Mapping[str, int], look_again: float | None) -> Plan:
    entries = book.described()
    committed = max(size.connections, book.reserved)
    here = [uid for uid in targets if book.views[uid].assigned]
    return Plan(
        ledger=Ledger(committed, entries, book.recovering, book.still_freed()),
        orders={uid: _order(entries[uid]) for uid in here if uid in entries},
        leaving={
            uid: _order(entry) for uid, entry in entries.items() if _gives_way(book.views.get(uid), entry)
        },
        waiting=tuple(uid for uid in here if uid not in entries),
        held=tuple(uid for uid, entry in entries.items() if entry.state is GrantState.UNKNOWN),
        draining=committed > size.connections,
        moving=any(not _has(entries.get(uid), target) for uid, target in targets.items()),
        look_again=look_again,
        awaited=book.awaited() if book.recovering else (),
    )


def _order(entry: Reservation) -> Order:
    return Order(entry.generation, entry.cap)


def _gives_way(pod: PodView | None, entry: Reservation) -> bool:
    """It leaves, has not been granted anything elsewhere, and has not got its newest grant for here."""
    if pod is None or pod.assigned or pod.orphan or pod.life.lost or entry.generation <= pod.known_generation:
        return False
    return pod.annotated is not None or not pod.known_generation


def _has(entry: Reservation | None, target: int) -> bool:
    """Whether a pod has exactly what it shall have."""
    return target == 0 if entry is None else entry.cap == entry.reserved == target
