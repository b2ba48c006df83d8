"""What others have seen at the server of the connections of a pod that is dead. Pure."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from pgpool_pooler.contract import Backends, ServerState

CURRENT_SECONDS = 15.0
"""For so long a count of some tells that they are there: agents count every 3 s and keep a count for as long."""


@dataclass(frozen=True)
class Count:
    """The server's backends as one agent has counted them."""

    age: float
    """Seconds since it was taken, at the most."""
    backends: Backends


def complete_counts(said: Iterable[tuple[ServerState, float]]) -> tuple[Count, ...]:
    """Those that tell of every backend there is, from what agents say of the server and the age of their word.

    Where several servers answer at the address, nobody knows which of them was asked.
    """
    return tuple(
        Count(age + here.backends.age_seconds, here.backends)
        for here, age in said
        if here.backends is not None and here.backends.complete and not here.others
    )


def counted(addresses: Collection[str], counts: Sequence[Count], dead_for: float) -> int | None:
    """The backends from a dead pod's addresses by the newest count; None if none was taken since it was proven
    dead: until then it may have opened more. Nor does one tell that found some and is not current: they end."""
    newest = min(counts, key=lambda count: count.age, default=None)
    if newest is None or not newest.age < dead_for:
        return None
    found = sum(newest.backends.by_address.get(address, 0) for address in addresses)
    return None if found and newest.age > CURRENT_SECONDS else found
