"""When a pod that has not noticed a change is woken."""

import pytest

from pgpool_operator.reconcile.pokes import LONGEST_SECONDS, Pokes
from tests.support.shop import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pokes(clock: Clock) -> Pokes:
    return Pokes(clock)


def test_a_change_has_a_second_and_a_half_to_be_noticed(pokes: Pokes, clock: Clock) -> None:
    assert pokes.wait("a", "grant", "4") == 1.5
    clock.now += 1.5
    assert pokes.wait("a", "grant", "4") == 0.0


def test_each_poke_doubles_the_pause_up_to_a_minute(pokes: Pokes, clock: Clock) -> None:
    pauses = []
    for _ in range(8):
        clock.now += pokes.wait("a", "grant", "4")
        pokes.poked("a", "grant", "4")
        pauses.append(pokes.wait("a", "grant", "4"))
    assert pauses == [3.0, 6.0, 12.0, 24.0, 48.0, *[LONGEST_SECONDS] * 3]


def test_a_pod_that_notices_nothing_for_days_is_still_poked_once_a_minute(pokes: Pokes, clock: Clock) -> None:
    """The pause doubles, and a float holds no more than a thousand doublings."""
    for _ in range(1100):
        clock.now += LONGEST_SECONDS
        pokes.poked("a", "secrets", "c0ffee")
    assert pokes.wait("a", "secrets", "c0ffee") == LONGEST_SECONDS


def test_a_newer_change_of_the_same_subject_starts_anew(pokes: Pokes, clock: Clock) -> None:
    pokes.poked("a", "grant", "4")
    clock.now += 60
    assert pokes.wait("a", "grant", "5") == 1.5


def test_subjects_and_pods_are_apart(pokes: Pokes, clock: Clock) -> None:
    pokes.wait("a", "grant", "4")
    clock.now += 1.5
    assert pokes.wait("a", "config", "c0ffee") == 1.5
    assert pokes.wait("b", "grant", "4") == 1.5
    assert pokes.wait("a", "grant", "4") == 0.0


def test_nothing_is_remembered_of_a_pod_that_is_gone(pokes: Pokes, clock: Clock) -> None:
    pokes.wait("a", "grant", "4")
    clock.now += 1.5
    pokes.forget("a")
    assert pokes.wait("a", "grant", "4") == 1.5
