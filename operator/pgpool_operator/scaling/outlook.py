"""All that is known, decided and said of the load of one endpoint, from one look to the next."""

from dataclasses import dataclass, field, replace

from ..api import Behavior
from .behavior import Memory
from .decision import Decision, Limit, decide
from .saturation import saturation
from .settle import Settled, saying, settle
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
    said = before.said
    view = replace(view, said=said.said.saturation if said else None)
    decision = None
    if behavior is not None:
        decision = decide(view, before.memory, now, behavior.scale_up, behavior.scale_down)
    if view.known or not view.reachable:
        seen = _seen(view, decision)
        said = settle(said, seen, now) if said else saying(seen, now)
    memory = decision.memory if decision else before.memory
    return Outlook(view, decision, said.said if said else None), Remembered(memory, said)


def _seen(view: EndpointView, decision: Decision | None) -> Said:
    if decision is None:
        return Said(saturation(view))
    return Said(saturation(view), decision.reason, decision.limit)
