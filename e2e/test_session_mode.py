"""Session mode, where PostgreSQL notices no client that vanishes: a pod tells its own end, or is held."""

import contextlib
from collections.abc import Iterator

import psycopg
import pytest

from e2e.conftest import MakePool
from e2e.judge.watch import watched
from e2e.kube import eventually
from e2e.world import BUDGET, PRIMARY, USER, Pool, Postgres

DRAIN_SECONDS = 10
SLEEP = "SELECT pg_sleep(600)"
SHARE = BUDGET // 3
"""Of each of two pods: there is room for one more."""


@pytest.fixture
def pool(make_pool: MakePool) -> Pool:
    """Two pods, each with its share."""
    pool = make_pool(
        "session",
        poolMode="session",
        write={"replicas": 2},
        read=None,
        timeouts={"drainSeconds": DRAIN_SECONDS},
    )
    wait_shared(pool)
    return pool


def wait_shared(pool: Pool) -> None:
    """Wait until its two pods, and nobody else, have their shares."""

    def shared() -> bool:
        status = (pool.kubectl.get("pgbudget", PRIMARY) or {})["status"]
        grants = {(grant["pod"], grant["reserved"], grant["state"]) for grant in status["grants"]}
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
    [pod, _] = pool.pods()
    asleep = "SELECT pid FROM pg_stat_activity WHERE client_addr = %s AND query = %s"
    its_own = (pod["status"]["podIP"], SLEEP)
    with (
        watched(database, frozenset({USER})) as seen,
        contextlib.closing(psycopg.connect(pool.dsn_of(pod), autocommit=True)) as session,
    ):
        session.pgconn.send_query(SLEEP.encode())
        eventually("the query runs", lambda: database.query(asleep, its_own) or None)
        pool.kubectl("delete", "pod", pod["metadata"]["name"])
        told = pool.wait_for("BudgetSatisfied", "False", "BudgetHeld")
        [(backend,)] = database.query(asleep, its_own)
        assert (pool.kubectl.get("pgbudget", PRIMARY) or {})["status"]["unknown"] == SHARE
        assert "where PostgreSQL does not notice that a client has vanished" in told["message"]
        database.query("SELECT pg_terminate_backend(%s)", (backend,))
        assert ", to be freed by: kubectl " in told["message"]
        pool.release_as_told(told)
        wait_shared(pool)
    assert 0 < seen.log.peak <= BUDGET
    assert 0 < seen.samples.peak <= BUDGET
