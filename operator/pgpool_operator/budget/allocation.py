"""Who should have how many connections: floors, then max-min to demand, then the rest evenly.

Used twice: a budget over the pods, and a pod's cap over its databases. Connections do best in one place (24
servers at 90% load: mean wait 0.215 in one pool, 1.23 in four), so what is moved follows demand, and small moves
are not worth their drain.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SMALLEST_MOVE = 2
SMALLEST_MOVE_PART = 0.15
"""A move is made if it changes some share by at least this many connections and this part of the mean share."""

DEMAND_WEIGHT = 0.3
"""Weight of a look in the moving average if the last one was a second ago: three seconds make two thirds."""

IDLE_PART = 0.5
"""Who wants nothing keeps at least this part of the mean share, for what may come."""


@dataclass(frozen=True)
class Claim:
    """One claimant's needs."""

    key: str
    floor: int
    """Below this it cannot work at all."""
    demand: float = 0.0
    """Connections that it could use now."""
    held: int = 0
    """What it has."""
    most: int | None = None
    """More would be wasted or is forbidden."""
    leaving: bool = False
    """It gets what it needs, and nothing of the rest."""


def expected_demand(previous: float | None, busy: int, queued: int, seconds: float) -> float:
    """Moving average of busy + queued, `seconds` after `previous`: it forgets at the same speed however often one
    looks. What is claimed adds the square root of it, see `_wants`."""
    now = float(busy + queued)
    return now if previous is None else now + (1 - DEMAND_WEIGHT) ** seconds * (previous - now)


def allocate(connections: int, claims: Sequence[Claim]) -> dict[str, int]:
    """Shares by key; they never sum to more than `connections`.

    Floors come first, holders before newcomers; who gets no floor gets nothing. The present shares stay if no
    share would change by much, or if nobody lacks anything: so the result of an allocation is a fixed point of the
    next, and a load that varies moves nothing.
    """
    order = sorted(claims, key=lambda claim: (-claim.held, claim.key))
    shares = _floors(connections, order)
    fed = [claim for claim in order if claim.key in shares]
    _fill(shares, connections, fed, {claim.key: _wants(claim) for claim in fed})
    _spread(shares, connections, [claim for claim in fed if not claim.leaving])
    shares |= {claim.key: 0 for claim in order if claim.key not in shares}
    return _kept(shares, fed) or shares


def _wants(claim: Claim) -> int:
    """Average demand is half of the time too little: a standard deviation more (Poisson) mostly suffices."""
    return min(math.ceil(claim.demand + math.sqrt(claim.demand)), _most(claim))


def _most(claim: Claim) -> int:
    return max(claim.floor, claim.most) if claim.most is not None else 10**9


def _floors(connections: int, order: Sequence[Claim]) -> dict[str, int]:
    shares: dict[str, int] = {}
    for claim in order:
        if sum(shares.values()) + claim.floor <= connections:
            shares[claim.key] = claim.floor
    return shares


def _fill(shares: dict[str, int], connections: int, order: Sequence[Claim], wants: Mapping[str, int]) -> None:
    """Max-min: whoever has least and still wants gets the next one."""
    left = connections - sum(shares.values())
    while left > 0:
        hungry = [claim for claim in order if shares[claim.key] < wants[claim.key]]
        if not hungry:
            return
        level = min(shares[claim.key] for claim in hungry)
        for claim in [claim for claim in hungry if shares[claim.key] == level][:left]:
            shares[claim.key] += 1
            left -= 1


def _spread(shares: dict[str, int], connections: int, order: Sequence[Claim]) -> None:
    left = connections - sum(shares.values())
    while left > 0:
        open_ended = [claim for claim in order if shares[claim.key] < _most(claim)]
        if not open_ended:
            return
        for claim in open_ended[:left]:
            shares[claim.key] += 1
            left -= 1


def _kept(shares: Mapping[str, int], fed: Sequence[Claim]) -> dict[str, int] | None:
    """The present shares, where they are allowed, use the budget as well, and no move is needed or worth it."""
    held = {claim.key: claim.held for claim in fed}
    if not fed or sum(held.values()) != sum(shares.values()):
        return None
    if any(not claim.floor <= claim.held <= _most(claim) for claim in fed):
        return None
    mean = sum(held.values()) / len(fed)
    smallest = max(SMALLEST_MOVE, SMALLEST_MOVE_PART * mean)
    worth_it = any(abs(shares[key] - now) >= smallest for key, now in held.items())
    if worth_it and not all(_content(claim, shares[claim.key], mean) for claim in fed):
        return None
    return {key: held.get(key, 0) for key in shares}


def _content(claim: Claim, share: int, mean: float) -> bool:
    """It lacks nothing, so that nothing need be moved for it; one that leaves has nothing to spare either."""
    if claim.leaving:
        return claim.held <= share
    return claim.held >= min(share, max(_wants(claim), math.ceil(IDLE_PART * mean)))
