"""What is said changes only once it has been so for a while: a status that flickers is read in vain."""

from dataclasses import dataclass
from typing import Generic, TypeVar

SETTLE_SECONDS = 10.0

T = TypeVar("T")


@dataclass(frozen=True)
class Settled(Generic[T]):
    """What is said, and since when (seconds, monotonic) something else is seen; None: it is not."""

    said: T
    differs_since: float | None = None

    @property
    def quiet(self) -> bool:
        """Nothing else is about to be said."""
        return self.differs_since is None


def settle(before: Settled[T] | None, seen: T, now: float) -> Settled[T]:
    """After another look: what is seen is said at once by who said nothing yet, else when what was said has not
    been so for a while. What changes in between may itself change."""
    if before is None or seen == before.said:
        return Settled(seen)
    since = now if before.differs_since is None else before.differs_since
    return Settled(seen) if now - since >= SETTLE_SECONDS else Settled(before.said, since)
