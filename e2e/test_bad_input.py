"""What people get wrong is told in their words, harms nothing that runs, and is mended without a restart."""

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from e2e.conftest import MakePool
from e2e.judge.visitor import Visitor
from e2e.kube import Kubectl, condition, eventually
from e2e.world import Pool, Postgres, query_at, secret

KUBELET_SYNC = 200.0
"""A Secret reaches the pods when their kubelet looks again: every 60 to 90 s, in the tests' cluster 10 to 15 s."""
CLOSED_PORT = 5433
NOBODYS_ADDRESS = "10.244.1.250"


@contextmanager
def serving_all_the_time(pool: Pool) -> Iterator[None]:
    """The pool serves at every visit while the block runs."""
    dsn = pool.dsn()
    with Visitor(lambda: query_at(dsn, "SELECT 1")) as visits:
        yield
    assert visits.served > 0
    assert visits.failures == []


@contextmanager
def secret_of(kube: Kubectl, name: str, content: Mapping[str, str]) -> Iterator[None]:
    write_secret(kube, name, content)
    try:
        yield
    finally:
        kube("delete", "secret", name)


def write_secret(kube: Kubectl, name: str, content: Mapping[str, str]) -> None:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in content.items()}
    kube.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data})


def uids(pool: Pool) -> set[str]:
    return {pod["metadata"]["uid"] for pod in pool.pods()}


def restarts(pool: Pool) -> int:
    return sum(status["restartCount"] for pod in pool.pods() for status in pod["status"]["containerStatuses"])


def refused(pool: Pool, reason: str) -> str:
    """Wait until the configuration is refused for a reason; what is said of it, in all three places alike."""

    def said_alike() -> str:
        now = pool.object()
        config, ready, stalled = (condition(now, kind) for kind in ("ConfigValid", "Ready", "Stalled"))
        assert (config["status"], config["reason"]) == ("False", reason), f"{config}"
        assert (ready["status"], ready["reason"]) == ("False", "InvalidConfig"), f"{ready}"
        assert (stalled["status"], stalled["reason"]) == ("True", "InvalidConfig"), f"{stalled}"
        assert condition(now, "Reconciling")["status"] == "False", "what waits for a person does not move"
        assert config["message"] == ready["message"] == stalled["message"]
        assert config["observedGeneration"] == now["metadata"]["generation"]
        return str(config["message"])

    return eventually(f"{pool.name} is refused: {reason}", said_alike)


def warned(pool: Pool, reason: str) -> str:
    """The last warning of a reason; events follow the status that they are about."""

    def last() -> str | None:
        said = [message for kind, why, message in pool.events() if (kind, why) == ("Warning", reason)]
        return said[-1] if said else None

    return eventually(f"a warning of {reason}", last)


def test_a_secret_that_is_not_there(make_pool: MakePool, kube: Kubectl) -> None:
    pool = make_pool(read=None)
    before = pool.object()["spec"]["auth"]
    with serving_all_the_time(pool):
        pool.patch({"auth": {"userSecrets": [{"name": "main-ap"}]}})
        said = refused(pool, "SecretInvalid")
        assert f"auth.userSecrets[0]: no Secret main-ap in {kube.namespace} (seen by " in said
        assert "no Secret main-ap" in warned(pool, "InvalidConfig")
        pool.patch({"auth": before})
        pool.wait_serving()
    assert pool.condition("ConfigValid")["status"] == "True"


def test_a_secret_without_a_password_until_it_has_one(make_pool: MakePool, kube: Kubectl) -> None:
    user = secret(kube, "main-app")
    with secret_of(kube, "half", {"username": user["username"]}):
        pool = make_pool("half", wait=False, read=None, auth={"userSecrets": [{"name": "half"}]})
        said = refused(pool, "SecretInvalid")
        assert said.startswith("auth.userSecrets[0]: Secret half has no key password (seen by ")
        assert "Secret half has no key password" in warned(pool, "InvalidConfig")
        waiting = uids(pool)
        write_secret(kube, "half", user)
        pool.wait_serving(within=KUBELET_SYNC)
        assert pool.query("SELECT 1") == [(1,)]
        assert (uids(pool), restarts(pool)) == (waiting, 0), "the same pods, never restarted"


def test_a_wrong_password_until_it_is_right(make_pool: MakePool, kube: Kubectl) -> None:
    user = secret(kube, "main-app")
    with secret_of(kube, "wrong", {**user, "password": "not-this"}):
        pool = make_pool("wrong", wait=False, read=None, auth={"userSecrets": [{"name": "wrong"}]})
        pool.wait_for("DatabaseReachable", "False", "LoginFailed")
        said = 'auth.userSecrets[0]: password authentication failed for user "main-app" (seen by 2 of 2 pods)'
        eventually("both pods say so", lambda: pool.condition("DatabaseReachable")["message"] == said)
        pool.wait_for("Ready", "False", "DatabaseUnreachable")
        pool.wait_for("ConfigValid", "True")  # the Secret is well-formed
        assert "password authentication failed" in warned(pool, "DatabaseUnreachable")
        waiting = uids(pool)
        write_secret(kube, "wrong", user)
        pool.wait_serving(within=KUBELET_SYNC)
        assert pool.query("SELECT 1") == [(1,)]
        assert (uids(pool), restarts(pool)) == (waiting, 0), "the same pods, never restarted"


@pytest.mark.parametrize("case", ["a closed port", "an address that nobody has"])
def test_a_server_that_does_not_answer_until_the_address_is_right(
    make_pool: MakePool, database: Postgres, case: str
) -> None:
    right = {"host": database.address(), "port": 5432, "cpu": 4}
    wrong = {**right, "port": CLOSED_PORT} if case == "a closed port" else {**right, "host": NOBODYS_ADDRESS}
    pool = make_pool("lost", wait=False, read=None, database={"servers": [wrong]})
    said = pool.wait_unreachable(2)
    assert f"({wrong['host']}:{wrong['port']}): " in said
    assert said.endswith("; clients wait up to 120 s, grants stay")
    assert pool.condition("Stalled")["status"] == "False", "it may come by itself"
    assert warned(pool, "DatabaseUnreachable")
    waiting = uids(pool)
    pool.patch({"database": {"servers": [right]}})
    pool.wait_serving()
    assert pool.query("SELECT 1") == [(1,)]
    assert (uids(pool), restarts(pool)) == (waiting, 0), "the same pods, never restarted"


def test_a_cluster_that_is_not_there(make_pool: MakePool) -> None:
    cluster = {"provider": "patroni", "name": "mian"}
    pool = make_pool("nowhere", wait=False, read=None, database={"cluster": cluster})
    said = pool.wait_for("ConfigValid", "False", "DatabaseNotFound")["message"]
    assert "cluster-name=mian" in said
    assert pool.wait_for("Ready", "False", "InvalidConfig")["message"] == said
    assert warned(pool, "InvalidConfig") == said
    pool.patch({"database": {"cluster": {"name": "main"}}})
    pool.wait_serving()


def test_a_budget_below_one_connection_for_each_database(make_pool: MakePool) -> None:
    pool = make_pool(
        "poor",
        wait=False,
        read=None,
        databases=[{"name": "app"}, {"name": "postgres"}],
        budget={"cpu": "1", "connectionsPerCpu": 1},
    )
    said = pool.wait_for("Stalled", "True", "BudgetTooSmall")["message"]
    assert said == (
        "2 databases need 2 connections for one pod, main-a-0 has 1: fewer databases or a larger budget make room, "
        "which is the least of CPU x connectionsPerCpu, the PgBudget's limit and what max_connections leaves"
    )
    assert pool.wait_for("Ready", "False", "BudgetTooSmall")["message"] == said
    assert pool.wait_for("BudgetSatisfied", "False", "BudgetTooSmall")["message"] == said
    assert warned(pool, "BudgetTooSmall") == said
    assert pool.pods() == [], "a pod without its floor could serve nobody"
    pool.patch({"budget": {"cpu": "8", "connectionsPerCpu": 3}})
    pool.wait_serving()


NO_CERTIFICATE = {"tls.crt": "this is no certificate", "tls.key": "nor is this a key"}


@pytest.mark.parametrize(
    ("content", "reason", "words"),
    [
        (
            {"tls.crt": "no key beside it"},
            "CertificateInvalid",
            "tls.client.secretName: the Secret has no key tls.key",
        ),
        (NO_CERTIFICATE, "EngineRejected", "pgbouncer: "),
    ],
    ids=["a key is missing", "the engine refuses it"],
)
def test_a_certificate_that_is_none(
    make_pool: MakePool, kube: Kubectl, content: Mapping[str, str], reason: str, words: str
) -> None:
    pool = make_pool(read=None)
    with secret_of(kube, "no-certificate", content), serving_all_the_time(pool):
        pool.patch({"tls": {"client": {"secretName": "no-certificate", "mode": "allow"}}})
        said = refused(pool, reason)
        assert words in said
        assert words in warned(pool, "InvalidConfig")
        pool.patch({"tls": None})
        pool.wait_serving()
    assert pool.condition("ConfigValid")["status"] == "True"
