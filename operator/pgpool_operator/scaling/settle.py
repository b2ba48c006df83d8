"""What is said changes only once it has been so for a while: a status that flickers is read in vain."""

from dataclasses import dataclass, replace
from typing import Generic, TypeVar

SETTLE_SECONDS = 10.0

T = TypeVar("T")


@dataclass(frozen=True)
class Settled(Generic[T]):
    """What is said, and what may be said next (`since`: seconds, monotonic)."""

    said: T
    next: T
    since: float

    @property
    def quiet(self) -> bool:
        """Nothing else is about to be said."""
        return self.next == self.said


def saying(value: T, now: float) -> Settled[T]:
    """A beginning."""
    return Settled(value, value, now)


def settle(before: Settled[T], seen: T, now: float) -> Settled[T]:
    """After another look."""
    if seen != before.next:
        before = Settled(before.said, seen, now)
    if now - before.since >= SETTLE_SECONDS:
        return replace(before, said=seen)
    return before
