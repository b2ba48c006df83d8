"""A PgPool comes, serves, and goes without a trace."""

import json
from concurrent.futures import ThreadPoolExecutor

from e2e.conftest import MakePool, leftovers, nothing_left
from e2e.kube import GENEROUS_SECONDS, Kubectl, Object, eventually
from e2e.world import ask_agent


def test_each_endpoint_reaches_the_right_server(make_pool: MakePool) -> None:
    pool = make_pool()
    assert pool.query("SELECT pg_is_in_recovery()", "rw") == [(False,)]
    assert pool.query("SELECT pg_is_in_recovery()", "ro") == [(True,)]


def test_the_columns_tell_how_it_is(make_pool: MakePool, kube: Kubectl) -> None:
    make_pool()
    header, row = kube("get", "pgpool", "app").splitlines()
    assert header.split() == ["NAME", "READY", "REASON", "WRITE", "READ", "BUDGET", "ENDPOINT", "AGE"]
    assert row.split()[:7] == ["app", "True", "Serving", "2/2", "2/2", "24/24", "app-rw.e2e.svc:5432"]
    budgets = {line.split()[0]: line.split()[1:9] for line in kube("get", "pgbudget").splitlines()[1:]}
    assert budgets == {
        "main-a-0": ["primary", "8", "ContainerLimit", "24", "24", "0", "True", "InUse"],
        "main-b-0": ["replica", "8", "ContainerLimit", "24", "24", "0", "True", "InUse"],
    }


def test_deleting_the_pool_removes_every_child_and_the_empty_budgets(
    make_pool: MakePool, kube: Kubectl
) -> None:
    make_pool()
    assert leftovers(kube)
    kube("delete", "pgpool", "app")
    eventually("everything is gone", lambda: nothing_left(kube))


def test_removing_an_endpoint_removes_its_children_only(make_pool: MakePool, kube: Kubectl) -> None:
    pool = make_pool()
    pool.patch({"read": None})
    eventually("the read endpoint is gone", lambda: kube.get("deployment", "app-ro") is None)
    eventually("its Service is gone", lambda: kube.get("service", "app-ro") is None)
    pool.wait_serving()
    assert pool.query("SELECT pg_is_in_recovery()", "rw") == [(False,)]


def test_a_paused_pool_lets_clients_wait_and_go_on(make_pool: MakePool) -> None:
    pool = make_pool(read=None)
    pool.patch({"paused": True})
    pool.wait_for("Ready", "False", "Paused")
    eventually("all pods pause", lambda: {state(pod)["phase"] for pod in pool.pods("write")} == {"Paused"})
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(pool.query, "SELECT 1")
        eventually("a client waits", lambda: sum(state(pod)["waiting"] for pod in pool.pods("write")) == 1)
        assert not answer.done()
        pool.patch({"paused": False})
        assert answer.result(timeout=GENEROUS_SECONDS) == [(1,)]
    pool.wait_serving()


def state(pod: Object) -> Object:
    """What a pod says of itself."""
    said: Object = json.loads(ask_agent(pod, "/v1/state"))
    return said
