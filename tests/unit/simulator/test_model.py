"""The model agrees with what queueing theory says of such systems."""

from collections.abc import Iterator
from math import factorial

import pytest

from pgpool_operator.api import WriteAutoscaling
from pgpool_operator.budget import Order
from tests.simulator import Database, Load, Poolers, Scenario, Work, simulate
from tests.simulator.clock import Clock, Shared
from tests.simulator.database import Server
from tests.simulator.pod import Pod
from tests.simulator.transaction import Transaction


def finished(clock: Clock, shared: Shared, *amounts: float) -> list[float]:
    """When jobs that start together are done."""
    times: list[float] = []
    for amount in amounts:
        shared.start(amount, lambda: times.append(clock.now))
    clock.run(100)
    return times


def test_jobs_share_what_there_is() -> None:
    clock = Clock()
    assert finished(clock, Shared(clock, capacity=1), 1.0, 1.0, 2.0) == pytest.approx([3.0, 3.0, 4.0])


def test_no_job_goes_faster_than_on_a_cpu_of_its_own() -> None:
    clock = Clock()
    assert finished(clock, Shared(clock, capacity=4), 1.0, 2.0) == pytest.approx([1.0, 2.0])


def test_events_of_one_moment_happen_in_the_order_of_their_planning() -> None:
    clock, seen = Clock(), list[str]()
    clock.after(1, lambda: seen.append("first"))
    clock.after(1, lambda: seen.append("second"))
    clock.after(0, lambda: seen.append("earlier"))
    clock.run(2)
    assert seen == ["earlier", "first", "second"]


def transactions(ended: list[float], clock: Clock, **facts: float | bool) -> Iterator[Transaction]:
    """Transactions of one second each."""
    needs = {"cpu": 1.0, "io": 0.0, "hold": 0.0, "pooler": 0.0, "locks": False} | facts
    while True:
        yield Transaction(**needs, ended=lambda: ended.append(clock.now), refused=lambda: None)  # type: ignore[arg-type]


def ends(cap: int, count: int, *, cpus: int = 4, **facts: float | bool) -> list[float]:
    """When `count` transactions end that come together to a pod with that cap."""
    clock, ended = Clock(), list[float]()
    pod = Pod(clock, Server(clock, Database(cpus=cpus)), Poolers(start=0.0, monitor=False), 0)
    pod.annotation = Order(generation=1, cap=cap)
    clock.run(0)
    source = transactions(ended, clock, **facts)
    for _ in range(count):
        pod.submit(next(source))
    clock.run(100)
    return ended


def test_clients_wait_for_a_backend() -> None:
    assert ends(cap=2, count=4) == pytest.approx([1, 1, 2, 2])


def test_a_lock_lets_one_in_after_the_other() -> None:
    assert ends(cap=3, count=3, locks=True) == pytest.approx([1, 2, 3])


def test_a_held_transaction_keeps_its_backend() -> None:
    assert ends(cap=1, count=2, hold=2.0) == pytest.approx([3, 6])


def test_a_pooler_does_one_thing_at_a_time() -> None:
    assert ends(cap=9, count=3, cpu=0.0, pooler=1.0) == pytest.approx([2.0, 2.5, 3.0])


def erlang_c(servers: int, load: float) -> float:
    """The part of arrivals that has to wait in M/M/c."""
    last = load**servers / factorial(servers) * servers / (servers - load)
    return last / (sum(load**k / factorial(k) for k in range(servers)) + last)


def test_the_queue_is_as_long_as_theory_says() -> None:
    """M/M/c: as many backends as CPUs, poolers that cost nothing."""
    servers, rate, service = 4, 8.0, 0.4
    load = rate * service
    scenario = Scenario(
        loads=(Load(0, rate=rate, work=Work(cpu=service, pooler=0.0)),),
        seconds=8000,
        database=Database(cpus=servers, connections_per_cpu=1),
        poolers=Poolers(monitor=False),
        autoscaling=WriteAutoscaling(min_replicas=1, max_replicas=1),
    )
    moments = simulate(scenario).moments[100:]
    queue = sum(moment.waiting for moment in moments) / len(moments)
    assert queue == pytest.approx(erlang_c(servers, load) * load / (servers - load), rel=0.15)


def test_a_seed_gives_the_same_run_and_another_one_a_different_run() -> None:
    scenario = Scenario(loads=(Load(0, clients=20),), seconds=60)
    first, again, other = simulate(scenario, 1), simulate(scenario, 1), simulate(scenario, 2)
    assert first == again
    assert first.moments != other.moments
