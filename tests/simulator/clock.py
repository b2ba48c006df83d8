"""Virtual time, and what shares a resource in it."""

from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from itertools import count

Action = Callable[[], None]


class Clock:
    """Events in the order of their time; those of one moment in the order in which they were planned."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Action]] = []
        self._numbers = count()

    def after(self, seconds: float, action: Action) -> None:
        """Let something happen so much later."""
        heappush(self._events, (self.now + seconds, next(self._numbers), action))

    def every(self, seconds: float, action: Action) -> None:
        """Let something happen again and again, for the first time after `seconds`."""

        def again() -> None:
            action()
            self.after(seconds, again)

        self.after(seconds, again)

    def run(self, until: float) -> None:
        """Let time pass."""
        while self._events and self._events[0][0] <= until:
            self.now, _, action = heappop(self._events)
            action()
        self.now = until


class Shared:
    """Processor sharing: each of k jobs progresses at min(1, capacity / k)."""

    def __init__(self, clock: Clock, capacity: float) -> None:
        self._clock = clock
        self._capacity = capacity
        self._progress = 0.0
        """What a job that was always there would have got so far."""
        self._advanced = 0.0
        self._jobs: list[tuple[float, int, Action]] = []
        """With the progress at which each is done."""
        self._numbers = count()
        self._plans = 0

    def __len__(self) -> int:
        return len(self._jobs)

    def start(self, amount: float, done: Action) -> None:
        """Give it `amount` seconds of work."""
        self._advance()
        heappush(self._jobs, (self._progress + amount, next(self._numbers), done))
        self._plan()

    def _rate(self) -> float:
        return min(1.0, self._capacity / len(self._jobs))

    def _advance(self) -> None:
        if self._jobs:
            self._progress += (self._clock.now - self._advanced) * self._rate()
        self._advanced = self._clock.now

    def _plan(self) -> None:
        """Who is done next and when; plans made before do not hold any more."""
        self._plans += 1
        if self._jobs:
            left = max(0.0, self._jobs[0][0] - self._progress)
            self._clock.after(left / self._rate(), partial(self._finish, self._plans))

    def _finish(self, plan: int) -> None:
        if plan == self._plans:
            self._advance()
            _, _, done = heappop(self._jobs)
            self._plan()
            done()
