"""One server, one budget: whoever names it, from whichever namespace, and by whichever name."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from e2e.conftest import MakePool, leftovers, pools
from e2e.judge.load import Crowd
from e2e.judge.watch import report, watched
from e2e.kube import Kubectl, Object, condition, eventually
from e2e.test_budget import SCRIPT
from e2e.words import of_unsettled
from e2e.world import BUDGET, USER, Pool, Postgres, secret

CLIENTS = 100
PORT = 5432
FLOOR = 1
"""What a pod gets before anybody knows which server it is: one connection for its one database."""


def on(host: str, **spec: Any) -> dict[str, Any]:
    """A pool's spec: one server by host, with the CPUs of the sample database."""
    database = {"servers": [{"host": host, "port": PORT, "cpu": 8}]}
    return {"database": database, "read": None, "tls": {"server": {"mode": "disable"}}, **spec}


@pytest.fixture(scope="module")
def beside(kube: Kubectl) -> Iterator[Kubectl]:
    """A second namespace, whose users may log in to the first one's database."""
    other = kube.within(f"{kube.namespace}-b")
    if other.get("namespace", other.namespace) is None:
        other("create", "namespace", other.namespace)
    user = secret(kube, USER)
    other.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": USER}, "stringData": dict(user)})
    yield other
    other.within("")("delete", "namespace", other.namespace, "--wait=false")


@pytest.fixture
def make_beside(beside: Kubectl, make_pool: MakePool) -> Iterator[MakePool]:
    """As `make_pool`, in the second namespace."""
    del make_pool
    with pools(beside) as make:
        yield make


@pytest.fixture
def service(kube: Kubectl, database: Postgres) -> Iterator[str]:
    """A name of the primary that is none of its own: a Service; its DNS name."""
    del database
    yield from _service(kube, "alias", {"member": "main-a"})


@pytest.fixture
def balancer(kube: Kubectl, database: Postgres) -> Iterator[str]:
    """A Service over both servers; its DNS name."""
    del database
    yield from _service(kube, "both", {"cluster-name": "main"})


def _service(kube: Kubectl, name: str, selector: Object) -> Iterator[str]:
    spec = {"selector": selector, "ports": [{"port": PORT}]}
    kube.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})
    yield f"{name}.{kube.namespace}.svc"
    kube("delete", "service", name)


def ledger(kube: Kubectl, host: str) -> Object:
    """A server's PgBudget."""
    found = kube.get("pgbudget", f"{host}-{PORT}")
    assert found is not None, f"no PgBudget for {host}"
    return found


def wait_for_reason(kube: Kubectl, host: str, reason: str) -> Object:
    """Wait until a PgBudget says so in Ready; its status."""

    def said() -> Object:
        found = ledger(kube, host)
        ready = condition(found, "Ready")
        assert ready["reason"] == reason, f"{ready}"
        return dict(found["status"])

    return eventually(f"PgBudget for {host}: {reason}", said)


def message(kube: Kubectl, host: str) -> str:
    return str(condition(ledger(kube, host), "Ready")["message"])


def backends(database: Postgres) -> int:
    """Of the pools' user on the primary, as PostgreSQL counts them."""
    rows = database.query("SELECT count(*) FROM pg_stat_activity WHERE usename = %s", (USER,))
    return int(rows[0][0])


def wait_until_served(pool: Pool) -> None:
    """Wait until it serves, whatever its conditions say: pgbench gives up at once where nobody listens."""

    def served() -> bool:
        try:
            return pool.query("SELECT 1") == [(1,)]
        except psycopg.OperationalError:
            return False

    eventually(f"{pool.name} takes clients", served)


def shares(status: Object) -> dict[str, int]:
    """What a ledger reserves, by pool."""
    found: dict[str, int] = {}
    for grant in status["grants"]:
        found[grant["pool"]] = found.get(grant["pool"], 0) + grant["reserved"]
    return found


def test_a_second_namespace_gets_nothing_until_the_owner_lets_it_in_and_then_shares_the_budget(
    make_pool: MakePool, make_beside: MakePool, kube: Kubectl, beside: Kubectl, database: Postgres
) -> None:
    host = database.address()
    name = f"{host}-{PORT}"
    first = make_pool(**on(host))
    with watched(database) as seen:
        second = make_beside("batch", wait=False, **on(host))
        words = (
            f"{host}:{PORT} belongs to PgBudget {kube.namespace}/{name}: its owner adds {beside.namespace} "
            "to allowedNamespaces"
        )
        for kind, status in (("Stalled", "True"), ("Ready", "False"), ("BudgetSatisfied", "False")):
            assert second.wait_for(kind, status, "ServerClaimed")["message"] == words
        assert second.pods() == []
        assert beside.get("pgbudget", name) is None
        assert shares(ledger(kube, host)["status"]).keys() == {f"{kube.namespace}/app"}
        kube.patch("pgbudget", name, {"spec": {"allowedNamespaces": [beside.namespace]}})
        second.wait_serving()
        with (
            Crowd(kube, "load", first.dsn(), CLIENTS, SCRIPT) as one,
            Crowd(beside, "load", second.dsn(), CLIENTS, SCRIPT) as other,
        ):
            second.patch({"write": {"replicas": 3}})
            second.wait_serving()
            first.wait_serving()
            results = one.stop(), other.stop()
    for title, result in zip(("owner", "let in"), results, strict=True):
        report(title, seen, result)
        assert result.transactions > 0
        assert result.failed == 0
    assert 0 < seen.log.peak <= BUDGET
    assert 0 < seen.samples.peak <= BUDGET

    def given_back() -> bool:
        held = shares(ledger(kube, host)["status"])
        assert held[f"{kube.namespace}/app"] == BUDGET, f"{held}"
        return True

    kube.patch("pgbudget", name, {"spec": {"allowedNamespaces": None}})
    second.wait_for("Stalled", "True", "ServerClaimed")
    eventually("the owner has all of it again", given_back)


def test_two_names_of_one_server_are_named_and_share_its_budget(
    make_pool: MakePool, kube: Kubectl, database: Postgres, service: str
) -> None:
    host = database.address()
    first = make_pool(**on(host))
    with watched(database) as seen, Crowd(kube, "load", first.dsn(), CLIENTS, SCRIPT) as crowd:
        second = make_pool("batch", wait=False, **on(service))
        wait_until_served(second)

        def together() -> bool:
            held = [ledger(kube, name)["status"]["reserved"] for name in (host, service)]
            assert sum(held) <= BUDGET, f"{held}"
            return bool(held[1] <= 2 * FLOOR)

        def whole() -> bool:
            found = ledger(kube, host)
            assert found["status"]["reserved"] == BUDGET, of_unsettled(found)
            return True

        with Crowd(kube, "load-batch", second.dsn(), CLIENTS, SCRIPT) as other:
            status = wait_for_reason(kube, host, "ServerAliased")
            assert status["aliases"] == [f"{kube.namespace}/{service}-{PORT}"]
            assert message(kube, host) == f"{host}:{PORT} and {service}:{PORT} are one server: use one name"
            wait_for_reason(kube, service, "ServerAliased")
            assert (
                message(kube, service) == f"{service}:{PORT} and {host}:{PORT} are one server: use one name"
            )
            for pool in (first, second):
                pool.wait_for("BudgetSatisfied", "False", "ServerAliased")
            eventually("both reserve the server's budget together", together)
            served = other.stop()
        kube("delete", "pgpool", "batch")
        wait_for_reason(kube, host, "InUse")
        eventually("all of it is the first one's", whole)
        result = crowd.stop()
    for title, load in (("first name", result), ("second name", served)):
        report(title, seen, load)
        assert load.transactions > 0
        assert load.failed == 0
    assert 0 < seen.log.peak <= BUDGET + 2 * FLOOR, "floors are granted before anybody knows"


def test_a_name_of_several_servers_is_said_and_grows_no_more(
    make_pool: MakePool, kube: Kubectl, database: Postgres, balancer: str
) -> None:
    with watched(database) as seen:
        pool = make_pool(wait=False, **on(balancer))
        wait_until_served(pool)
        with Crowd(kube, "load", pool.dsn(), CLIENTS, SCRIPT) as crowd:
            status = wait_for_reason(kube, balancer, "ManyServers")
            assert len(status["servers"]) == 2
            assert status["reserved"] <= BUDGET
            words = f"{balancer}:{PORT} answers as 2 servers: list each one, a budget belongs to one server"
            assert message(kube, balancer) == words
            assert pool.wait_for("BudgetSatisfied", "False", "ManyServers")["message"] == words
            known = ledger(kube, balancer)["status"]
            before = {grant["pod"]: grant["cap"] for grant in known["grants"]}
            since = datetime.now(UTC)
            pool.patch({"write": {"replicas": 3}})

            def fed() -> bool:
                caps = {grant["pod"]: grant["cap"] for grant in ledger(kube, balancer)["status"]["grants"]}
                assert all(caps[pod] <= cap for pod, cap in before.items()), f"{caps}"
                return len(caps) == len(before) + 1

            eventually("a new pod gets its floor, nobody else more", fed)
            result = crowd.stop()
            until = datetime.now(UTC)
    report("several servers", seen, result)
    assert result.transactions > 0
    assert result.failed == 0
    assert 0 < seen.log.peak <= BUDGET
    # That is one of the servers; how many of the connections go to it, nobody can tell.
    assert seen.log.peak_between(since, until) <= known["reserved"] + FLOOR


def test_nothing_is_left(kube: Kubectl, beside: Kubectl) -> None:
    assert leftovers(kube) == []
    assert leftovers(beside) == []
