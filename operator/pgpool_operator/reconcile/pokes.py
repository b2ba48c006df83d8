"""Waking a pod whose kubelet missed a change: annotate it again, with backoff.

With twenty pods of a node patched at once, 4% of the wake-ups are lost and would wait for the kubelet's own sync,
60 to 90 seconds. One more patch brings them.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ..cluster.backoff import backoff

FIRST_SECONDS = 1.5
LONGEST_SECONDS = 60.0


@dataclass
class _Overdue:
    change: str
    since: float
    pokes: int = 0


@dataclass
class Pokes:
    """When to poke whom, by pod and by what it should have noticed: of each subject the newest change counts."""

    clock: Callable[[], float] = time.monotonic
    _overdue: dict[str, dict[str, _Overdue]] = field(default_factory=dict)

    def wait(self, uid: str, subject: str, change: str) -> float:
        """Seconds until the pod is to be poked because it has not noticed `change`; 0: now."""
        known = self._known(uid, subject, change)
        pause = backoff(FIRST_SECONDS, LONGEST_SECONDS, known.pokes)
        return max(0.0, known.since + pause - self.clock())

    def poked(self, uid: str, subject: str, change: str) -> None:
        """It was poked just now."""
        known = self._known(uid, subject, change)
        known.since, known.pokes = self.clock(), known.pokes + 1

    def forget(self, uid: str) -> None:
        """The pod is gone."""
        self._overdue.pop(uid, None)

    def _known(self, uid: str, subject: str, change: str) -> _Overdue:
        subjects = self._overdue.setdefault(uid, {})
        if subject not in subjects or subjects[subject].change != change:
            subjects[subject] = _Overdue(change, self.clock())
        return subjects[subject]
