"""Whether clients wait for the database rather than for poolers, and why. Holds with and without autoscaling."""

from collections.abc import Callable

from .cause import Cause
from .view import EndpointView, Reason

HELD_SHARE = 0.5
"""Clients hold transactions if queries ran for less than this part of the time in them."""


def saturation(view: EndpointView) -> Reason | None:
    """Why more pods could not help; None: there is room, or the poolers are the bottleneck.

    What the server itself was seen to be at the end of is so for all its clients, wherever they wait. Otherwise
    all pods must be full. While the poolers are at their target that says nothing: backends count as busy then
    that only wait for their pooler.
    """
    if not view.waits or not view.reachable:
        return None
    return next((reason for reason, holds in _CHECKS if holds(view)), None)


def _holding(view: EndpointView) -> bool:
    if not view.full or view.busy:
        return False
    return view.cause is Cause.HELD or _queries_are_the_smaller_part(view)


def _queries_are_the_smaller_part(view: EndpointView) -> bool:
    shares = [load.query_share for load in view.known if load.query_share is not None]
    return bool(shares) and sum(shares) / len(shares) < HELD_SHARE


def _seen(cause: Cause) -> Callable[[EndpointView], bool]:
    return lambda view: view.cause is cause


_CHECKS: tuple[tuple[Reason, Callable[[EndpointView], bool]], ...] = (
    (Reason.CPU_SATURATED, _seen(Cause.CPU)),
    (Reason.LOCK_CONTENTION, _seen(Cause.LOCK)),
    (Reason.IO_SATURATED, _seen(Cause.IO)),
    (Reason.CLIENTS_HOLD_TRANSACTIONS, _holding),
    (Reason.BUDGET_EXHAUSTED, lambda view: view.full and not view.busy),
)
