"""Whether clients wait for the database rather than for poolers, and why. Holds with and without autoscaling."""

from collections.abc import Callable

from .cause import Cause
from .view import EndpointView, Reason, ServerView

HELD_SHARE = 0.5
"""Clients hold transactions if queries ran for less than this part of the time in them."""


def saturation(view: EndpointView) -> Reason | None:
    """Of the first server that is saturated; None: no server is, as far as one can tell."""
    return next((reason for server in view.servers if (reason := saturation_of(server))), None)


def everywhere_saturated(view: EndpointView) -> bool:
    """Wherever pods are heard, their server is."""
    heard = [server for server in view.servers if server.known]
    return bool(heard) and all(saturation_of(server) for server in heard)


def saturation_of(server: ServerView) -> Reason | None:
    """Why more pods could not help on one server; None: there is room, or the poolers are the bottleneck.

    What the server itself was seen to be at the end of is so for all its clients, wherever they wait. Otherwise
    all pods must be full. While the poolers are at their target that says nothing: backends count as busy then
    that only wait for their pooler.
    """
    if not server.waits or not server.reachable:
        return None
    return next((reason for reason, holds in _CHECKS if holds(server)), None)


def _holding(server: ServerView) -> bool:
    if not server.full or server.busy:
        return False
    return server.cause is Cause.HELD or _queries_are_the_smaller_part(server)


def _queries_are_the_smaller_part(server: ServerView) -> bool:
    shares = [load.query_share for load in server.known if load.query_share is not None]
    return bool(shares) and sum(shares) / len(shares) < HELD_SHARE


def _seen(cause: Cause) -> Callable[[ServerView], bool]:
    return lambda server: server.cause is cause


_CHECKS: tuple[tuple[Reason, Callable[[ServerView], bool]], ...] = (
    (Reason.CPU_SATURATED, _seen(Cause.CPU)),
    (Reason.LOCK_CONTENTION, _seen(Cause.LOCK)),
    (Reason.IO_SATURATED, _seen(Cause.IO)),
    (Reason.CLIENTS_HOLD_TRANSACTIONS, _holding),
    (Reason.BUDGET_EXHAUSTED, lambda server: server.full and not server.busy),
)
