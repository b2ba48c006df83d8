"""Short ways to say what pods and endpoints are like."""

from dataclasses import replace

from pgpool_operator.scaling import Cause, EndpointView, PodLoad, Sample, ServerView
from pgpool_operator.scaling.signals import Backends

QUIET = PodLoad(
    cpu=0.1,
    clients=0.1,
    waiting=0.0,
    waits=False,
    longest_wait=0.0,
    active=2.0,
    cap=12,
    query_share=0.9,
    backends=None,
)
FULL = replace(QUIET, cpu=0.2, waiting=30.0, waits=True, longest_wait=0.5, active=12.0)
BUSY = replace(QUIET, cpu=0.95, active=6.0)
BUSY_AND_FULL = replace(FULL, cpu=0.95)


def view(*loads: PodLoad | None, **facts: object) -> EndpointView:
    """An endpoint with these pods, all of them wanted, between 2 and 8."""
    cause = facts.pop("cause", Cause.UNKNOWN)
    server = ServerView(loads, cause, bool(facts.pop("reachable", True)))  # type: ignore[arg-type]
    given = EndpointView(current=len(loads), minimum=2, maximum=8, room=64, servers=(server,))
    return replace(given, **facts)  # type: ignore[arg-type]


def at(seconds: float, **facts: object) -> Sample:
    """A quiet pod's sample at a moment."""
    given = Sample(
        at=seconds,
        ready=True,
        cpu_seconds=0.0,
        cpu_available=1.0,
        clients=10,
        max_clients=100,
        waiting=0,
        longest_wait=0.0,
        active=2,
        cap=12,
        transactions=0,
        busy_seconds=0.0,
        query_seconds=0.0,
        activity=None,
    )
    return replace(given, **facts)  # type: ignore[arg-type]


def backends(**counts: float) -> Backends:
    """What 24 backends do."""
    return replace(Backends(), **counts)
