import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from pgpool_pooler.agent.http import ALIVE_SECONDS, application
from pgpool_pooler.agent.metrics import exposition, pool_name
from pgpool_pooler.contract import Activity, State
from pgpool_pooler.engines.base import DatabaseLoad, EngineStatus

from .builders import config, database, grant
from .pod import Pod

Client = TestClient[Any, Any]


@pytest.fixture
async def pod(tmp_path: Path) -> Pod:
    pod = Pod(tmp_path)
    pod.configure(config(database("app")))
    pod.secret(username="app", password="secret")
    return pod


@pytest.fixture
async def client(pod: Pod) -> AsyncIterator[Client]:
    async with TestClient(TestServer(application(pod.supervisor))) as client:
        yield client


async def test_readiness_says_what_is_missing(pod: Pod, client: Client) -> None:
    await pod.settle()
    answer = await client.get("/readyz")
    assert (answer.status, await answer.text()) == (503, "no grant yet: waiting for the operator")
    pod.give(grant({"app": 2}))
    await pod.settle()
    assert (await client.get("/readyz")).status == 200


async def test_liveness_is_that_the_loop_comes_round(pod: Pod, client: Client) -> None:
    await pod.settle()
    assert (await client.get("/livez")).status == 200
    pod.clock.time += ALIVE_SECONDS + 1
    assert (await client.get("/livez")).status == 503


async def test_the_state_is_the_contracts(pod: Pod, client: Client) -> None:
    pod.give(grant({"app": 2}))
    await pod.settle(1)
    pod.give(grant({"app": 2}, generation=3))
    await pod.settle(1)
    text = await (await client.get("/v1/state?after=2")).text()
    assert State.model_validate_json(text).acknowledged == 3
    assert "configHash" in json.loads(text)


async def test_after_has_to_be_a_generation(client: Client) -> None:
    assert (await client.get("/v1/state?after=x")).status == 400


async def test_nothing_can_be_commanded(client: Client) -> None:
    assert (await client.post("/v1/state")).status == 405


async def test_metrics_carry_pool_and_database_and_no_blank_label(pod: Pod) -> None:
    pod.give(grant({"app": 2}))
    await pod.settle(1)
    totals = {"app": {"total_xact_count": 5.0, "total_xact_time": 2_000_000.0}}
    loads = {"app": DatabaseLoad(open=2, active=1)}
    pod.engine.status = EngineStatus(databases=loads, totals=totals)
    await pod.settle()
    text = exposition(pod.supervisor.facts).decode()
    assert 'pgpool_agent_cap{pool="app"} 2.0' in text
    assert 'pgpool_engine_connections{database="app",pool="app"} 2.0' in text
    assert 'pgpool_engine_transactions_total{database="app",pool="app"} 5.0' in text
    assert 'pgpool_engine_transaction_seconds_total{database="app",pool="app"} 2.0' in text
    assert '=""' not in text


async def test_what_scaling_has_to_know_is_a_metric_too(pod: Pod) -> None:
    pod.give(grant({"app": 2}))
    await pod.settle(1)
    pod.engine.status = EngineStatus(max_clients=5000)
    await pod.settle()
    text = exposition(pod.supervisor.facts).decode()
    assert 'pgpool_engine_max_clients{pool="app"} 5000.0' in text
    assert 'pgpool_engine_cpu_available{pool="app"}' in text
    assert "pgpool_server_backends{" not in text
    pod.enquiries.seen = Activity(age_seconds=1, cpu=3, unseen=2)
    text = exposition(pod.supervisor.facts).decode()
    assert 'pgpool_server_backends{class="cpu",pool="app"} 3.0' in text
    classes = set(re.findall(r'pgpool_server_backends{class="(\w+)"', text))
    assert classes == {"cpu", "io", "lock", "other", "held", "idle", "unseen"}


def test_the_pools_name_is_in_the_pods() -> None:
    assert pool_name("my-app-ro-6d4f-x2k4p") == "my-app"
    assert pool_name("odd") == "odd"
