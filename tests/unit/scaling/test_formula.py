import pytest

from pgpool_operator.scaling.formula import proposal


@pytest.mark.parametrize(
    ("current", "shares", "proposed"),
    [
        (2, [0.75, 0.75], 2),
        (2, [0.82, 0.82], 2),
        (2, [0.90, 0.90], 3),
        (2, [1.0, 1.0], 3),
        (4, [1.0, 1.0, 1.0, 1.0], 6),
        (4, [0.68] * 4, 4),
        (4, [0.3] * 4, 2),
        (4, [0.0] * 4, 0),
        (0, [], 0),
    ],
)
def test_pods_are_proposed_as_hpa_does(current: int, shares: list[float], proposed: int) -> None:
    assert proposal(current, shares, 0.75) == proposed


@pytest.mark.parametrize(
    ("shares", "proposed"),
    [
        ([1.0, None], 2),
        ([1.0, 1.0, None], 3),
        ([1.0, 1.0, 1.0, None], 4),
        ([1.0] * 6 + [None], 8),
    ],
)
def test_a_missing_pod_counts_for_nothing_on_the_way_up(shares: list[float | None], proposed: int) -> None:
    assert proposal(len(shares), shares, 0.75) == proposed


@pytest.mark.parametrize(
    ("shares", "proposed"),
    [([0.1, None], 2), ([0.1, 0.1, 0.1, None], 2), ([0.0] * 9 + [None], 2)],
)
def test_a_missing_pod_counts_as_busy_on_the_way_down(shares: list[float | None], proposed: int) -> None:
    assert proposal(len(shares), shares, 0.75) == proposed


def test_pods_that_are_wanted_and_not_there_yet_are_missing() -> None:
    assert proposal(4, [1.0, 1.0], 0.75) == 4


def test_where_nothing_is_known_nothing_changes() -> None:
    assert proposal(3, [None, None, None], 0.75) == 3


def test_pods_of_a_rollout_never_turn_the_direction() -> None:
    assert proposal(2, [0.6, 0.6, 0.6], 0.75) == 2
