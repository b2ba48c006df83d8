"""A ledger that gives way: another one, older, owns its server and takes its reservations over. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from .book import Book
from .model import Ledger, Reservation
from .view import PodView


def give_way(
    ledger: Ledger,
    owner: Mapping[str, Reservation],
    pods: Sequence[PodView],
    now: datetime,
    *,
    server_seen: bool,
) -> tuple[Ledger, float | None]:
    """What is left of a ledger, and the seconds until the next hold of a dead pod is over.

    A reservation goes when the owner counts what its pod may still have, when the pod has left the server, or when
    it is dead and drained. The rest knows nothing of the server any more: should this ledger own it one day, it has
    to recover first.

    Args:
        ledger: as it was committed last.
        owner: the owner's reservations as they were committed last, by pod uid.
        pods: those that have a reservation in `ledger`.
        now: for the reservations that change.
        server_seen: somebody has read the server's version, or been served by it.

    """
    views = {pod.uid: pod for pod in pods}
    book = Book(Ledger(ledger.connections, ledger.reservations), views, now, server_seen=server_seen)
    book.settle()
    look_again = book.bury()
    left = {
        uid: entry
        for uid, entry in book.entries.items()
        if not _counted(owner.get(uid), entry, views.get(uid))
    }
    return Ledger(sum(entry.reserved for entry in left.values()), left, recovering=True), look_again


def _counted(owned: Reservation | None, entry: Reservation, pod: PodView | None) -> bool:
    if owned is None or owned.generation < entry.generation:
        return False
    report = pod.report if pod is not None else None
    follows = report is not None and report.acknowledged >= owned.generation
    return follows or owned.reserved >= entry.reserved
