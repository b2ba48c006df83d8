"""What the recorded moments of a scenario answer."""

from datetime import UTC, datetime, timedelta
from threading import Thread

import pytest

from e2e.faults.moments import Backends, Blind, LedgerSeen, Mark, Moment, Timeline


def timeline(*moments: Moment) -> Timeline:
    made = Timeline()
    made.add(*moments)
    return made


def ledger(at: float, connections: int, *, server: str = "main-a-0", committed: bool = True) -> LedgerSeen:
    return LedgerSeen(at, server, connections, connections, 0, False, (), committed)


def backends(at: float, total: int) -> Backends:
    return Backends(at, total, {"10.244.1.5": total})


def over(seen: Timeline) -> list[str]:
    return [str(each) for each in seen.backends_over()]


def test_moments_come_by_time_whatever_thread_added_them_first() -> None:
    seen = timeline(backends(3, 1), backends(1, 2))
    other = Thread(target=seen.add, args=(backends(2, 3),))
    other.start()
    other.join()
    assert [look.at for look in seen.of(Backends)] == [1, 2, 3]


def test_a_mark_is_made_now_and_says_when() -> None:
    seen = Timeline()
    at = seen.mark("whole again")
    assert seen.of(Mark) == [Mark(at, "whole again")]
    assert 0 <= at <= seen.now()


def test_a_time_of_the_servers_log_is_put_on_the_timeline() -> None:
    started = datetime(2026, 11, 25, 12, tzinfo=UTC)
    assert Timeline(started=started).at_wall(started + timedelta(seconds=1.5)) == 1.5


def test_the_peak_is_the_most_that_was_counted() -> None:
    assert timeline(backends(0, 3), backends(1, 25), backends(2, 24)).peak() == 25
    assert timeline().peak() == 0


def test_as_many_backends_as_the_budget_are_not_over_it() -> None:
    assert over(timeline(ledger(0, 24), backends(5, 24))) == []


def test_one_backend_more_than_the_budget_is_over_it() -> None:
    assert over(timeline(ledger(0, 24), backends(5, 25))) == ["5.00 s: 25 backends, 24 allowed"]


def test_a_budget_that_is_seen_to_rise_a_second_later_counts_already() -> None:
    assert over(timeline(ledger(0, 12), backends(5, 24), ledger(6, 24))) == []
    assert over(timeline(ledger(0, 12), backends(5, 24), ledger(6.1, 24), backends(5.5, 1))) == [
        "5.00 s: 24 backends, 12 allowed"
    ]


def test_a_budget_that_fell_counts_a_second_longer() -> None:
    assert over(timeline(ledger(0, 24), ledger(5, 12), backends(5.9, 24), backends(5.99, 12))) == []


def test_a_count_that_stays_while_the_budget_falls_is_over_it() -> None:
    assert over(timeline(ledger(0, 24), backends(1, 24), ledger(5, 12))) == [
        "6.00 s: 24 backends, 12 allowed"
    ]


def test_a_budget_that_falls_twice_is_judged_each_time() -> None:
    falling = (ledger(0, 24), backends(1, 20), ledger(5, 20), ledger(10, 16), backends(10.5, 16))
    assert over(timeline(*falling)) == []
    assert over(timeline(*falling[:-1])) == ["11.00 s: 20 backends, 16 allowed"]


def test_what_nobody_could_count_is_not_over_the_budget() -> None:
    assert over(timeline(ledger(0, 24), backends(1, 24), Blind(2), ledger(5, 12))) == []


def test_the_first_budget_was_in_force_before_it_was_seen() -> None:
    assert over(timeline(backends(0, 24), ledger(5, 24))) == []


def test_without_a_ledger_no_backend_is_allowed() -> None:
    assert over(timeline(backends(0, 1))) == ["0.00 s: 1 backends, 0 allowed"]


def test_the_ledger_of_another_server_allows_nothing() -> None:
    seen = timeline(ledger(0, 24), ledger(0, 48, server="main-b-0"), backends(5, 25))
    assert len(seen.backends_over()) == 1
    assert seen.backends_over("main-b-0") == []
    assert seen.allowed() == 24


def test_a_ledger_that_was_emptied_is_no_budget_before_the_operator_has_looked() -> None:
    seen = timeline(ledger(0, 24), backends(1, 24), ledger(5, 0, committed=False))
    assert seen.backends_over() == []
    assert timeline(ledger(0, 99, committed=False)).allowed() == 0


@pytest.mark.parametrize(
    ("moments", "after"),
    [
        ((backends(0, 24),), 0.0),
        ((backends(0, 24), backends(5, 12), backends(13, 24)), 3.0),
        ((backends(0, 24), Blind(5), backends(14, 24)), 4.0),
        ((backends(11, 23),), None),
        ((), None),
    ],
    ids=["all the time", "after a dip", "after a restart of the server", "one is missing", "nothing seen"],
)
def test_the_budget_is_back_in_use_once_all_backends_are_open(
    moments: tuple[Moment, ...], after: float | None
) -> None:
    assert timeline(*moments).back_in_use_after(10, 24) == after


def test_marks_that_begin_and_end_a_fault_belong_together() -> None:
    seen = timeline(
        Mark(1, "node/stop begins"),
        Mark(2, "pod/evict begins"),
        Mark(3, "node/stop ends"),
        Mark(4, "whole again"),
    )
    assert seen.faults() == [("node/stop", 1, 3), ("pod/evict", 2, float("inf"))]
