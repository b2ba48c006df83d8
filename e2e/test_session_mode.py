"""Session mode, where PostgreSQL notices no client that vanishes: a pod tells its own end, or is held."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from e2e.conftest import MONITOR, MakePool
from e2e.judge.watch import watched
from e2e.kube import Object, eventually
from e2e.world import BUDGET, PRIMARY, USER, Pool, Postgres

DRAIN_SECONDS = 10
SLEEP = "SELECT pg_sleep(600)"
SHARE = BUDGET // 3
"""Of each of two pods: there is room for one more."""
LOOKS_SECONDS = 20.0
"""Several of a monitor's, one every 3 s."""


@pytest.fixture
def pool(make_pool: MakePool) -> Pool:
    """Two pods, each with its share."""
    return two_pods(make_pool)


@pytest.fixture
def monitored(make_pool: MakePool, monitor: str) -> Pool:
    """As `pool`, and its pods see what all backends do."""
    del monitor
    return two_pods(make_pool, auth=MONITOR)


def two_pods(make_pool: MakePool, **spec: Any) -> Pool:
    pool = make_pool(
        "session",
        poolMode="session",
        write={"replicas": 2},
        read=None,
        timeouts={"drainSeconds": DRAIN_SECONDS},
        **spec,
    )
    wait_shared(pool)
    return pool


def wait_shared(pool: Pool) -> None:
    """Wait until its two pods, and nobody else, have their shares."""

    def shared() -> bool:
        grants = {(grant["pod"], grant["reserved"], grant["state"]) for grant in ledger(pool)["grants"]}
        assert grants == {(pod["metadata"]["name"], SHARE, "Active") for pod in pool.pods()}, f"{grants}"
        return True

    eventually("its pods have their shares, and nobody else has anything", shared)


@contextlib.contextmanager
def sessions(pool: Pool, each: int) -> Iterator[None]:
    """So many clients of each pod, who have asked something and keep their sessions."""
    with contextlib.ExitStack() as stack:
        for pod in pool.pods():
            for _ in range(each):
                connection = psycopg.connect(pool.dsn_of(pod), autocommit=True)
                stack.push(lambda *_, connection=connection: connection.close())
                connection.execute("SELECT 1")
        yield


def test_a_rollout_under_idle_sessions_frees_all_that_the_old_pods_had(
    pool: Pool, database: Postgres
) -> None:
    with watched(database, frozenset({USER})) as seen, sessions(pool, SHARE - 1):
        pool.roll_out()
        wait_shared(pool)
    assert 0 < seen.log.peak <= BUDGET
    assert 0 < seen.samples.peak <= BUDGET


def test_a_query_that_outlives_its_pod_is_counted_until_it_has_ended_and_a_person_says_so(
    pool: Pool, database: Postgres
) -> None:
    with watched(database, frozenset({USER})) as seen, outlived(pool, database) as query:
        told = pool.wait_for("BudgetSatisfied", "False", "BudgetHeld")
        assert query.runs()
        assert ledger(pool)["unknown"] == SHARE
        assert "where PostgreSQL does not notice that a client has vanished" in told["message"]
        query.end()
        assert ", to be freed by: kubectl " in told["message"]
        pool.release_as_told(told)
        wait_shared(pool)
    assert 0 < seen.log.peak <= BUDGET
    assert 0 < seen.samples.peak <= BUDGET


def test_a_query_that_outlives_its_pod_is_counted_until_a_monitor_sees_that_it_has_ended(
    monitored: Pool, database: Postgres, monitor: str
) -> None:
    [pod, _] = monitored.pods()
    with (
        watched(database, frozenset({USER, monitor})) as seen,
        outlived(monitored, database) as query,
    ):
        time.sleep(LOOKS_SECONDS)
        assert query.runs()
        assert held(monitored, pod) == SHARE
        query.end()
        wait_shared(monitored)
    assert 0 < seen.log.peak <= BUDGET
    assert 0 < seen.samples.peak <= BUDGET


def ledger(pool: Pool) -> Object:
    """The status of the server's PgBudget."""
    return dict((pool.kubectl.get("pgbudget", PRIMARY) or {})["status"])


def held(pool: Pool, pod: Object) -> int:
    """What is reserved for a pod; 0 for one that is not in the ledger."""
    grants = ledger(pool)["grants"]
    return sum(grant["reserved"] for grant in grants if grant["uid"] == pod["metadata"]["uid"])


@dataclass(frozen=True)
class Query:
    """One that sleeps in PostgreSQL, asked through a pod."""

    database: Postgres
    address: str

    def backends(self) -> list[int]:
        sql = "SELECT pid FROM pg_stat_activity WHERE client_addr = %s AND query = %s"
        return [pid for (pid,) in self.database.query(sql, (self.address, SLEEP))]

    def runs(self) -> bool:
        return len(self.backends()) == 1

    def end(self) -> None:
        [backend] = self.backends()
        self.database.query("SELECT pg_terminate_backend(%s)", (backend,))


@contextlib.contextmanager
def outlived(pool: Pool, database: Postgres) -> Iterator[Query]:
    """The first of the pool's pods is deleted while a query runs that was asked through it."""
    [pod, _] = pool.pods()
    query = Query(database, pod["status"]["podIP"])
    with contextlib.closing(psycopg.connect(pool.dsn_of(pod), autocommit=True)) as session:
        session.pgconn.send_query(SLEEP.encode())
        eventually("the query runs", query.runs)
        pool.kubectl("delete", "pod", pod["metadata"]["name"])
        yield query
