"""The table of policies.py, row by row."""

from dataclasses import replace

import pytest

from pgpool_operator.scaling import Cause, EndpointView, Reason, ServerView
from pgpool_operator.scaling.policies import opinion
from pgpool_operator.scaling.saturation import saturation
from tests.support.loads import BUSY, BUSY_AND_FULL, FULL, QUIET, view

IDLE = replace(QUIET, cpu=0.05, clients=0.01)
CROWDED = replace(QUIET, clients=0.95)
CROWDED_AND_FULL = replace(FULL, clients=0.95)
TAKEN = replace(FULL, waits=False, waiting=0.0)
HOT = replace(BUSY, cpu=1.0)
HOLDING = replace(FULL, query_share=0.05)


def servers(*found: ServerView) -> EndpointView:
    """A read endpoint whose pods use several servers."""
    pods = sum(len(server.loads) for server in found)
    return EndpointView(current=pods, minimum=2, maximum=8, room=64, servers=found)


@pytest.mark.parametrize(
    ("given", "replicas", "reason"),
    [
        (view(BUSY, BUSY), 3, Reason.POOLER_BUSY),
        (view(BUSY, BUSY, BUSY, BUSY), 6, Reason.POOLER_BUSY),
        (view(BUSY_AND_FULL, BUSY_AND_FULL), 3, Reason.POOLER_BUSY),
        (view(BUSY_AND_FULL, BUSY_AND_FULL, cause=Cause.LOW), 3, Reason.POOLER_BUSY),
        (view(BUSY_AND_FULL, BUSY_AND_FULL, cause=Cause.HELD), 3, Reason.POOLER_BUSY),
        (view(CROWDED, CROWDED), 3, Reason.CLIENT_LIMIT),
        (view(CROWDED_AND_FULL, CROWDED_AND_FULL), 2, Reason.BUDGET_EXHAUSTED),
        (view(CROWDED_AND_FULL, CROWDED), 2, Reason.BUDGET_MOVES),
        (view(FULL, TAKEN), 2, Reason.BUDGET_EXHAUSTED),
        (view(TAKEN, TAKEN), 2, Reason.STEADY),
        (view(FULL, QUIET, cause=Cause.CPU), 2, Reason.CPU_SATURATED),
        (view(FULL, QUIET, cause=Cause.LOCK), 2, Reason.LOCK_CONTENTION),
        (view(FULL, QUIET, cause=Cause.HELD), 2, Reason.BUDGET_MOVES),
        (view(QUIET, QUIET, cause=Cause.CPU), 2, Reason.STEADY),
        (view(*[replace(FULL, cpu=0.8)] * 2), 2, Reason.POOLER_BUSY),
        (view(BUSY, BUSY, paused=True), 2, Reason.STEADY),
        (view(IDLE, IDLE, IDLE, paused=True), 3, Reason.STEADY),
        (view(*[replace(IDLE, cpu=0.25)] * 4, current=3), 3, Reason.STEADY),
        (servers(ServerView((FULL,)), ServerView((QUIET,))), 2, Reason.BUDGET_EXHAUSTED),
        (servers(ServerView((FULL, QUIET)), ServerView((QUIET,))), 3, Reason.BUDGET_MOVES),
        (servers(ServerView((FULL,), Cause.CPU), ServerView((BUSY, BUSY, BUSY))), 4, Reason.CPU_SATURATED),
        (servers(ServerView((FULL,), Cause.CPU), ServerView((HOT,) * 5)), 7, Reason.POOLER_BUSY),
        (servers(ServerView((QUIET,), reachable=False), ServerView((BUSY, BUSY))), 3, Reason.CLIENTS_UNEVEN),
        (servers(ServerView((FULL,), reachable=False), ServerView((HOT,) * 5)), 7, Reason.POOLER_BUSY),
        (view(BUSY, QUIET), 2, Reason.CLIENTS_UNEVEN),
        (view(BUSY, BUSY, said=Reason.CPU_SATURATED), 2, Reason.CPU_SATURATED),
        (view(CROWDED, CROWDED, said=Reason.BUDGET_EXHAUSTED), 2, Reason.BUDGET_EXHAUSTED),
        (view(FULL, QUIET), 2, Reason.BUDGET_MOVES),
        (view(FULL, FULL), 2, Reason.BUDGET_EXHAUSTED),
        (view(FULL, FULL, cause=Cause.LOW), 2, Reason.BUDGET_EXHAUSTED),
        (view(FULL, FULL, cause=Cause.CPU), 2, Reason.CPU_SATURATED),
        (view(FULL, FULL, cause=Cause.IO), 2, Reason.IO_SATURATED),
        (view(FULL, FULL, cause=Cause.LOCK), 2, Reason.LOCK_CONTENTION),
        (view(HOLDING, HOLDING, cause=Cause.LOCK), 2, Reason.LOCK_CONTENTION),
        (view(FULL, FULL, cause=Cause.HELD), 2, Reason.CLIENTS_HOLD_TRANSACTIONS),
        (view(HOLDING, HOLDING), 2, Reason.CLIENTS_HOLD_TRANSACTIONS),
        (view(HOLDING, HOLDING, cause=Cause.LOW), 2, Reason.CLIENTS_HOLD_TRANSACTIONS),
        (view(FULL, FULL, reachable=False), 2, Reason.FROZEN),
        (view(BUSY, BUSY, reachable=False), 2, Reason.FROZEN),
        (view(None, None), 2, Reason.NO_SIGNAL),
        (view(QUIET, QUIET), 2, Reason.STEADY),
        (view(IDLE, IDLE), 2, Reason.STEADY),
        (view(IDLE, IDLE, IDLE), 2, Reason.POOLER_IDLE),
        (view(IDLE, IDLE, IDLE, minimum=3), 3, Reason.STEADY),
        (view(IDLE, IDLE, None), 3, Reason.STEADY),
        (view(IDLE, minimum=1), 1, Reason.STEADY),
        (view(IDLE, IDLE, replace(IDLE, waits=True)), 3, Reason.STEADY),
        (view(*[IDLE] * 6), 2, Reason.POOLER_IDLE),
        (view(*[replace(IDLE, cpu=0.2)] * 6), 3, Reason.POOLER_IDLE),
        (view(*[replace(IDLE, clients=0.3)] * 6), 4, Reason.POOLER_IDLE),
        (view(*[replace(IDLE, cpu=0.29)] * 3), 2, Reason.POOLER_IDLE),
        (view(*[replace(IDLE, cpu=0.31)] * 3), 3, Reason.STEADY),
        (view(*[replace(IDLE, clients=0.33)] * 3), 3, Reason.STEADY),
    ],
)
def test_the_load_decides(given: EndpointView, replicas: int, reason: Reason) -> None:
    found = opinion(given)
    assert (found.replicas, found.reason) == (replicas, reason)


@pytest.mark.parametrize("cause", [Cause.CPU, Cause.IO, Cause.LOCK])
def test_busy_poolers_before_a_saturated_database_get_no_pod_and_it_is_said_what_they_asked(
    cause: Cause,
) -> None:
    found = opinion(view(BUSY_AND_FULL, BUSY_AND_FULL, cause=cause))
    assert (found.replicas, found.vetoed) == (2, True)


def test_a_database_is_not_saturated_while_its_poolers_are_the_bottleneck() -> None:
    assert saturation(view(BUSY_AND_FULL, BUSY_AND_FULL)) is None
    assert saturation(view(BUSY_AND_FULL, BUSY_AND_FULL, cause=Cause.CPU)) is Reason.CPU_SATURATED


def test_a_database_is_not_called_saturated_on_suspicion_while_some_pod_has_room() -> None:
    assert saturation(view(FULL, QUIET)) is None
    assert saturation(view(HOLDING, QUIET, cause=Cause.HELD)) is None


def test_a_database_that_is_down_is_not_called_saturated() -> None:
    assert saturation(view(FULL, FULL, reachable=False)) is None
