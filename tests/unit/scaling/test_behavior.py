"""HPA's behaviour, by examples of its documentation and of its own tests' kind."""

import pytest

from pgpool_operator.api import PolicyType, ScalingPolicy, ScalingRules, SelectPolicy
from pgpool_operator.scaling.behavior import (
    Change,
    Memory,
    Recommendation,
    highest,
    lowest,
    observed,
    recommended,
    stabilized,
)

NOW = 1000.0
TWO_PODS = ScalingPolicy(type=PolicyType.PODS, value=2, period_seconds=60)
DOUBLE = ScalingPolicy(type=PolicyType.PERCENT, value=100, period_seconds=60)
TENTH = ScalingPolicy(type=PolicyType.PERCENT, value=10, period_seconds=60)


def rules(*policies: ScalingPolicy, select: SelectPolicy = SelectPolicy.MAX, window: int = 0) -> ScalingRules:
    return ScalingRules(policies=policies, select_policy=select, stabilization_window_seconds=window)


@pytest.mark.parametrize(
    ("policies", "select", "most"),
    [
        ((TWO_PODS,), SelectPolicy.MAX, 12),
        ((DOUBLE,), SelectPolicy.MAX, 20),
        ((TWO_PODS, DOUBLE), SelectPolicy.MAX, 20),
        ((TWO_PODS, DOUBLE), SelectPolicy.MIN, 12),
        ((TENTH,), SelectPolicy.MAX, 11),
        ((TWO_PODS, DOUBLE), SelectPolicy.DISABLED, 10),
    ],
)
def test_ten_pods_may_go_up_to(policies: tuple[ScalingPolicy, ...], select: SelectPolicy, most: int) -> None:
    assert highest(Memory(), 10, NOW, rules(*policies, select=select)) == most


@pytest.mark.parametrize(
    ("policies", "select", "fewest"),
    [
        ((TWO_PODS,), SelectPolicy.MAX, 8),
        ((TENTH,), SelectPolicy.MAX, 9),
        ((TWO_PODS, TENTH), SelectPolicy.MAX, 8),
        ((TWO_PODS, TENTH), SelectPolicy.MIN, 9),
        ((DOUBLE,), SelectPolicy.MAX, 0),
        ((DOUBLE,), SelectPolicy.DISABLED, 10),
    ],
)
def test_ten_pods_may_go_down_to(
    policies: tuple[ScalingPolicy, ...], select: SelectPolicy, fewest: int
) -> None:
    assert lowest(Memory(), 10, NOW, rules(*policies, select=select)) == fewest


def test_a_change_within_the_period_counts_against_it() -> None:
    memory = Memory(changes=(Change(NOW - 30, 2),))
    assert highest(memory, 10, NOW, rules(TWO_PODS)) == 10
    assert lowest(memory, 10, NOW, rules(TWO_PODS)) == 6


def test_a_change_before_the_period_does_not_count() -> None:
    memory = Memory(changes=(Change(NOW - 61, 2),))
    assert highest(memory, 10, NOW, rules(TWO_PODS)) == 12


def test_more_changes_than_a_policy_allows_turn_no_direction() -> None:
    memory = Memory(changes=(Change(NOW - 30, 5),))
    assert highest(memory, 10, NOW, rules(TWO_PODS)) == 10
    memory = Memory(changes=(Change(NOW - 30, -5),))
    assert lowest(memory, 10, NOW, rules(TWO_PODS)) == 10


def test_a_change_is_noticed_at_the_next_look() -> None:
    memory = observed(observed(Memory(), 2, 0.0), 3, 5.0)
    assert memory.changes == (Change(5.0, 1),)


@pytest.mark.parametrize(
    ("lately", "newest", "replicas"),
    [
        ([8], 5, 8),
        ([5, 5], 5, 5),
        ([7, 6], 5, 7),
        ([12], 5, 10),
    ],
)
def test_the_most_that_was_wanted_in_the_window_holds_on_the_way_down(
    lately: list[int], newest: int, replicas: int
) -> None:
    memory = Memory(tuple(Recommendation(NOW - 100 + i, n) for i, n in enumerate(lately)))
    up, down = rules(TWO_PODS), rules(TWO_PODS, window=300)
    memory = recommended(memory, newest, NOW, up, down)
    assert stabilized(memory, 10, NOW, up, down) == replicas


def test_the_least_that_was_wanted_in_the_window_holds_on_the_way_up() -> None:
    up, down = rules(TWO_PODS, window=60), rules(TWO_PODS)
    memory = recommended(Memory((Recommendation(NOW - 30, 11),)), 14, NOW, up, down)
    assert stabilized(memory, 10, NOW, up, down) == 11


def test_what_no_window_reaches_is_forgotten() -> None:
    up, down = rules(TWO_PODS), rules(TWO_PODS, window=300)
    memory = Memory((Recommendation(NOW - 301, 9),), (Change(NOW - 61, 1),))
    memory = recommended(memory, 5, NOW, up, down)
    assert memory.recommendations == (Recommendation(NOW, 5),)
    assert memory.changes == ()
