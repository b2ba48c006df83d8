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
    BUDGET_FLOOR = "BudgetFloor"
    SESSION_MODE = "SessionMode"
    FROZEN = "Frozen"


@dataclass(frozen=True)
class Decision:
    """How many pods shall run, and why."""

    replicas: int
    """Pods to run now."""
    reason: Reason
    limit: Limit | None
    memory: Memory


def decide(view: EndpointView, memory: Memory, now: float, up: ScalingRules, down: ScalingRules) -> Decision:
    """One look: the table proposes, minimum and maximum and the behaviour limit it. `now` is monotonic."""
    memory = behavior.observed(memory, view.current, now)
    wish = opinion(view)
    limit = _limit(wish, view)
    asked = view.current if limit is Limit.SESSION_MODE else wish.replicas
    wanted = _within(asked, view)
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
    return _within(paced, view)


def _within(replicas: int, view: EndpointView) -> int:
    """Minimum and maximum are the user's; what the budget has no room for could not start."""
    return min(max(replicas, view.minimum), view.maximum, view.room)


def _limit(wish: Opinion, view: EndpointView) -> Limit | None:
    if wish.reason is Reason.FROZEN:
        return Limit.FROZEN
    if wish.vetoed:
        return Limit.DATABASE_SATURATED
    if min(max(wish.replicas, view.minimum), view.maximum) > view.room:
        return Limit.BUDGET_FLOOR
    if wish.replicas > view.maximum:
        return Limit.TOO_MANY_REPLICAS
    return Limit.SESSION_MODE if view.sessions and wish.replicas < view.current else None
