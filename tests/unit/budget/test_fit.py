import pytest

from pgpool_operator.budget import Fit, PoolWants, fit


def one(connections: int, floor: int, replicas: int) -> Fit:
    return fit(connections, [PoolWants("app", floor, replicas)])["app"]


@pytest.mark.parametrize(
    ("connections", "floor", "replicas", "expected"),
    [
        pytest.param(24, 2, 3, Fit(3, max_surge=1, max_unavailable=0), id="room for all and one more"),
        pytest.param(24, 2, 30, Fit(11, max_surge=1, max_unavailable=0), id="P - 1 pods"),
        pytest.param(4, 2, 5, Fit(1, max_surge=1, max_unavailable=0), id="P = 2: one runs, one may surge"),
        pytest.param(3, 2, 5, Fit(1, max_surge=0, max_unavailable=1), id="P = 1: a rollout interrupts"),
        pytest.param(1, 2, 5, Fit(0, max_surge=1, max_unavailable=0), id="P = 0: too small"),
        pytest.param(24, 2, 0, Fit(0, max_surge=1, max_unavailable=0), id="none wanted"),
    ],
)
def test_a_pool_gets_the_pods_whose_floors_fit(
    connections: int, floor: int, replicas: int, expected: Fit
) -> None:
    assert one(connections, floor, replicas) == expected


def replicas(connections: int, *wants: PoolWants) -> dict[str, int]:
    return {key: found.replicas for key, found in fit(connections, wants).items()}


def test_every_pool_gets_one_pod_before_any_gets_its_second() -> None:
    assert replicas(4, PoolWants("old", 1, 9), PoolWants("new", 1, 9), PoolWants("newest", 1, 9)) == {
        "old": 1,
        "new": 1,
        "newest": 1,
    }


def test_the_oldest_comes_first_where_not_all_fit() -> None:
    assert replicas(4, PoolWants("old", 2, 9), PoolWants("new", 2, 9)) == {"old": 1, "new": 0}


def test_what_one_pool_does_not_want_goes_to_the_others() -> None:
    assert replicas(7, PoolWants("small", 1, 1), PoolWants("large", 1, 9)) == {"small": 1, "large": 5}


def test_room_for_a_rollout_is_kept_for_the_largest_pod() -> None:
    assert replicas(12, PoolWants("large", 6, 1), PoolWants("small", 1, 9)) == {"large": 1, "small": 0}
    assert replicas(14, PoolWants("large", 6, 1), PoolWants("small", 1, 9)) == {"large": 1, "small": 2}


def test_a_pool_that_cannot_fit_at_all_costs_the_others_no_room() -> None:
    found = fit(6, [PoolWants("huge", 50, 1), PoolWants("app", 2, 9)])
    assert found["huge"].replicas == 0
    assert found["app"] == Fit(2, max_surge=1, max_unavailable=0)


def test_a_pool_that_wants_no_pods_costs_the_others_no_room() -> None:
    found = fit(6, [PoolWants("asleep", 4, 0), PoolWants("app", 2, 9)])
    assert found["app"] == Fit(2, max_surge=1, max_unavailable=0)


def test_no_pools_need_no_pods() -> None:
    assert fit(10, []) == {}
