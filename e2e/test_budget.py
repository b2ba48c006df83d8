"""The promise: PostgreSQL never counts more backends than the budget, whatever happens. PostgreSQL is the judge."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from e2e.conftest import MakePool
from e2e.faults.network import cut_off_from
from e2e.judge.load import Crowd
from e2e.judge.visitor import Visitor
from e2e.judge.watch import report, watched
from e2e.kube import Kubectl, Object, eventually
from e2e.world import BUDGET, PRIMARY, USER, Pool, Postgres, ask_agent, leader, query_at

CLIENTS = 300

SCRIPT = """\\set id random(1, 100000)
BEGIN;
SELECT count(*) FROM generate_series(1, 200) AS g WHERE g % 7 = :id % 7;
SELECT pg_sleep(0.02);
COMMIT;"""
"""A short transaction, in which the backend is held for longer than what is computed takes, on any machine."""


LONG_CLIENTS = 60

LONG_SCRIPT = """\\set seconds random(2, 5)
BEGIN;
SELECT pg_sleep(:seconds);
COMMIT;"""
"""A backend that has to go cannot for seconds, while the room that it will leave is wanted at once."""


HOLDING_SCRIPT = "SELECT pg_sleep(0.2);"
"""Uses a backend and no CPU: all that pools may open is opened at once."""


CUT_SECONDS = 15.0
"""PostgreSQL takes 20 s to notice: all the time it has what the pod has closed."""


ENDLESS_SCRIPT = "SELECT pg_sleep(600);"
"""Holds a backend until its client is gone."""


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
    apply_user(pool.kubectl, "second-user", "second", "sample-second-password")
    pool.patch({"auth": {"userSecrets": [{"name": USER}, {"name": "second-user"}]}})


def apply_user(kube: Kubectl, secret: str, username: str, password: str) -> None:
    """The Secret of a user of the pool."""
    kube.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": secret},
            "stringData": {"username": username, "password": password},
        }
    )


def disturb_everything(pool: Pool, operator: Kubectl) -> None:
    """One disturbance after the other, the operator's leader killed in the middle of each."""
    for what, act in disturbances(pool):
        print(what)  # noqa: T201
        act()
        kill_leader(operator)
        pool.wait_settled()


@pytest.fixture
def fence(database: Postgres) -> Iterator[None]:
    """The role may have B connections and no more: PostgreSQL itself sees to it, and logs what it refuses."""
    database.query(f'ALTER ROLE "{USER}" CONNECTION LIMIT {BUDGET}')
    yield
    database.query(f'ALTER ROLE "{USER}" CONNECTION LIMIT -1')


def test_no_disturbance_makes_postgresql_see_more_than_the_budget(
    make_pool: MakePool, database: Postgres, operator: Kubectl, kube: Kubectl, fence: None
) -> None:
    del fence
    pool = make_pool(timeouts={"drainSeconds": 10})
    with watched(database) as seen, Crowd(kube, "load", pool.dsn(), CLIENTS, SCRIPT) as crowd:
        disturb_everything(pool, operator)
        eventually("the load uses the budget", lambda: max(seen.samples.busy[-50:]) > BUDGET * 3 // 4)
        result = crowd.stop()
    report("one pool, fenced", seen, result)
    assert 0 < seen.log.peak <= BUDGET
    assert 0 < seen.samples.peak <= BUDGET
    assert seen.log.refused == 0


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
    assert 0 < seen.log.peak <= BUDGET
    assert result.transactions > 0


def test_a_database_is_served_while_long_transactions_keep_another_one_above_its_limit(
    make_pool: MakePool, database: Postgres, kube: Kubectl
) -> None:
    databases = [{"name": "app"}, {"name": "other", "dbname": "postgres"}]
    pool = make_pool(read=None, write={"replicas": 1}, databases=databases)
    (pod,) = pool.pods()
    other = pool.dsn_of(pod, "other")
    load = Crowd(kube, "load", pool.dsn(), LONG_CLIENTS, ENDLESS_SCRIPT)
    with watched(database) as seen, load, Visitor(lambda: query_at(other, "SELECT 1")) as visits:
        eventually("both are at work", lambda: seen.samples.busy[-1] >= BUDGET // 2 and visits.served > 0)
        pool.patch({"write": {"replicas": 3}})
        eventually("the pod has to give connections back", lambda: shrinks(pool, pod))
        served = visits.served
        eventually("the other database is served again and again", lambda: visits.served >= served + 20)
        assert shrinks(pool, pod), "the long transactions have ended, this shows nothing"
    assert visits.failures == []
    assert 0 < seen.log.peak <= BUDGET


@pytest.fixture
def visitor(database: Postgres, kube: Kubectl) -> Iterator[str]:
    """Another user of the database: the name of the Secret and of the role."""
    name, password = "visitor", "sample-visitor-password"
    database.query(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
    apply_user(kube, name, name, password)
    yield name
    kube("delete", "secret", name)
    database.query(f"DROP ROLE {name}")


def test_who_has_no_connection_is_served_while_another_one_has_them_all_in_long_transactions(
    visitor: str, make_pool: MakePool, database: Postgres, kube: Kubectl
) -> None:
    """What frees goes to him, and only when PostgreSQL has ended it."""
    users = frozenset({USER, visitor})
    secrets = [{"name": name} for name in sorted(users)]
    pool = make_pool(read=None, write={"replicas": 1}, auth={"userSecrets": secrets})
    load = Crowd(kube, "load", pool.dsn(), LONG_CLIENTS, LONG_SCRIPT)
    his = pool.dsn(user_secret=visitor)
    with watched(database, users) as seen, load as crowd:
        eventually("the load has all connections", lambda: max(seen.samples.busy[-50:], default=0) >= BUDGET)
        with Visitor(lambda: query_at(his, "SELECT 1")) as visits:
            eventually("the other user is served again and again", lambda: visits.served >= 100)
        result = crowd.stop()
    report("two users", seen, result)
    assert visits.failures == []
    assert 0 < seen.log.peak <= BUDGET
    assert 0 < seen.samples.peak <= BUDGET


def shrinks(pool: Pool, pod: Object) -> bool:
    """More is reserved for a pod than it was granted last: it has not given that back yet."""
    grants = (pool.kubectl.get("pgbudget", PRIMARY) or {})["status"]["grants"]
    (own,) = [grant for grant in grants if grant["uid"] == pod["metadata"]["uid"]]
    return bool(own["reserved"] > own["cap"])


def test_what_a_pod_closes_while_it_is_cut_off_from_the_database_is_not_given_to_others(
    make_pool: MakePool, database: Postgres, kube: Kubectl
) -> None:
    pool = make_pool(read=None)
    with watched(database) as seen:
        with Crowd(kube, "load", pool.dsn(), CLIENTS, SCRIPT) as crowd:
            eventually("all connections are open", lambda: len(backends(database)) == BUDGET)
            crowd.stop()
        cut_off, other = pool.pods("write")
        own, others = address_of(cut_off), address_of(other)
        with ExitStack() as load:
            with cut_off_from(cut_off, database.address()):
                cut_at = time.monotonic()
                pool.patch({"write": {"replicas": 4}})
                new = eventually("two more pods have addresses", lambda: newcomers(pool, {own, others}))
                # At the pod that is cut off, clients would wait for ever, and keep its connections from closing.
                dsn = pool.dsn_of_any(other, *new)
                crowd = load.enter_context(
                    Crowd(kube, "load", dsn, LONG_CLIENTS, HOLDING_SCRIPT, reconnecting=True)
                )
                eventually("it has closed some", lambda: open_at(cut_off) < backends(database).count(own))
                time.sleep(max(0.0, cut_at + CUT_SECONDS - time.monotonic()))
                counted, left = open_at(cut_off), backends(database)
            pool.wait_settled()
            result = crowd.stop()
    report("cut off from the database", seen, result)
    assert left.count(own) > counted, "PostgreSQL has noticed, this shows nothing"
    assert set(left) > {own, others}, "no new pod has opened any, this shows nothing"
    assert 0 < seen.log.peak <= BUDGET
    assert 0 < seen.samples.peak <= BUDGET


def backends(database: Postgres) -> list[str]:
    """Where the user's backends were opened from, by PostgreSQL's own account."""
    rows = database.query("SELECT host(client_addr) FROM pg_stat_activity WHERE usename = %s", (USER,))
    return [address for (address,) in rows]


def open_at(pod: Object) -> int:
    """Connections to the database that a pod counts."""
    (server,) = json.loads(ask_agent(pod, "/v1/state"))["servers"]
    return int(server["open"])


def address_of(pod: Object) -> str:
    return str(pod["status"]["podIP"])


def newcomers(pool: Pool, known: set[str]) -> list[Object]:
    """The write pods that are not known, once each has an address."""
    pods = pool.pods("write")
    assert all("podIP" in pod["status"] for pod in pods), "one has no address yet"
    new = [pod for pod in pods if address_of(pod) not in known]
    assert len(new) == 2, f"{len(new)} new pods"
    return new


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
    assert 0 < seen.log.peak <= BUDGET
    assert 0 < seen.samples.peak <= BUDGET
