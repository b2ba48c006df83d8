"""From the load of an endpoint's pods to how many shall run."""

from dataclasses import dataclass
from enum import StrEnum

from ..api import ScalingRules
from . import behavior
from .behavior import Memory
from .policies import Opinion, opinion
from .view import EndpointView, Reason


class Limit(StrEnum):
    """Why another number of pods runs than the load asks for (HPA's reasons, and ours)."""

    TOO_MANY_REPLICAS = "TooManyReplicas"
    DATABASE_SATURATED = "DatabaseSaturated"
    SESSION_MODE = "SessionMode"
    FROZEN = "Frozen"


@dataclass(frozen=True)
class Decision:
    """How many pods shall run, and why."""

    replicas: int
    """As far as the budget has room, which is not decided here."""
    reason: Reason
    limit: Limit | None
    memory: Memory


def decide(view: EndpointView, memory: Memory, now: float, up: ScalingRules, down: ScalingRules) -> Decision:
    """One look: the table proposes, minimum and maximum and the behaviour limit it. `now` is monotonic."""
    memory = behavior.observed(memory, view.current, now)
    wish = opinion(view)
    limit = _limit(wish, view)
    asked = view.current if limit is Limit.SESSION_MODE else wish.replicas
    wanted = min(max(asked, view.minimum), view.maximum)
    memory = behavior.recommended(memory, wanted, now, up, down)
    stable = behavior.stabilized(memory, view.current, now, up, down)
    return Decision(_paced(stable, view, memory, now, up, down), wish.reason, limit, memory)


def _paced(
    stable: int, view: EndpointView, memory: Memory, now: float, up: ScalingRules, down: ScalingRules
) -> int:
    """As fast as the policies allow; to within minimum and maximum at once, as HPA does."""
    if stable > view.current:
        paced = min(stable, behavior.highest(memory, view.current, now, up))
    else:
        # One at a time, whatever the policies allow: the prediction is tried on each step.
        paced = max(stable, behavior.lowest(memory, view.current, now, down), view.current - 1)
    return min(max(paced, view.minimum), view.maximum)


def _limit(wish: Opinion, view: EndpointView) -> Limit | None:
    if wish.reason is Reason.FROZEN:
        return Limit.FROZEN
    if wish.vetoed:
        return Limit.DATABASE_SATURATED
    if wish.replicas > view.maximum:
        return Limit.TOO_MANY_REPLICAS
    return Limit.SESSION_MODE if view.sessions and wish.replicas < view.current else None
