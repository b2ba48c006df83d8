"""When a grant counts as in force: what the ledger may release on."""

from typing import Final

SETTLED_SECONDS: Final = 0.2
"""In force and drained for this long: longer than a connection that was being opened takes to show up."""


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


class ShedPulse:
    """When to make an engine shed connections: at once and for a while, then a short pulse each second.

    Shedding closes every connection as it becomes free, also in databases that are within their limits. A long
    transaction or session can keep a database above its limit for hours; the others must not pay for that with
    a login per transaction.
    """

    FIRST_SECONDS: Final = 0.5
    PULSE_SECONDS: Final = 0.1
    PERIOD_SECONDS: Final = 1.0

    def __init__(self) -> None:
        self._since: float | None = None

    def wanted(self, *, over_limit: bool, now: float) -> bool:
        """Whether to shed now."""
        if not over_limit:
            self._since = None
            return False
        if self._since is None:
            self._since = now
        elapsed = now - self._since
        return elapsed < self.FIRST_SECONDS or elapsed % self.PERIOD_SECONDS < self.PULSE_SECONDS
