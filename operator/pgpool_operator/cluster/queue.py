"""The keyed work queue between events and reconciles.

As controller-runtime's: a key that is added many times is worked on once, never by two workers at a time, and
again afterwards if it was added meanwhile; a failed key comes back after its own growing delay. Unlike there, a
key that fails is not tried at once by whatever happens meanwhile: under load something always does.
"""

import asyncio
import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

from .backoff import backoff

K = TypeVar("K", bound=Hashable)

FIRST_DELAY_SECONDS = 0.05
LONGEST_DELAY_SECONDS = 15.0
"""Whatever fails, what only a look can tell is not missed for long: that a hold is over, for instance."""
EAGER_DELAY_SECONDS = 1.0
"""A failed key that is added again waits for its delay, but no longer than this: what happened may help it."""


class WorkQueue(Generic[K]):
    """Keys that want a reconcile, each at most once."""

    def __init__(self) -> None:
        self._ready: dict[K, None] = {}
        self._working: set[K] = set()
        self._again: set[K] = set()
        self._failures: dict[K, int] = {}
        self._not_before: dict[K, float] = {}
        self._due: dict[K, float] = {}
        self._later: list[tuple[float, int, K]] = []
        self._sequence = 0
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._ready) + len(self._again)

    def add(self, key: K) -> None:
        """Reconcile `key` as soon as a worker is free; if it has just failed, a little later."""
        if key in self._working:
            self._again.add(key)
            return
        rest = self._not_before.get(key, 0.0) - asyncio.get_running_loop().time()
        if rest > 0:
            self.add_after(key, rest)
            return
        self._ready[key] = None
        self._wake.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Reconcile `key` in `seconds`, or earlier if that was asked for before."""
        when = asyncio.get_running_loop().time() + seconds
        if self._due.get(key, float("inf")) <= when:
            return
        self._due[key] = when
        self._sequence += 1
        heapq.heappush(self._later, (when, self._sequence, key))
        self._wake.set()

    async def take(self) -> K:
        """The next key; the caller must call `done` or `failed` with it."""
        while True:
            wait = self._release_due()
            if self._ready:
                key = next(iter(self._ready))
                del self._ready[key]
                self._working.add(key)
                return key
            self._wake.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def done(self, key: K) -> None:
        """The reconcile of `key` succeeded."""
        self._failures.pop(key, None)
        self._not_before.pop(key, None)
        self._finish(key)

    def failed(self, key: K) -> float:
        """The reconcile of `key` failed: it comes back; returns after how many seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = backoff(FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS, failures)
        now = asyncio.get_running_loop().time()
        self._not_before[key] = now + min(delay, EAGER_DELAY_SECONDS)
        self._finish(key)
        self.add_after(key, delay)
        return delay

    def _finish(self, key: K) -> None:
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def _release_due(self) -> float | None:
        now = asyncio.get_running_loop().time()
        while self._later and self._later[0][0] <= now:
            when, _, key = heapq.heappop(self._later)
            if self._due.get(key) == when:
                del self._due[key]
                self.add(key)
        return self._later[0][0] - now if self._later else None
