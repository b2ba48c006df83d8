"""The loop with a fake engine, on real files: what the kubelet writes in, what the pod reports out."""

from typing import Any

import pytest

from pgpool_pooler.agent.acknowledge import SETTLED_SECONDS
from pgpool_pooler.agent.hold import UNDETECTED_HOLD_SECONDS
from pgpool_pooler.agent.inputs import Inputs
from pgpool_pooler.agent.pace import BUSY_SECONDS, BUSY_TICK_SECONDS, LONG_TICK_SECONDS
from pgpool_pooler.agent.report import state
from pgpool_pooler.agent.store import Store
from pgpool_pooler.contract import Grant, Mode, Phase
from pgpool_pooler.engines.base import EngineStatus

from .builders import config, grant
from .pod import Pod, lines, shrunk


async def test_a_pod_without_a_grant_starts_no_engine(pod: Pod) -> None:
    pod.configure(config())
    pod.secret(username="app", password="secret")
    said = await pod.settle(5)
    assert pod.engine.told == []
    assert (said.phase, said.ready, said.generation) == (Phase.GATED, False, 0)
    assert pod.unready == "no grant yet: waiting for the operator"


async def test_a_granted_pod_serves_and_acknowledges_once_that_has_lasted(pod: Pod) -> None:
    pod.configure(config())
    pod.secret(username="app", password="secret")
    pod.give(grant({"app": 3}))
    assert (await pod.settle()).acknowledged == 0
    said = await pod.settle(SETTLED_SECONDS + 0.1)
    assert pod.engine.told[0] == ("start", {"app": 3})
    assert (said.phase, said.ready, said.generation, said.acknowledged, said.cap) == (
        Phase.SERVING,
        True,
        1,
        1,
        3,
    )


async def test_the_grant_is_on_the_disk_before_the_engine_hears_of_it(pod: Pod) -> None:
    pod.configure(config())
    pod.secret(username="app", password="secret")
    pod.give(grant({"app": 3}))
    persisted: list[Grant | None] = []
    pod.engine.refuses = lambda _: persisted.append(Store(pod.layout.data, pod.layout.run).grant()) or ""  # type: ignore[func-returns-value]
    await pod.settle()
    assert persisted[0] == grant({"app": 3})


async def test_a_shrink_is_not_acknowledged_before_the_connections_are_gone_for_a_while(
    serving: Pod,
) -> None:
    await shrunk(serving)
    assert (await serving.settle(60)).acknowledged == 1
    serving.engine.open = {"app": 2, "b": 1}
    assert (await serving.settle(SETTLED_SECONDS - 0.1)).acknowledged == 1
    assert (await serving.settle(0.2)).acknowledged == 2


async def test_a_grant_that_was_left_by_a_step_is_acknowledged_only_after_the_whole_time_again(
    serving: Pod,
) -> None:
    serving.give(grant({"app": 2, "b": 1}, generation=2))
    await serving.settle(SETTLED_SECONDS - 0.1)
    serving.engine.open = {"app": 3, "b": 1}
    await serving.supervisor.tick()
    assert serving.engine.setup is not None
    assert serving.engine.setup.closing == {"app"}, "the look was followed by a step"
    serving.engine.open = {"app": 2, "b": 1}
    assert (await serving.settle(SETTLED_SECONDS - 0.1)).acknowledged == 1
    assert (await serving.settle(1)).acknowledged == 2


async def test_only_the_database_that_has_too_many_closes_and_opens_its_last_one_when_that_is_safe(
    serving: Pod,
) -> None:
    before = lines(serving)["b"]
    await shrunk(serving)
    assert " pool_size=2 max_db_connections=1 server_lifetime=1 " in lines(serving)["app"]
    assert lines(serving)["b"] == before
    serving.engine.open = {"app": 1, "b": 1}
    await serving.settle(SETTLED_SECONDS - 0.1)
    assert " pool_size=2 max_db_connections=1 connect" in lines(serving)["app"]
    await serving.settle(0.2)
    assert " pool_size=2 max_db_connections=2 connect" in lines(serving)["app"]
    assert lines(serving)["b"] == before


async def test_while_something_closes_the_loop_looks_often(serving: Pod) -> None:
    serving.engine.open, serving.engine.greedy = {"app": 3, "b": 1}, {"app"}
    await serving.settle(SETTLED_SECONDS + 1)
    assert await serving.supervisor.tick() < 0.1
    serving.engine.greedy.clear()
    await serving.settle(SETTLED_SECONDS + 0.1)
    assert await serving.supervisor.tick() == 1.0


async def test_where_something_closes_for_long_the_loop_looks_less_often_until_the_next_grant(
    serving: Pod,
) -> None:
    """A transaction or session that is in the way may last for hours, and each look costs the engine's CPU."""
    await shrunk(serving)
    await serving.settle(BUSY_SECONDS)
    assert await serving.supervisor.tick() == LONG_TICK_SECONDS
    serving.give(grant({"app": 1, "b": 1}, generation=3))
    await serving.settle(0.1)
    assert await serving.supervisor.tick() == BUSY_TICK_SECONDS


async def test_after_a_calm_the_loop_looks_often_again(serving: Pod) -> None:
    await shrunk(serving)
    await serving.settle(BUSY_SECONDS)
    serving.engine.open = {"app": 2, "b": 1}
    await serving.settle(3)
    serving.engine.greedy = {"app"}
    await serving.settle(0.1)
    assert await serving.supervisor.tick() == BUSY_TICK_SECONDS


async def test_every_client_waits_while_the_engine_is_paused_so_the_loop_never_looks_less_often(
    serving: Pod,
) -> None:
    serving.give(grant({"app": 3, "b": 1}, generation=2, mode=Mode.PAUSE))
    serving.engine.open = {"app": 3}
    await serving.settle(BUSY_SECONDS + 1)
    assert serving.engine.paused
    assert await serving.supervisor.tick() == BUSY_TICK_SECONDS


async def test_a_reload_in_the_middle_of_closing_does_not_end_it(serving: Pod) -> None:
    await shrunk(serving)
    serving.engine.told.clear()
    serving.secret(username="app", password="new")
    await serving.settle(0.1)
    assert serving.engine.told == [("apply", {"app": 2, "b": 1})]
    assert "server_lifetime=1" in lines(serving)["app"]


async def test_an_older_grant_an_altered_one_and_none_change_nothing_and_are_told(serving: Pod) -> None:
    serving.give(grant({"app": 1, "b": 1}, generation=2))
    await serving.settle(1)
    for text, words in [
        (grant({"app": 9, "b": 1}, generation=1).model_dump_json(), "older"),
        (grant({"app": 9, "b": 1}, generation=2).model_dump_json(), "altered"),
        ("", "gone"),
        ("{}", "not a grant"),
        ("{", "not a grant"),
        (
            grant({"app": 9, "b": 1}, generation=3).model_copy(update={"uid": "a-twin"}).model_dump_json(),
            "a-twin",
        ),
    ]:
        serving.give(text)
        said = await serving.settle(1)
        assert (said.generation, said.cap) == (2, 2)
        assert [(words in problem.text, problem.reason) for problem in said.problems] == [
            (True, "GrantRefused")
        ]


async def test_a_restarted_container_waits_for_its_backends_and_comes_back_on_its_last_grant(
    serving: Pod,
) -> None:
    serving.give("")
    serving.boot()
    await serving.settle(UNDETECTED_HOLD_SECONDS - 0.1)
    assert serving.engine.told == []
    assert serving.unready == "waiting for backends of an earlier engine to end"
    said = await serving.settle(1)
    assert serving.engine.told[0] == ("start", {"app": 3, "b": 1})
    assert (said.generation, said.acknowledged, said.ready) == (1, 1, True)


async def test_a_pod_that_gives_up_everything_has_nothing_once_it_has_drained(serving: Pod) -> None:
    serving.engine.open = {"app": 2}
    serving.give(grant({"app": 0, "b": 0}, generation=2))
    said = await serving.settle(1)
    assert (said.acknowledged, said.servers[0].cap) == (1, 4)
    serving.engine.open = {}
    said = await serving.settle(1)
    assert (said.acknowledged, said.servers[0].cap) == (2, 0)


async def test_a_failure_of_the_agent_itself_is_told_and_does_not_end_process_1(
    serving: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken() -> Any:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(serving.engine, "observe", broken)
    assert await serving.supervisor._safe_tick() > 0
    assert [problem.text for problem in state(serving.supervisor.facts()).problems] == [
        "the agent failed: RuntimeError: unforeseen"
    ]
    monkeypatch.undo()
    await serving.supervisor._safe_tick()
    assert state(serving.supervisor.facts()).problems == ()


async def test_a_failure_of_the_agent_that_has_passed_is_not_told_of_a_pod_without_an_engine(
    pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Inputs, "read", lambda _: 1 / 0)
        await pod.supervisor._safe_tick()
    assert [problem.reason for problem in state(pod.supervisor.facts()).problems] == ["EngineFailed"]
    await pod.supervisor._safe_tick()
    assert state(pod.supervisor.facts()).problems == ()


async def test_the_monitors_connection_is_the_servers_and_its_entry_none_of_the_clients_databases(
    watched: Pod,
) -> None:
    watched.engine.open = {"app": 2, "pgpool_monitor": 1}
    said = await watched.settle(1)
    assert watched.engine.told == [("start", {"app": 3, "pgpool_monitor": 1})]
    assert said.acknowledged == 1
    assert [state.name for state in said.databases] == ["app"]
    assert said.servers[0].open == 3
    watched.give(grant({"app": 3}, generation=2))
    assert (await watched.settle(1)).acknowledged == 1


async def test_what_scaling_has_to_know_is_in_the_state(
    serving: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgpool_pooler.agent.supervisor.cpu_available", lambda threads: 0.1 * threads)
    serving.engine.status = EngineStatus(
        max_clients=5000, transactions=7, busy_seconds=3.0, query_seconds=2.0
    )
    said = await serving.settle()
    assert (said.max_clients, said.transactions, said.busy_seconds, said.query_seconds) == (5000, 7, 3.0, 2.0)
    assert said.cpu_available == 0.1
