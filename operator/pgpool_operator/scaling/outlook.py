"""All that is known, decided and said of the load of one endpoint, from one look to the next."""

from dataclasses import dataclass, field, replace

from ..api import Behavior
from .behavior import Memory
from .decision import Decision, Limit, decide
from .saturation import saturation
from .settle import Settled, settle
from .view import EndpointView, Reason


@dataclass(frozen=True)
class Said:
    """What the status says of an endpoint's load; it holds for a while."""

    saturation: Reason | None = None
    """Why clients wait for the database; None: they do not."""
    reason: Reason | None = None
    """Why the number of pods is what it is; None without autoscaling."""
    limit: Limit | None = None
    """Why it is not what the load asks for."""


@dataclass(frozen=True)
class Remembered:
    """What one look leaves to the next."""

    memory: Memory = field(default_factory=Memory)
    replicas: int | None = None
    """What was decided. The status says it too, but not before it was written."""
    said: Settled[Said] | None = None


@dataclass(frozen=True)
class Outlook:
    """One endpoint, at one look."""

    view: EndpointView
    decision: Decision | None
    """None: the number of pods is somebody else's."""
    said: Said | None
    """None: no load is known yet."""


def look(
    view: EndpointView, before: Remembered, now: float, behavior: Behavior | None
) -> tuple[Outlook, Remembered]:
    """Judge the load at `now` (seconds, monotonic); without `behavior` the number of pods is not decided here."""
    if not view.loads:
        before = replace(before, said=None)
    decided = view.current if before.replicas is None or behavior is None else before.replicas
    view = replace(view, current=decided, said=before.said.said.saturation if before.said else None)
    decision = None
    if behavior is not None:
        decision = decide(view, before.memory, now, behavior.scale_up, behavior.scale_down)
    said = before.said
    if view.known or not view.reachable:
        said = settle(said, _seen(view, decision), now)
    outlook = Outlook(view, decision, said.said if said else None)
    if decision is None:
        return outlook, Remembered(said=said)
    return outlook, Remembered(decision.memory, decision.replicas, said)


def _seen(view: EndpointView, decision: Decision | None) -> Said:
    if decision is None:
        return Said(saturation(view))
    return Said(saturation(view), decision.reason, decision.limit)
