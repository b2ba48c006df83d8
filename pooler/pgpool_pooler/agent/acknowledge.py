"""When a grant counts as in force: what the ledger may release on, and how an engine gets there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

SETTLED_SECONDS: Final = 0.2
"""In force and drained for this long: longer than a connection that was being opened takes to show up, and than
PostgreSQL takes to end a backend whose connection was closed, where it gets its CPU."""


class Acknowledgement:
    """The highest generation that has been in force and drained long enough."""

    def __init__(self) -> None:
        self.generation = 0
        self._candidate = 0
        self._since = 0.0

    def look(self, generation: int, *, settled: bool, now: float) -> None:
        """Take in one observation of the engine, made after the last thing that was changed."""
        if not settled:
            self._candidate = 0
        elif self._candidate != generation:
            self._candidate, self._since = generation, now
        elif now - self._since >= SETTLED_SECONDS:
            self.generation = max(self.generation, generation)


@dataclass(frozen=True)
class Shed:
    """What an engine is told: to close `excess` connections per database, and whether to open any."""

    excess: Mapping[str, int] = field(default_factory=dict)
    opening: bool = True


class Shedding:
    """When to make an engine shed connections: until nothing is in excess; if others are there too, after a while
    only in a short pulse each second.

    It may close more than it has to, also of those who are within their limits. What it closed in excess it opens
    again, and not before PostgreSQL has ended the old ones: else a full pod would have more backends than its cap.
    A long transaction or session can keep a database above its limit for hours; the others must not pay for that
    with a login per transaction.
    """

    FIRST_SECONDS: Final = 0.5
    PULSE_SECONDS: Final = 0.1
    PERIOD_SECONDS: Final = 1.0

    def __init__(self) -> None:
        self._since: float | None = None
        self._closing = False
        self._closed_at: float | None = None

    def look(self, excess: Mapping[str, int], now: float, *, bystanders: bool) -> Shed:
        """What to tell the engine now."""
        closing = bool(excess) and (self._in_pulse(now) or not bystanders)
        if not excess:
            self._since = None
        if closing or self._closing:
            self._closed_at = now
        self._closing = closing
        ended = self._closed_at is None or now - self._closed_at >= SETTLED_SECONDS
        return Shed(dict(excess) if closing else {}, opening=ended)

    def _in_pulse(self, now: float) -> bool:
        if self._since is None:
            self._since = now
        elapsed = now - self._since
        return elapsed < self.FIRST_SECONDS or elapsed % self.PERIOD_SECONDS < self.PULSE_SECONDS
