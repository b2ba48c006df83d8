"""The promise: PostgreSQL never counts more backends than the budget, whatever happens. PostgreSQL is the judge."""

from collections.abc import Callable, Iterator

import pytest

from e2e.conftest import MakePool
from e2e.judge.load import Crowd
from e2e.judge.watch import report, watched
from e2e.kube import Kubectl, eventually
from e2e.world import BUDGET, USER, Pool, Postgres, leader

CLIENTS = 300

SCRIPT = """\\set id random(1, 100000)
BEGIN;
SELECT count(*) FROM generate_series(1, 200) AS g WHERE g % 7 = :id % 7;
SELECT pg_sleep(0.002);
COMMIT;"""
"""A short transaction with some time in which the backend is held and nothing is computed."""


LONG_CLIENTS = 60

LONG_SCRIPT = """\\set seconds random(2, 5)
BEGIN;
SELECT pg_sleep(:seconds);
COMMIT;"""
"""A backend that has to go cannot for seconds, while the room that it will leave is wanted at once."""


def kill_leader(operator: Kubectl) -> None:
    """The operator's leader is killed at once, in the middle of whatever it does."""
    leading = eventually("an operator leads", lambda: leader(operator))
    operator("delete", "pod", leading, "--grace-period=0", "--force")


KILL_ENGINE = """
import os, pathlib, signal
for process in pathlib.Path("/proc").glob("[0-9]*"):
    if (process / "comm").read_text().strip() == "pgbouncer":
        os.kill(int(process.name), signal.SIGKILL)
"""


def kill_engine(pool: Pool) -> None:
    """One PgBouncer dies by SIGKILL; its agent has to notice."""
    pool.kubectl("exec", pool.pods("write")[0]["metadata"]["name"], "--", "python3", "-c", KILL_ENGINE)


def disturbances(pool: Pool) -> Iterator[tuple[str, Callable[[], object]]]:
    """Everything that moves connections about."""
    deployment = f"deployment/{pool.name}-rw"
    yield "scale out to 4", lambda: pool.patch({"write": {"replicas": 4}})
    yield "scale in to 2", lambda: pool.patch({"write": {"replicas": 2}})
    yield "rollout restart", lambda: pool.kubectl("rollout", "restart", deployment)
    yield (
        "parameter change",
        lambda: pool.patch(
            {"pgbouncer": {"parameters": {"max_client_conn": 4000, "server_idle_timeout": 300}}}
        ),
    )
    yield "a user more", lambda: add_user(pool)
    yield "engine killed", lambda: kill_engine(pool)


def add_user(pool: Pool) -> None:
    """A second Secret of users."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "second-user"},
        "stringData": {"username": "second", "password": "sample-second-password"},
    }
    pool.kubectl.apply(secret)
    pool.patch({"auth": {"userSecrets": [{"name": USER}, {"name": "second-user"}]}})


def disturb_everything(pool: Pool, operator: Kubectl) -> None:
    """One disturbance after the other, the operator's leader killed in the middle of each."""
    for what, act in disturbances(pool):
        print(what)  # noqa: T201
        act()
        kill_leader(operator)
        pool.wait_settled()


@pytest.fixture
def fence(database: Postgres, request: pytest.FixtureRequest) -> Iterator[bool]:
    """With True: the role may have B connections and no more, PostgreSQL itself sees to it."""
    database.query(f'ALTER ROLE "{USER}" CONNECTION LIMIT {BUDGET if request.param else -1}')
    yield bool(request.param)
    database.query(f'ALTER ROLE "{USER}" CONNECTION LIMIT -1')


@pytest.mark.parametrize(
    "fence", [False, True], indirect=True, ids=["judged by its log", "judged by its limit"]
)
def test_no_disturbance_makes_postgresql_see_more_than_the_budget(
    make_pool: MakePool, database: Postgres, operator: Kubectl, kube: Kubectl, fence: bool
) -> None:
    pool = make_pool(timeouts={"drainSeconds": 10})
    with watched(database) as seen, Crowd(kube, "load", pool.dsn(), CLIENTS, SCRIPT) as crowd:
        disturb_everything(pool, operator)
        busy = max(seen.samples.busy[-500:])
        result = crowd.stop()
    report("one pool, fenced" if fence else "one pool", seen, result)
    assert seen.log is not None
    assert 0 < seen.log.peak <= BUDGET
    assert 0 < seen.samples.peak <= BUDGET
    assert seen.log.refused == 0
    assert busy > BUDGET * 3 // 4, "at the end the load does not use the budget"


def test_connections_in_long_transactions_are_counted_until_those_end(
    make_pool: MakePool, database: Postgres, kube: Kubectl
) -> None:
    pool = make_pool(read=None)
    load = Crowd(kube, "load", pool.dsn(), LONG_CLIENTS, LONG_SCRIPT, reconnecting=True)
    with watched(database) as seen, load as crowd:
        eventually("the load uses the budget", lambda: max(seen.samples.busy[-50:], default=0) >= BUDGET)
        for replicas in (4, 2):
            pool.patch({"write": {"replicas": replicas}})
            pool.wait_settled()
        result = crowd.stop()
    report("long transactions", seen, result)
    assert seen.log is not None
    assert 0 < seen.log.peak <= BUDGET
    assert result.transactions > 0


def test_two_pools_on_one_server_share_its_budget(
    make_pool: MakePool, database: Postgres, kube: Kubectl
) -> None:
    first, second = make_pool(read=None), make_pool("batch", read=None)
    with (
        watched(database) as seen,
        Crowd(kube, "load", first.dsn(), CLIENTS // 2, SCRIPT) as one,
        Crowd(kube, "load-batch", second.dsn(), CLIENTS // 2, SCRIPT) as other,
    ):
        first.patch({"write": {"replicas": 3}})
        first.wait_settled()
        first.patch({"write": {"replicas": 1}})
        first.wait_settled()
        second.wait_settled()
        results = one.stop(), other.stop()
    for name, result in zip(("app", "batch"), results, strict=True):
        report(f"two pools, {name}", seen, result)
        assert result.transactions > 0
    assert seen.log is not None
    assert 0 < seen.log.peak <= BUDGET
    assert 0 < seen.samples.peak <= BUDGET
