"""Autoscaling: the poolers' own load adds and removes poolers, the database's never does. PostgreSQL judges B."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from e2e.conftest import MONITOR, MakePool
from e2e.judge.application import Application
from e2e.judge.load import Crowd
from e2e.judge.watch import report, watched
from e2e.kube import Kubectl, Object, eventually
from e2e.world import BUDGET, SMALL, USER, Pool, Postgres, ask_agent, query_at

DOWN_SECONDS = 30
LONG_SECONDS = 600.0
"""For pods that start on a tenth of a CPU, one after the other."""


def seconds(up: int, down: int) -> Object:
    """A behaviour for tests: as fast as pods start, and down after a while."""
    policies = [{"type": "Pods", "value": 1, "periodSeconds": 1}]
    return {
        "scaleUp": {"stabilizationWindowSeconds": up, "policies": policies},
        "scaleDown": {"stabilizationWindowSeconds": down, "policies": policies},
    }


def scaling(maximum: int = 4) -> Object:
    """A write endpoint between 2 and `maximum` pods."""
    return {"autoscaling": {"minReplicas": 2, "maxReplicas": maximum, "behavior": seconds(0, 15)}}


def replicas(pool: Pool) -> int:
    """Of the write endpoint, as its Deployment has it."""
    found = pool.kubectl.get("deployment", f"{pool.name}-rw")
    return int(found["spec"]["replicas"]) if found else 0


def reached(pool: Pool, count: int) -> None:
    """Wait until so many pods of the write endpoint shall run and are ready."""

    def check() -> bool:
        write = pool.object()["status"]["write"]
        assert (write["desiredReplicas"], write["readyReplicas"]) == (count, count), f"{write}"
        return True

    eventually(f"{pool.name} has {count} write pods ready", check, LONG_SECONDS)


def messages(pool: Pool, reason: str) -> list[str]:
    """Of the events with a reason."""
    return [message for _, found, message in pool.events() if found == reason]


async def throughput(pool: Pool, window: float = 10.0) -> float:
    """Transactions a second that PostgreSQL ended over a while, by its own count."""

    def ended() -> int:
        sql = "SELECT xact_commit FROM pg_stat_database WHERE datname = 'app'"
        return int(query_at(Postgres(pool.kubectl).dsn(), sql)[0][0])

    before, started = await asyncio.to_thread(ended), time.monotonic()
    await asyncio.sleep(window)
    return (await asyncio.to_thread(ended) - before) / (time.monotonic() - started)


async def test_busy_poolers_multiply_inside_the_budget_and_go_again(
    make_pool: MakePool, database: Postgres, kube: Kubectl
) -> None:
    pool = make_pool(read=None, write=scaling(), pods=SMALL, timeouts={"drainSeconds": 20})
    assert replicas(pool) == 2
    database.query("TRUNCATE judged")
    dsn = pool.dsn()
    with watched(database, frozenset({USER})) as seen:
        async with Application(lambda: dsn, workers=5) as record:
            with Crowd(kube, "load", pool.dsn(), 40, "SELECT 1;") as crowd:
                before = await throughput(pool)
                await asyncio.to_thread(reached, pool, 4)
                after = await throughput(pool)
                result = await asyncio.to_thread(crowd.stop)
            await asyncio.to_thread(reached, pool, 2)
            await asyncio.to_thread(pool.wait_settled)
    report("2 to 4 poolers of 100m and back", seen, result)
    print(  # noqa: T201
        f"throughput {after / before:.2f} times as high with 4 poolers as with 2; "
        f"{len(record.acknowledged)} transactions acknowledged meanwhile, slowest {record.slowest:.2f} s"
    )
    assert record.failures == []
    assert any("pooler CPU" in message for message in messages(pool, "ScalingUp"))
    assert messages(pool, "ScalingDown")
    assert 0 < seen.log.peak <= BUDGET
    assert 0 < seen.samples.peak <= BUDGET


@dataclass(frozen=True)
class Saturating:
    """A load that more poolers could not help, and the word for it."""

    script: str
    reason: str


HEAVY = Saturating("SELECT sum(g) FROM generate_series(1, 300000) AS g;", "CpuSaturated")
LOCKS = Saturating(
    "BEGIN;\nSELECT pg_advisory_xact_lock(4711);\nSELECT pg_sleep(0.02);\nCOMMIT;", "LockContention"
)
SLEEPERS = Saturating("BEGIN;\nSELECT 1;\n\\sleep 500 ms\nCOMMIT;", "ClientsHoldTransactions")


@pytest.mark.parametrize(
    ("load", "monitored"),
    [(HEAVY, True), (LOCKS, True), (SLEEPERS, True), (HEAVY, False)],
    ids=["CPU", "locks", "sleepers", "CPU, without a monitor"],
)
def test_clients_that_wait_for_the_database_get_a_reason_and_no_pod(
    make_pool: MakePool, database: Postgres, kube: Kubectl, monitor: str, load: Saturating, monitored: bool
) -> None:
    auth = MONITOR if monitored else {"userSecrets": [{"name": USER}]}
    pool = make_pool(read=None, write=scaling(), auth=auth, timeouts={"drainSeconds": 5})
    with (
        watched(database, frozenset({USER, monitor})) as seen,
        Crowd(kube, "load", pool.dsn(), 80, load.script) as crowd,
    ):
        found = pool.wait_for("DatabaseSaturated", "True", load.reason)
        assert pool.condition("Ready")["reason"] == "DatabaseSaturated"
        time.sleep(20)
        assert replicas(pool) == 2
        result = crowd.stop()
    report(f"{found['reason']}: {found['message']}", seen, result)
    event = next(m for m in messages(pool, "DatabaseSaturated") if m.startswith(load.reason))
    print(event)  # noqa: T201
    assert "connections busy" in event
    assert "clients wait" in event
    pool.wait_for("DatabaseSaturated", "False", "HasRoom")
    assert replicas(pool) == 2
    assert messages(pool, "ScalingUp") == []
    assert 0 < seen.log.peak <= BUDGET


HOLDING = """\\set slow random(1, 50)
BEGIN;
SELECT pg_sleep(CASE WHEN :slow = 1 THEN 1 ELSE 0.005 END);
COMMIT;"""
"""Holds a backend and costs no CPU, so that backends are what is short; seldom for so long that whoever did not
wait for it before he gave it away would be found out."""
SKEWED_CLIENTS = 500


def caps(pool: Pool) -> dict[str, int]:
    """The connections that each pod is granted, by its name."""
    budget = pool.kubectl.get("pgbudget", "main-a-0")
    assert budget is not None
    return {grant["pod"]: grant["cap"] for grant in budget["status"]["grants"]}


def wait_for_caps(what: str, pool: Pool, enough: Callable[[dict[str, int]], bool]) -> None:
    """Wait until the connections are split as they should be."""

    def check() -> bool:
        found = caps(pool)
        assert enough(found), f"{found}"
        return True

    eventually(what, check, LONG_SECONDS)


def moved_to(pool: Pool, name: str) -> None:
    """Wait until nearly the whole budget is one pod's."""
    wait_for_caps(f"nearly all is {name}'s", pool, lambda found: found[name] >= BUDGET - 4)


def counters(pod: Object) -> Mapping[str, float]:
    """What the pod's engine has counted, by metric."""
    lines = ask_agent(pod, "/metrics").splitlines()
    samples = (line.rsplit(" ", 1) for line in lines if line.startswith("pgpool_engine_"))
    return {name.partition("{")[0]: float(value) for name, value in samples}


def mean_wait(pod: Object, window: float = 10.0) -> float:
    """Seconds that a client waited for a backend on average, over a while."""
    before = counters(pod)
    time.sleep(window)
    after = counters(pod)
    waited, served = (
        after[name] - before[name]
        for name in ("pgpool_engine_wait_seconds_total", "pgpool_engine_assignments_total")
    )
    return waited / served


def test_the_budget_follows_clients_that_sit_on_one_pod_and_turns_with_them(
    make_pool: MakePool, database: Postgres, kube: Kubectl
) -> None:
    pool = make_pool(read=None, write=scaling(), timeouts={"drainSeconds": 5})
    first, second = pool.pods("write")
    names = [pod["metadata"]["name"] for pod in (first, second)]
    with watched(database) as seen, Crowd(kube, "load", pool.dsn_of(first), SKEWED_CLIENTS, HOLDING) as one:
        moved_to(pool, names[0])
        assert caps(pool)[names[1]] >= 1
        with Crowd(kube, "load-second", pool.dsn_of(second), SKEWED_CLIENTS, HOLDING) as other:
            wait_for_caps("both have their part", pool, lambda found: min(found.values()) >= BUDGET // 3)
            results = [one.stop()]
            moved_to(pool, names[1])
            moved = mean_wait(second)
            results.append(other.stop())
    for pod, result in zip(("first", "second"), results, strict=True):
        report(f"{SKEWED_CLIENTS} clients on the {pod} pod", seen, result)
        assert result.failed == result.aborted == 0
    assert replicas(pool) == 2
    assert messages(pool, "ScalingUp") == []
    assert 0 < seen.log.peak <= BUDGET
    pool.patch({"databases": [{"name": "app", "maxPercent": 50}]})
    pool.wait_serving()
    with Crowd(kube, "load", pool.dsn_of(second), SKEWED_CLIENTS, HOLDING) as crowd:
        moved_to(pool, names[1])
        halved = mean_wait(second)
        crowd.stop()
    print(  # noqa: T201
        f"with half of the budget, as in an equal split, clients wait {halved / moved:.2f} times as long "
        f"({halved:.3f} s, {moved:.3f} s)"
    )
    assert halved > moved


async def test_a_database_that_is_down_freezes_scaling_and_loses_no_pod(
    make_pool: MakePool, database: Postgres
) -> None:
    pool = make_pool(read=None, write=scaling(), timeouts={"drainSeconds": 5})
    database.query("TRUNCATE judged")
    before = {pod["metadata"]["name"] for pod in pool.pods("write")}
    dsn = pool.dsn()
    async with Application(lambda: dsn, workers=40) as record:
        await asyncio.sleep(5)
        with database.held_down():
            await asyncio.to_thread(pool.wait_for, "DatabaseReachable", "False")
            await asyncio.to_thread(pool.wait_for, "ScalingLimited", "True", "Frozen")
            in_flight = len(record.failures)
            await asyncio.sleep(DOWN_SECONDS)
            assert pool.object()["status"]["write"]["readyReplicas"] == 2, "clients queue in ready pods"
            assert replicas(pool) == 2
        await asyncio.to_thread(pool.wait_settled)
        served = len(record.acknowledged)
        await asyncio.sleep(5)
    print(f"{in_flight} transactions were cut off; slowest {record.slowest:.1f} s")  # noqa: T201
    assert len(record.acknowledged) > served
    assert len(record.failures) == in_flight <= 40, "only what was in flight when the server went may fail"
    rows = {number for (number,) in database.query("SELECT id FROM judged")}
    assert not set(record.acknowledged) - rows
    pods = pool.pods("write")
    assert {pod["metadata"]["name"] for pod in pods} == before
    assert all(s["restartCount"] == 0 for pod in pods for s in pod["status"]["containerStatuses"])
    await asyncio.to_thread(pool.wait_for, "ScalingLimited", "False", "DesiredWithinRange")
