"""How soon the loop looks again where nothing wakes it up."""

from typing import Final

TICK_SECONDS: Final = 1.0
BUSY_TICK_SECONDS: Final = 0.05
"""While connections close, or a grant is not acknowledged yet."""
BUSY_SECONDS: Final = 10.0
"""For so long at a time the loop looks that often: what is not done by then waits for a transaction or a session,
which may last for hours, and each look costs the engine's CPU."""
LONG_TICK_SECONDS: Final = 0.5
"""After BUSY_SECONDS, until what is being waited for is done."""


class Pace:
    """Remembers since when something is waited for."""

    def __init__(self) -> None:
        self._busy_since: float | None = None

    def rest(self) -> None:
        """Nothing is waited for, or it is something else from now on."""
        self._busy_since = None

    def busy(self, now: float, *, paused: bool) -> float:
        """Seconds until the next look, while something is not done yet.

        Few, for however long that lasts, while the engine is `paused`: every client waits then.
        """
        self._busy_since = now if self._busy_since is None else self._busy_since
        is_long = now - self._busy_since >= BUSY_SECONDS and not paused
        return LONG_TICK_SECONDS if is_long else BUSY_TICK_SECONDS
