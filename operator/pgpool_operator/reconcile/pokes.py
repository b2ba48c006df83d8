"""Waking a pod whose kubelet missed a change: annotate it again, with backoff.

With twenty pods of a node patched at once, 4% of the wake-ups are lost and would wait for the kubelet's own sync,
60 to 90 seconds. One more patch brings them.
"""

import time
from dataclasses import dataclass, field

FIRST_SECONDS = 1.5
LONGEST_SECONDS = 60.0


@dataclass
class _Overdue:
    since: float
    pokes: int = 0


@dataclass
class Pokes:
    """When to poke whom, by pod and by what it should have noticed."""

    _overdue: dict[tuple[str, str], _Overdue] = field(default_factory=dict)

    def wait(self, uid: str, change: str) -> float:
        """Seconds until the pod is to be poked because it has not noticed `change`; 0: now."""
        known = self._overdue.setdefault((uid, change), _Overdue(time.monotonic()))
        pause = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0**known.pokes)
        return max(0.0, known.since + pause - time.monotonic())

    def poked(self, uid: str, change: str) -> None:
        """It was poked just now."""
        known = self._overdue[(uid, change)]
        known.since, known.pokes = time.monotonic(), known.pokes + 1

    def settled(self, uid: str) -> None:
        """The pod has noticed everything, or is gone."""
        for key in [key for key in self._overdue if key[0] == uid]:
            del self._overdue[key]
