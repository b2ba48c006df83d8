"""HorizontalPodAutoscaler's formula: desired = ceil(current x metric / target).

Source: kubernetes.io, "Horizontal Pod Autoscaling", algorithm details; the missing are filled in as there.
"""

import math
from collections.abc import Sequence

TOLERANCE = 0.1
"""No change while the metric is within this part of its target (HPA's default)."""


def proposal(current: int, shares: Sequence[float | None], target: float) -> int:
    """Pods that would bring the mean of `shares` to `target`; `current` where that changes little.

    Args:
        current: pods that are there, so that missing ones can be told from those that were never wanted.
        shares: one for each pod; None: not known. It counts as 100% on the way down, as 0% on the way up, and
            never turns the direction that the known ones ask for.
        target: the share to be reached.

    """
    known = [share for share in shares if share is not None]
    if not known:
        return current
    ratio = sum(known) / len(known) / target
    missing = max(current, len(shares)) - len(known)
    if missing:
        filled = 1.0 if ratio < 1 else 0.0
        refilled = (sum(known) + missing * filled) / (len(known) + missing) / target
        if (ratio < 1) is not (refilled < 1):
            return current
        ratio = refilled
    if abs(1 - ratio) <= TOLERANCE:
        return current
    proposed = math.ceil(ratio * (len(known) + missing))
    return min(proposed, current) if ratio < 1 else max(proposed, current)
