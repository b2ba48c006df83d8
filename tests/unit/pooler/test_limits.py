from hypothesis import given
from hypothesis import strategies as st

from pgpool_pooler.agent.limits import exceeded, highest, next_limits

NAMES = ["a", "b", "c", "d"]
counts = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 20))
weights = st.fixed_dictionaries({name: st.integers(0, 3) for name in NAMES[:2]})


def shares_of(cap: int, weights: dict[str, int]) -> dict[str, int]:
    """Shares that fit the cap, in the proportion of the weights."""
    total = sum(weights.values()) or 1
    return {name: cap * weight // total for name, weight in weights.items()}


def test_a_smaller_share_is_in_force_at_once() -> None:
    assert next_limits({"a": 10}, {"a": 4}, {"a": 10}, 10, {}) == {"a": 4}


def test_a_larger_share_waits_for_the_connections_that_another_database_still_holds() -> None:
    lowered = next_limits({"a": 10, "b": 2}, {"a": 4, "b": 8}, {"a": 10, "b": 2}, 12, {})
    assert lowered == {"a": 4, "b": 2}
    half_drained = next_limits(lowered, {"a": 4, "b": 8}, {"a": 7, "b": 2}, 12, {})
    assert half_drained == {"a": 4, "b": 5}
    assert next_limits(half_drained, {"a": 4, "b": 8}, {"a": 4, "b": 5}, 12, {}) == {"a": 4, "b": 8}


def test_what_was_lowered_in_this_step_counts_in_full_because_the_engine_may_have_opened_more() -> None:
    assert next_limits({"a": 10, "b": 2}, {"a": 4, "b": 8}, {"a": 0, "b": 0}, 12, {})["b"] == 2


def test_connections_of_a_database_without_a_limit_count() -> None:
    assert next_limits({"a": 1}, {"a": 5}, {"a": 1, "gone": 3}, 5, {})["a"] == 2


def test_what_was_closed_just_now_counts_because_postgresql_may_still_be_ending_it() -> None:
    lately = {"a": 10, "b": 2, "gone": 1}
    assert next_limits({"a": 4, "b": 2}, {"a": 4, "b": 8}, {"a": 4, "b": 2}, 14, lately)["b"] == 3
    assert next_limits({"a": 4, "b": 2}, {"a": 9, "b": 2}, {"a": 4, "b": 2}, 14, lately)["a"] == 5


def test_more_connections_than_the_limit_exceed_it() -> None:
    assert exceeded({"a": 2}, {"a": 3})
    assert exceeded({}, {"a": 1})
    assert not exceeded({"a": 2}, {"a": 2})


@given(
    cap=st.integers(1, 30),
    before=counts,
    after=counts,
    moves=st.lists(st.tuples(st.sampled_from(NAMES), st.integers(-3, 3)), max_size=60),
)
def test_the_sum_never_exceeds_the_cap_whatever_the_engine_does_meanwhile(
    cap: int, before: dict[str, int], after: dict[str, int], moves: list[tuple[str, int]]
) -> None:
    limits, target = shares_of(cap, before), shares_of(cap, after)
    open_ = dict(limits)
    for name, change in moves:
        seen = dict(open_)
        _engine_moves(open_, limits, name, abs(change))
        limits = next_limits(limits, target, seen, cap, {})
        _engine_moves(open_, limits, name, change)
        assert sum(open_.values()) <= cap
        assert sum(max(limits[n], open_.get(n, 0)) for n in limits) <= cap


@given(
    cap=st.integers(1, 12),
    start=weights,
    steps=st.lists(
        st.tuples(weights, st.frozensets(st.sampled_from(NAMES[:2])), st.booleans(), st.booleans()),
        max_size=8,
    ),
)
def test_the_sum_never_exceeds_the_cap_where_nobody_knows_whether_the_engine_took_a_step(
    cap: int, start: dict[str, int], steps: list[tuple[dict[str, int], frozenset[str], bool, bool]]
) -> None:
    believed = real = shares_of(cap, start)
    open_ = dict(real)
    for target, closed, taken, answered in steps:
        open_ |= dict.fromkeys(closed, 0)
        following = next_limits(believed, shares_of(cap, target), open_, cap, {})
        _fill(open_, real)
        real = following if taken or answered else real
        believed = following if answered else highest(believed, following)
        _fill(open_, real)
        assert sum(open_.values()) <= cap


@given(cap=st.integers(1, 30), before=counts, after=counts)
def test_the_target_is_reached_once_everything_has_drained(
    cap: int, before: dict[str, int], after: dict[str, int]
) -> None:
    limits, target = shares_of(cap, before), shares_of(cap, after)
    for _ in range(2):
        limits = next_limits(limits, target, {}, cap, {})
    assert {name: limit for name, limit in limits.items() if limit} == {n: s for n, s in target.items() if s}


def _engine_moves(open_: dict[str, int], limits: dict[str, int], name: str, change: int) -> None:
    """The engine opens up to its limit, and closes as it likes."""
    now = open_.get(name, 0)
    open_[name] = max(now + change, 0) if change < 0 else max(now, min(now + change, limits.get(name, 0)))


def _fill(open_: dict[str, int], limits: dict[str, int]) -> None:
    """The engine opens all that it may."""
    for name, limit in limits.items():
        open_[name] = max(open_.get(name, 0), limit)
