import pytest

from pgpool_operator.budget import Claim, allocate, expected_demand


@pytest.mark.parametrize(
    ("connections", "claims", "shares"),
    [
        pytest.param(12, [Claim("a", 1), Claim("b", 1)], {"a": 6, "b": 6}, id="idle: evenly"),
        pytest.param(13, [Claim("a", 1), Claim("b", 1)], {"a": 7, "b": 6}, id="the odd one by key"),
        pytest.param(
            13, [Claim("a", 1), Claim("b", 1, held=6)], {"a": 6, "b": 7}, id="the odd one to a holder"
        ),
        pytest.param(
            20, [Claim("a", 1, demand=9.0), Claim("b", 1)], {"a": 16, "b": 4}, id="demand first, rest evenly"
        ),
        pytest.param(
            10, [Claim("a", 1, demand=90.0), Claim("b", 1, demand=4.0)], {"a": 5, "b": 5}, id="max-min"
        ),
        pytest.param(
            10, [Claim("a", 1, demand=90.0), Claim("b", 1, demand=1.0)], {"a": 8, "b": 2}, id="small want met"
        ),
        pytest.param(
            10, [Claim("a", 7), Claim("b", 1, demand=90.0)], {"a": 7, "b": 3}, id="floors before demand"
        ),
        pytest.param(10, [Claim("a", 1, most=2), Claim("b", 1)], {"a": 2, "b": 8}, id="no more than most"),
        pytest.param(10, [Claim("a", 1, most=2)], {"a": 2}, id="what nobody may have stays free"),
        pytest.param(10, [Claim("a", 3, most=2)], {"a": 3}, id="a floor outranks most"),
        pytest.param(
            12,
            [Claim("a", 1, demand=1.0, leaving=True), Claim("b", 1)],
            {"a": 2, "b": 10},
            id="leaving: needs",
        ),
        pytest.param(
            4, [Claim("a", 4), Claim("b", 4, held=4)], {"a": 0, "b": 4}, id="no room: holders first"
        ),
        pytest.param(5, [Claim("a", 4), Claim("b", 9)], {"a": 5, "b": 0}, id="no floor, no connections"),
        pytest.param(0, [Claim("a", 1, held=5)], {"a": 0}, id="nothing to have"),
        pytest.param(5, [], {}, id="nobody"),
    ],
)
def test_connections_are_allocated(connections: int, claims: list[Claim], shares: dict[str, int]) -> None:
    assert allocate(connections, claims) == shares


def test_a_move_of_one_connection_is_not_worth_its_drain() -> None:
    claims = [Claim("a", 1, held=7, demand=9.0), Claim("b", 1, held=5, demand=9.0)]
    assert allocate(12, claims) == {"a": 7, "b": 5}


def test_a_move_of_two_is_made_for_who_lacks_something() -> None:
    claims = [Claim("a", 1, held=8), Claim("b", 1, held=4, demand=4.0)]
    assert allocate(12, claims) == {"a": 4, "b": 8}


def test_of_large_shares_a_move_must_be_a_seventh_of_the_mean() -> None:
    assert allocate(80, [Claim("a", 1, demand=60, held=45), Claim("b", 1, demand=60, held=35)]) == {
        "a": 45,
        "b": 35,
    }
    assert allocate(80, [Claim("a", 1, demand=60, held=46), Claim("b", 1, demand=60, held=34)]) == {
        "a": 40,
        "b": 40,
    }


def test_nothing_moves_where_nobody_lacks_anything() -> None:
    claims = [Claim("a", 1, held=16, demand=9.0), Claim("b", 1, held=8, demand=4.0)]
    assert allocate(24, claims) == {"a": 16, "b": 8}


def test_who_wants_nothing_keeps_half_of_the_mean_for_what_may_come() -> None:
    assert allocate(24, [Claim("a", 1, held=18), Claim("b", 1, held=6)]) == {"a": 18, "b": 6}
    assert allocate(24, [Claim("a", 1, held=19), Claim("b", 1, held=5)]) == {"a": 12, "b": 12}


def test_who_leaves_gives_what_it_does_not_need_at_once() -> None:
    claims = [Claim("a", 1, held=12, leaving=True), Claim("b", 1, held=12)]
    assert allocate(24, claims) == {"a": 1, "b": 23}


def test_shares_do_not_stay_where_the_budget_has_more() -> None:
    assert allocate(13, [Claim("a", 1, held=6), Claim("b", 1, held=6)]) == {"a": 7, "b": 6}


def test_a_newcomer_is_worth_any_move() -> None:
    assert allocate(3, [Claim("a", 1, held=2), Claim("b", 1, held=1), Claim("c", 1)]) == {
        "a": 1,
        "b": 1,
        "c": 1,
    }


def test_what_exceeds_most_does_not_stay() -> None:
    assert allocate(12, [Claim("a", 1, held=7, most=6), Claim("b", 1, held=5)]) == {"a": 6, "b": 6}


def test_the_first_look_is_the_expected_demand() -> None:
    assert expected_demand(None, busy=4, queued=2, seconds=0.0) == 6.0


def test_expected_demand_follows_slowly() -> None:
    assert expected_demand(10.0, busy=0, queued=0, seconds=1.0) == pytest.approx(7.0)
    assert expected_demand(0.0, busy=5, queued=5, seconds=1.0) == pytest.approx(3.0)


def test_looking_more_often_makes_expected_demand_no_faster() -> None:
    demand = 10.0
    for _ in range(5):
        demand = expected_demand(demand, busy=0, queued=0, seconds=0.2)
    assert demand == pytest.approx(7.0)
