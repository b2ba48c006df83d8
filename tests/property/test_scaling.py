"""Autoscaling and allocation in a simulated world: what holds under every load."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgpool_operator.api import (
    Behavior,
    PolicyType,
    ScaleDownRules,
    ScalingPolicy,
    ScalingRules,
    WriteAutoscaling,
)
from pgpool_operator.budget.book import Book
from pgpool_operator.scaling import Limit, policies
from tests.simulator import ALWAYS, Database, Load, Poolers, Run, Scenario, Silence, Work, simulate

few = settings(deadline=None, derandomize=True, max_examples=25, suppress_health_check=[HealthCheck.too_slow])

WINDOW_SECONDS = 60
PERIOD_SECONDS = 15
QUICK = Behavior(
    scale_up=ScalingRules(
        policies=(ScalingPolicy(type=PolicyType.PODS, value=1, period_seconds=PERIOD_SECONDS),)
    ),
    scale_down=ScaleDownRules(
        stabilization_window_seconds=WINDOW_SECONDS,
        policies=(ScalingPolicy(type=PolicyType.PODS, value=1, period_seconds=PERIOD_SECONDS),),
    ),
)
"""HPA's behaviour, four times as fast: runs take a quarter of the time."""


def rarely(values: st.SearchStrategy[float]) -> st.SearchStrategy[float]:
    return st.just(0.0) | values


WORK = st.builds(
    Work,
    cpu=st.floats(0.2, 0.6),
    io=rarely(st.floats(0.02, 0.2)),
    hold=rarely(st.floats(0.2, 2.0)),
    pooler=st.floats(0.02, 0.2),
    locked=rarely(st.floats(0.1, 0.9)),
    slow=rarely(st.just(0.02)),
)
LOAD = st.builds(
    Load,
    at=st.just(0.0),
    clients=st.integers(0, 60),
    think=st.floats(0.2, 2.0),
    rate=rarely(st.floats(1, 15)),
    work=WORK,
    weights=st.lists(st.integers(1, 9).map(float), max_size=3).map(tuple),
    stay=st.sampled_from([10.0, 60.0, ALWAYS]),
)
DATABASE = st.builds(
    Database, cpus=st.integers(1, 8), connections_per_cpu=st.integers(2, 6), disks=st.integers(1, 4)
)
POOLERS = st.builds(
    Poolers, max_clients=st.just(5000), start=st.sampled_from([3.0, 15.0]), monitor=st.booleans()
)
CROWDED_POOLERS = st.builds(Poolers, max_clients=st.just(25), monitor=st.booleans())


@st.composite
def autoscalings(draw: st.DrawFn) -> WriteAutoscaling:
    least = draw(st.integers(1, 3))
    return WriteAutoscaling(min_replicas=least, max_replicas=draw(st.integers(least, 6)), behavior=QUICK)


@st.composite
def scenarios(
    draw: st.DrawFn, phases: int, seconds: float, poolers: st.SearchStrategy[Poolers] = POOLERS
) -> Scenario:
    loads = draw(st.lists(LOAD, min_size=phases, max_size=phases))
    return Scenario(
        loads=tuple(replace(load, at=number * seconds) for number, load in enumerate(loads)),
        seconds=phases * seconds,
        database=draw(DATABASE),
        poolers=draw(poolers),
        autoscaling=draw(autoscalings()),
        silences=(Silence(pod=0, at=50, seconds=60),) if draw(st.booleans()) else (),
    )


@st.composite
def crowded(draw: st.DrawFn) -> Scenario:
    """Pods that need what other pods are busy with, for seconds."""
    work = Work(cpu=0.1, hold=draw(st.floats(1.0, 4.0)), pooler=draw(st.floats(0.01, 0.04)))
    weights = st.lists(st.sampled_from([1.0, 20.0]), min_size=2, max_size=4).map(tuple)
    return Scenario(
        loads=tuple(
            Load(
                at, clients=draw(st.integers(20, 80)), think=0.2, work=work, weights=draw(weights), stay=10.0
            )
            for at in (0, 30, 60, 90)
        ),
        seconds=120,
        database=Database(draw(st.integers(2, 8)), draw(st.integers(3, 6))),
        poolers=Poolers(start=3.0, monitor=draw(st.booleans())),
        autoscaling=WriteAutoscaling(min_replicas=2, max_replicas=4, behavior=QUICK),
    )


CHANGING = scenarios(phases=3, seconds=60, poolers=POOLERS | CROWDED_POOLERS)
CONSTANT = scenarios(phases=1, seconds=360)
SEED = st.integers(0, 99)


# The budget


@few
@given(CHANGING | crowded(), SEED)
def test_the_backends_never_exceed_the_budget(scenario: Scenario, seed: int) -> None:
    run = simulate(scenario, seed)
    assert run.peak <= run.budget


def settles_on_any_acknowledgement(book: Book) -> None:
    for uid, entry in book.entries.items():
        if uid in book.views and book.views[uid].report is not None:
            book.entries[uid] = replace(entry, reserved=entry.cap)


def test_growing_before_a_shrink_is_acknowledged_would_exceed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work(cpu=0.1, hold=6.0)
    scenario = Scenario(
        loads=(
            Load(0, clients=30, work=work, weights=(40, 1)),
            Load(30, clients=80, work=work, weights=(1, 6)),
        ),
        seconds=60,
    )
    assert simulate(scenario).peak == simulate(scenario).budget
    monkeypatch.setattr(Book, "settle", settles_on_any_acknowledgement)
    assert simulate(scenario).peak > simulate(scenario).budget


@few
@given(st.integers(6, 12).map(float), SEED)
def test_the_budget_follows_the_clients_and_returns(skew: float, seed: int) -> None:
    work = Work(cpu=0.3)
    scenario = Scenario(
        loads=(
            Load(0, clients=24, think=0.1, work=work, weights=(skew, 1)),
            Load(60, clients=24, think=0.1, work=work, weights=(1, skew)),
            Load(120, clients=24, think=0.1, work=work),
        ),
        seconds=180,
        database=Database(cpus=4, connections_per_cpu=6),
        autoscaling=WriteAutoscaling(min_replicas=2, max_replicas=2),
    )
    run = simulate(scenario, seed)
    first, second, third = (_mean_caps(run, end - 30, end) for end in (60, 120, 180))
    assert first[0] > 1.25 * first[1]
    assert second[1] > 1.25 * second[0]
    assert max(third) < 2 * min(third)


def _mean_caps(run: Run, since: float, until: float) -> list[float]:
    moments = [moment for moment in run.moments if since <= moment.at < until]
    uids = sorted(moments[0].caps)
    return [sum(moment.caps[uid] for moment in moments) / len(moments) for uid in uids]


# The number of pods


@few
@given(CHANGING, SEED)
def test_the_number_of_pods_stays_between_the_limits_and_fits(scenario: Scenario, seed: int) -> None:
    run = simulate(scenario, seed)
    floor = 1 + scenario.poolers.monitor
    limits = scenario.autoscaling
    for look in run.looks:
        assert look.replicas <= limits.max_replicas
        assert look.replicas >= limits.min_replicas or look.limit is Limit.BUDGET_FLOOR
        assert look.fitting == look.replicas
        assert look.fitting * floor <= run.budget
    for moment in run.moments:
        assert all(cap == 0 or cap >= floor for cap in moment.caps.values())


def turns_too_soon(run: Run) -> list[float]:
    return [later for earlier, later in pairwise(run.turns) if later - earlier < WINDOW_SECONDS]


@few
@given(CONSTANT, SEED)
def test_under_a_constant_load_it_turns_at_most_once_in_a_window(scenario: Scenario, seed: int) -> None:
    assert turns_too_soon(simulate(scenario, seed)) == []


def test_if_a_pod_went_as_soon_as_the_others_could_bear_it_the_number_would_flap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scenario = Scenario(
        loads=(Load(0, clients=60, work=Work(cpu=0.2, pooler=0.08)),),
        database=Database(cpus=16),
        autoscaling=WriteAutoscaling(max_replicas=6, behavior=QUICK),
    )
    assert turns_too_soon(simulate(scenario)) == []
    monkeypatch.setattr(policies, "ROOM", 2.0)
    assert turns_too_soon(simulate(scenario)) != []


STEPS = 48
"""Looks until the number of pods is at rest: four minutes."""


@few
@given(CONSTANT, SEED)
def test_under_a_constant_load_it_comes_to_rest(scenario: Scenario, seed: int) -> None:
    """But for one pod more, where the load is so near to a target that chance crosses it late."""
    late = simulate(scenario, seed).looks[STEPS:]
    assert all(after.fitting >= before.fitting for before, after in pairwise(late))
    assert late[-1].fitting - late[0].fitting <= 1


@st.composite
def database_bound(draw: st.DrawFn, least_share: float, most_share: float) -> Scenario:
    """Clients keep all CPUs of the database busy, which keeps the poolers busy for that share of their time."""
    database = draw(DATABASE)
    cpu = draw(st.floats(0.1, 0.4))
    least = draw(st.integers(1, 3))
    share = draw(st.floats(least_share, most_share))
    load = draw(LOAD)
    work = Work(cpu=cpu, pooler=share * least * cpu / database.cpus)
    return Scenario(
        loads=(replace(load, clients=80, think=0.2, rate=0.0, work=work),),
        seconds=180,
        database=database,
        poolers=Poolers(monitor=draw(st.booleans())),
        autoscaling=WriteAutoscaling(min_replicas=least, max_replicas=6, behavior=QUICK),
    )


@few
@given(database_bound(0.05, 0.5), SEED)
def test_a_load_that_the_database_limits_adds_no_pod(scenario: Scenario, seed: int) -> None:
    assert len(simulate(scenario, seed).changes) == 1


@few
@given(CHANGING | database_bound(0.8, 1.1), SEED)
def test_no_pod_is_added_while_the_database_is_saturated(scenario: Scenario, seed: int) -> None:
    for before, look in pairwise(simulate(scenario, seed).looks):
        if look.saturation is not None or before.said is not None:
            assert look.replicas <= max(look.current, scenario.autoscaling.min_replicas)
