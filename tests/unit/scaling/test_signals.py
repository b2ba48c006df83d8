import pytest

from pgpool_operator.scaling import History
from pgpool_operator.scaling.signals import MISSING_SECONDS, WINDOW_SECONDS, PodLoad
from pgpool_pooler.contract import Activity
from tests.support.loads import at


def load(*samples: object, now: float = 10.0) -> PodLoad | None:
    history = History()
    for one in samples:
        history.add(one)  # type: ignore[arg-type]
    return history.load(now)


def test_cpu_is_the_share_of_what_the_process_can_use() -> None:
    found = load(at(0, cpu_seconds=1.0, cpu_available=0.1), at(10, cpu_seconds=1.8, cpu_available=0.1))
    assert found is not None
    assert found.cpu == pytest.approx(0.8)


def test_an_agent_that_does_not_say_what_cpu_it_can_use_has_no_load() -> None:
    assert load(at(0, cpu_available=0.0), at(10, cpu_seconds=5.0, cpu_available=0.0)) is None


def test_clients_are_a_share_of_max_client_conn() -> None:
    found = load(at(0), at(10, clients=90, max_clients=100))
    assert found is not None
    assert found.clients == pytest.approx(0.9)


def test_a_pod_waits_if_it_had_a_queue_more_often_than_not() -> None:
    often = load(at(0, waiting=5), at(4, waiting=0), at(8, waiting=7))
    seldom = load(at(0, waiting=5), at(4, waiting=0), at(8, waiting=0))
    assert often is not None
    assert seldom is not None
    assert (often.waits, seldom.waits) == (True, False)
    assert often.waiting == pytest.approx(4)


def test_the_longest_wait_is_the_longest_of_the_window() -> None:
    found = load(at(0, longest_wait=0.5), at(5, longest_wait=2.5), at(10, longest_wait=0.1))
    assert found is not None
    assert found.longest_wait == 2.5


@pytest.mark.parametrize(("active", "full"), [(12, True), (11, True), (10, False)])
def test_a_pod_is_full_if_nearly_all_its_backends_are_busy(active: int, full: bool) -> None:
    found = load(at(0, active=active), at(10, active=active))
    assert found is not None
    assert found.full is full


def test_a_pod_without_backends_is_not_full() -> None:
    found = load(at(0, active=0, cap=0), at(10, active=0, cap=0))
    assert found is not None
    assert not found.full


def test_the_part_of_queries_is_that_of_the_transactions_that_ended_in_the_window() -> None:
    found = load(at(0, busy_seconds=100, query_seconds=100), at(10, busy_seconds=110, query_seconds=102))
    assert found is not None
    assert found.query_share == pytest.approx(0.2)


def test_time_in_a_queue_that_grows_is_no_time_in_transactions() -> None:
    first = at(0, busy_seconds=0.0, query_seconds=0.0, active=10, longest_wait=0.0)
    # Ten backends worked 10 s, 7 of them in queries; what they do now began with 2 s in the queue, booked already.
    last = at(10, busy_seconds=100.0 - 20.0, query_seconds=70.0 - 20.0, active=10, longest_wait=2.0)
    found = load(first, last)
    assert found is not None
    assert found.query_share == pytest.approx(0.7)


def test_without_a_transaction_that_ended_the_part_of_queries_is_not_known() -> None:
    found = load(at(0), at(10))
    assert found is not None
    assert found.query_share is None


def test_what_is_older_than_the_window_does_not_count() -> None:
    found = load(at(0, cpu_seconds=0.0), at(5, cpu_seconds=5.0), at(18, cpu_seconds=5.0), now=18)
    assert found is not None
    assert found.cpu == 0.0
    assert WINDOW_SECONDS == 15


def test_a_new_engine_is_not_judged_by_the_counters_of_the_old_one() -> None:
    found = load(at(0, cpu_seconds=500.0), at(5, cpu_seconds=0.0), at(10, cpu_seconds=1.0))
    assert found is not None
    assert found.cpu == pytest.approx(0.2)


def test_a_pod_that_was_not_heard_lately_has_no_load() -> None:
    assert load(at(0), at(4), now=4 + MISSING_SECONDS) is not None
    assert load(at(0), at(4), now=4.1 + MISSING_SECONDS) is None


def test_a_pod_that_is_not_ready_has_no_load() -> None:
    assert load(at(0), at(10, ready=False)) is None


def test_two_samples_that_are_close_say_nothing() -> None:
    assert load(at(9), at(10)) is None
    assert load(now=10) is None


def test_looks_at_the_server_are_averaged() -> None:
    first, second = Activity(age_seconds=0, lock=10, held=2), Activity(age_seconds=1, lock=20)
    found = load(at(0), at(5, activity=first), at(10, activity=second))
    assert found is not None
    assert found.backends is not None
    assert (found.backends.lock, found.backends.held) == (15, 1)
