"""What was seen lately, where the present alone says too little."""

from collections import deque
from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from pgpool_pooler.engines.base import EngineStatus, Setup

from .acknowledge import SETTLED_SECONDS


@dataclass(frozen=True)
class Lately:
    """What was so within the last SETTLED_SECONDS, the time that a server may take to end a connection."""

    open: Mapping[str, int] = field(default_factory=dict)
    """Database -> the most connections that were open."""
    closing: frozenset[str] = frozenset()
    """Databases that the engine was told to close connections of."""
    hurried: frozenset[str] = frozenset()
    """Those that it was told to close in a hurry."""


class Memory:
    """Of what the engine was told and did."""

    def __init__(self) -> None:
        self._open = Highest(SETTLED_SECONDS)
        self._closing = Recent(SETTLED_SECONDS)
        self._hurried = Recent(SETTLED_SECONDS)

    def look(self, status: EngineStatus, in_force: Setup | None, now: float) -> Lately:
        """Take in one observation, and with what the engine ran until then."""
        return Lately(
            open=self._open.look(status.opened, now),
            closing=self._closing.look(in_force.closing if in_force is not None else frozenset(), now),
            hurried=self._hurried.look(in_force.hurried if in_force is not None else frozenset(), now),
        )


class Highest:
    """The highest count of each name that was so within the last `seconds`.

    What was seen may have been so until the next look, however late that came.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: deque[tuple[float, Mapping[str, int]]] = deque()

    def look(self, counts: Mapping[str, int], now: float) -> dict[str, int]:
        """Take in one observation."""
        self._seen.append((now, counts))
        while len(self._seen) > 1 and self._seen[1][0] < now - self._seconds:
            self._seen.popleft()
        highest: dict[str, int] = {}
        for _, seen in self._seen:
            for name, count in seen.items():
                highest[name] = max(count, highest.get(name, 0))
        return highest


class Recent:
    """The names that were so within the last `seconds`: the `Highest` of what is or is not."""

    def __init__(self, seconds: float) -> None:
        self._highest = Highest(seconds)

    def look(self, names: Set[str], now: float) -> frozenset[str]:
        """Take in one observation."""
        return frozenset(self._highest.look(dict.fromkeys(names, 1), now))
