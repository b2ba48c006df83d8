"""When a grant counts as in force: what the ledger may release on."""

from typing import Final

SETTLED_SECONDS: Final = 0.5
"""In force and drained for this long: longer than a connection that was being opened takes to show up, and than
PostgreSQL takes to end a backend whose connection was closed (seen: 2 ms, p99 131 ms, at most 387 ms with 30
runnable processes on 2 CPUs)."""


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
