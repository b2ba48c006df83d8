"""How many pods a budget can feed, and how they may be replaced.

Every pod needs its floor, one connection for each database, from its first query on. P = B // floor pods fit, all
pools on the server together. A rollout needs room for one pod more, so P - 1 run; where only one fits, it must go
before its successor comes.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class PoolWants:
    """What one endpoint of one pool asks of a server."""

    key: str
    floor: int
    replicas: int


@dataclass(frozen=True)
class Fit:
    """What it gets."""

    replicas: int
    max_surge: int
    max_unavailable: int


def fit(connections: int, wants: Sequence[PoolWants]) -> dict[str, Fit]:
    """Pods for each of `wants`, given oldest first: one pod each, then in turns while there is room.

    Room for one more pod, the one with the largest floor, is kept for rollouts as soon as two pods fit. A pool
    that can have no pod, or wants none, costs the others nothing.
    """
    largest = max((want.floor for want in wants if want.replicas and want.floor <= connections), default=0)
    surge = connections >= 2 * largest
    room = connections - (largest if surge else 0)
    pods = {want.key: 0 for want in wants}
    growing = True
    while growing:
        growing = False
        for want in wants:
            if pods[want.key] < want.replicas and want.floor <= room:
                pods[want.key] += 1
                room -= want.floor
                growing = True
    return {
        key: Fit(replicas, max_surge=int(surge), max_unavailable=int(not surge))
        for key, replicas in pods.items()
    }


def fixed_share(connections: int, fixed: Sequence[int], others: Sequence[int]) -> int:
    """What each pod whose share is fixed has, or its floor if that is more.

    The floors of the other pods come first. The rest is divided evenly, but that nobody has less than its floor. Of
    both sorts there is room for one pod more, one with the largest floor: what `fit` lets run can be replaced.

    Args:
        connections: B.
        fixed: the floors of the pods whose share is fixed.
        others: the floors of all other pods.

    """
    room = connections - sum(others) - max(others, default=0)
    floors = sorted([*fixed, max(fixed, default=0)], reverse=True)
    for above, floor in enumerate(floors):
        share = room // (len(floors) - above)
        if floor <= share:
            return share
        room -= floor
    return 0
