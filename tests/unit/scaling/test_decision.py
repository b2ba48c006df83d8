import pytest

from pgpool_operator.api import PolicyType, ScaleDownRules, ScalingPolicy, ScalingRules
from pgpool_operator.scaling import Cause, Decision, EndpointView, Limit, Reason
from pgpool_operator.scaling.behavior import Memory
from pgpool_operator.scaling.decision import decide
from tests.support.loads import BUSY, BUSY_AND_FULL, FULL, QUIET, view

UP = ScalingRules()
DOWN = ScaleDownRules()
AT_ONCE = ScalingRules(policies=(ScalingPolicy(type=PolicyType.PODS, value=64, period_seconds=1),))


def look(given: EndpointView, memory: Memory | None = None, now: float = 1000.0) -> Decision:
    return decide(given, memory or Memory(), now, UP, DOWN)


def test_a_busy_pooler_gets_one_pod_more_at_once() -> None:
    found = look(view(BUSY, BUSY))
    assert (found.replicas, found.reason, found.limit) == (3, Reason.POOLER_BUSY, None)


def test_the_next_one_comes_a_minute_later() -> None:
    first = look(view(BUSY, BUSY), now=1000)
    again = look(view(BUSY, BUSY, BUSY), first.memory, now=1030)
    assert again.replicas == 3
    assert look(view(BUSY, BUSY, BUSY), again.memory, now=1091).replicas == 4


def test_a_pod_goes_only_after_five_minutes_without_need() -> None:
    idle = view(QUIET, QUIET, QUIET)
    found = look(idle, now=1000)
    assert (found.replicas, found.reason) == (3, Reason.POOLER_IDLE)
    for now in range(1005, 1300, 5):
        found = look(idle, found.memory, now=now)
        assert found.replicas == 3
    assert look(idle, found.memory, now=1301).replicas == 2


def test_after_that_the_next_one_goes_a_minute_later_and_never_two_at_once() -> None:
    found, current = look(view(*[QUIET] * 6), now=1000), 6
    for now in range(1005, 1440, 5):
        found = look(view(*[QUIET] * current), found.memory, now=now)
        assert found.replicas >= current - 1
        current = found.replicas
    assert current == 3


def test_a_need_in_between_starts_the_five_minutes_anew() -> None:
    idle = view(QUIET, QUIET, QUIET)
    found = look(idle, now=1000)
    found = look(view(FULL, FULL, FULL), found.memory, now=1200)
    assert look(idle, found.memory, now=1400).replicas == 3
    assert look(idle, found.memory, now=1501).replicas == 2


def test_the_load_asks_for_more_than_may_be() -> None:
    found = look(view(BUSY, BUSY, maximum=2))
    assert (found.replicas, found.limit) == (2, Limit.TOO_MANY_REPLICAS)


def test_the_load_asks_for_more_than_the_budget_can_feed() -> None:
    found = look(view(BUSY, BUSY, room=2))
    assert (found.replicas, found.limit) == (2, Limit.BUDGET_FLOOR)


def test_what_the_budget_cannot_feed_any_more_goes_at_once_whatever_the_minimum() -> None:
    found = look(view(QUIET, QUIET, QUIET, room=1))
    assert (found.replicas, found.limit) == (1, Limit.BUDGET_FLOOR)


def test_a_raised_minimum_holds_at_once() -> None:
    assert look(view(QUIET, QUIET, minimum=5)).replicas == 5


def test_a_lowered_maximum_holds_at_once() -> None:
    assert look(view(QUIET, QUIET, QUIET, QUIET, maximum=2)).replicas == 2


def test_a_frozen_endpoint_keeps_its_pods_and_says_so() -> None:
    found = look(view(BUSY, BUSY, reachable=False))
    assert (found.replicas, found.limit) == (2, Limit.FROZEN)


def test_a_pod_with_sessions_stays_though_it_is_not_needed() -> None:
    found = decide(view(QUIET, QUIET, QUIET, sessions=True), Memory(), 0.0, UP, AT_ONCE)
    assert (found.replicas, found.reason, found.limit) == (3, Reason.POOLER_IDLE, Limit.SESSION_MODE)


def test_busy_poolers_are_told_that_the_database_is_the_limit() -> None:
    found = look(view(BUSY_AND_FULL, BUSY_AND_FULL, cause=Cause.CPU))
    assert (found.replicas, found.limit) == (2, Limit.DATABASE_SATURATED)


@pytest.mark.parametrize("cause", list(Cause))
def test_clients_that_wait_for_the_database_never_add_a_pod(cause: Cause) -> None:
    found = decide(view(FULL, FULL, cause=cause), Memory(), 0.0, AT_ONCE, DOWN)
    assert found.replicas == 2
