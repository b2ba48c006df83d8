"""The data plane without the control plane, and clients without a database: they wait, and go on."""

import asyncio
import urllib.error
from collections.abc import Iterator

import psycopg
import pytest

from e2e.cluster.shell import run
from e2e.conftest import MakePool, pools
from e2e.judge.application import Application
from e2e.kube import Kubectl, Object, eventually
from e2e.world import Pool, Postgres, ask_agent, operators_away, query_at

KILL_ENGINE = """
import os, pathlib, signal
pids = [int(comm.parent.name) for comm in pathlib.Path("/proc").glob("[0-9]*/comm")
        if comm.read_text().strip() == "pgbouncer"]
assert pids, "no pgbouncer runs"
for pid in pids: os.kill(pid, signal.SIGKILL)
"""
OUTAGE_SECONDS = 20
WORKERS = 40


@pytest.fixture(scope="module")
def pool(kube: Kubectl, operator: Kubectl, database: Postgres) -> Iterator[Pool]:
    del operator, database
    with pools(kube) as make:
        # A short drain, because a pod that goes while nobody watches is waited for as long as it may take.
        yield make(timeouts={"drainSeconds": 5})


@pytest.fixture
def no_operator(operator: Kubectl, pool: Pool) -> Iterator[None]:
    """The operator is scaled to nothing, after it has brought the pool to rest."""
    pool.wait_serving()
    with operators_away(operator):
        yield


def test_pools_serve_on_without_an_operator(pool: Pool, no_operator: None) -> None:
    del no_operator
    assert pool.query("SELECT pg_is_in_recovery()", "rw") == [(False,)]
    assert pool.query("SELECT pg_is_in_recovery()", "ro") == [(True,)]


def test_a_killed_engine_comes_back_on_its_last_grant(pool: Pool, no_operator: None) -> None:
    del no_operator
    pod, *_ = pool.pods("write")
    name, before = pod["metadata"]["name"], grant_of(pool, pod)
    served = pool.kubectl("logs", name).count('"step": "Start"')
    pool.kubectl("exec", name, "--", "python3", "-c", KILL_ENGINE)
    eventually(
        "another engine was started",
        lambda: pool.kubectl("logs", name).count('"step": "Start"') == served + 1,
    )
    eventually("it is ready", lambda: readiness(pod) == "ok")
    assert grant_of(pool, pod) == before
    assert ask(pool, pod, "SELECT 1") == 1
    assert restarts(pool, name) == 0, "the agent, not the kubelet, started it again"


def test_a_killed_container_comes_back_on_its_last_grant(pool: Pool, no_operator: None) -> None:
    del no_operator
    pod, *_ = pool.pods("write")
    name, before = pod["metadata"]["name"], grant_of(pool, pod)
    kill_container(pod)
    eventually("the container was started again", lambda: restarts(pool, name) == 1)
    eventually("it is ready", lambda: readiness(pod) == "ok")
    assert grant_of(pool, pod) == before
    assert ask(pool, pod, "SELECT 1") == 1


def test_a_new_pod_waits_for_the_operator_and_says_so(pool: Pool, operator: Kubectl) -> None:
    pool.wait_serving()
    with operators_away(operator):
        old, *others = pool.pods("write")
        pool.kubectl("delete", "pod", old["metadata"]["name"])
        known = {other["metadata"]["uid"] for other in others}
        new = eventually("another pod runs", lambda: running(pool, known))
        eventually(
            "it says what it waits for", lambda: readiness(new) == "no grant yet: waiting for the operator"
        )
        assert not is_ready(pool, new["metadata"]["name"])
        with pytest.raises(psycopg.OperationalError):
            ask(pool, new, "SELECT 1")
        assert pool.query("SELECT 1") == [(1,)], "the other one serves"
        eventually(
            "the old one has gone unseen", lambda: not pool.kubectl.get("pod", old["metadata"]["name"])
        )
    eventually("it was granted connections and serves", lambda: readiness(new) == "ok")
    assert ask(pool, new, "SELECT 1") == 1


def test_what_a_pod_held_that_went_unseen_is_named_and_comes_back_by_the_command_that_is_told(
    pool: Pool,
) -> None:
    """It is freed without that as well, but only when its node's kubelet was seen alive for minutes."""
    told = pool.wait_for("BudgetSatisfied", "False", "BudgetHeld")
    assert ", or by: kubectl " in told["message"]
    pool.release_as_told(told)
    pool.wait_settled()


async def test_clients_wait_while_the_database_is_down_and_go_on(
    make_pool: MakePool, database: Postgres
) -> None:
    pool = make_pool("waits", read=None)
    database.query("TRUNCATE judged")
    ready_since = {pod["metadata"]["name"]: is_ready(pool, pod["metadata"]["name"]) for pod in pool.pods()}
    application = Application(lambda: pool.dsn("rw"), WORKERS)
    async with application as record:
        await asyncio.to_thread(eventually, "transactions run", lambda: len(record.acknowledged) > 100)
        with database.held_down():
            await asyncio.sleep(1)
            in_flight, done = len(record.failures), len(record.acknowledged)
            gone = len(record.goodbyes)
            said = await asyncio.to_thread(pool.wait_unreachable, 2)
            await asyncio.sleep(OUTAGE_SECONDS)
            assert len(record.acknowledged) == done, "a database that is down commits nothing"
        await asyncio.to_thread(
            eventually, "transactions run again", lambda: len(record.acknowledged) > done + 100
        )
        await asyncio.to_thread(pool.wait_serving)

    print(  # noqa: T201
        f"{in_flight} transactions in flight, {gone} at their BEGIN ({sorted(set(record.goodbyes))}), "
        f"{record.reconnects} reconnects, {record.slowest:.1f} s"
    )
    assert record.failures[in_flight:] == [], "only what was in flight fails"
    assert record.goodbyes[gone:] == [], "who waits is not sent away"
    assert not [failure for failure in record.failures if failure.startswith("connect")]
    assert in_flight <= 24, "no more can be in flight than there are connections"
    assert said.startswith(f"main-a-0 ({database.address()}:5432): ")
    assert said.endswith("; clients wait up to 120 s, grants stay")
    warnings = [
        message for kind, why, message in pool.events() if (kind, why) == ("Warning", "DatabaseUnreachable")
    ]
    assert warnings
    assert all(message.startswith(f"main-a-0 ({database.address()}:5432): ") for message in warnings)
    assert pool.condition("DatabaseReachable")["reason"] == "Connected"
    now = {pod["metadata"]["name"]: is_ready(pool, pod["metadata"]["name"]) for pod in pool.pods()}
    assert now == ready_since, "the pods were ready all the time"
    kept = {row[0] for row in database.query("SELECT id FROM judged")}
    assert set(record.acknowledged) <= kept


def kill_container(pod: Object) -> None:
    """End the container's first process as its node would on running out of memory."""
    (status,) = pod["status"]["containerStatuses"]
    container = status["containerID"].rpartition("/")[2]
    node = ("docker", "exec", pod["spec"]["nodeName"])
    template = "{{.info.pid}}"
    pid = run(*node, "crictl", "inspect", "--output=go-template", f"--template={template}", container)
    run(*node, "kill", "-KILL", pid.strip())


def running(pool: Pool, known: set[str]) -> Object:
    """The write pod that is not known, once it has an address."""
    new = [pod for pod in pool.pods("write") if pod["metadata"]["uid"] not in known]
    assert len(new) == 1, f"{len(new)} new pods"
    assert "podIP" in new[0]["status"], "it has no address yet"
    return new[0]


def is_ready(pool: Pool, name: str) -> str:
    """Since when a pod is Ready; empty while it is not."""
    pod = pool.kubectl.get("pod", name)
    assert pod is not None, f"pod {name} is gone"
    (ready,) = [said for said in pod["status"]["conditions"] if said["type"] == "Ready"]
    return str(ready["lastTransitionTime"]) if ready["status"] == "True" else ""


def restarts(pool: Pool, name: str) -> int:
    pod = pool.kubectl.get("pod", name)
    assert pod is not None, f"pod {name} is gone"
    return int(pod["status"]["containerStatuses"][0]["restartCount"])


def readiness(pod: Object) -> str:
    """What the pod answers when asked whether it is ready."""
    try:
        return ask_agent(pod, "/readyz")
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.read().decode()
    except OSError as error:
        return f"no answer: {error}"


def grant_of(pool: Pool, pod: Object) -> str:
    """The grant that the pod's agent has persisted."""
    return pool.kubectl("exec", pod["metadata"]["name"], "--", "cat", "/var/lib/pgpool/grant.json")


def ask(pool: Pool, pod: Object, sql: str) -> object:
    """One value through one pod, past the Service."""
    return query_at(pool.dsn_of(pod), sql)[0][0]
