"""How an engine ends, and a pod that leaves: the loop with a fake engine."""

import asyncio

import pytest

from pgpool_pooler.agent.drain import UNREADY_SECONDS
from pgpool_pooler.agent.hold import HOLD_SECONDS, UNDETECTED_HOLD_SECONDS
from pgpool_pooler.agent.reach import Answer
from pgpool_pooler.agent.report import state
from pgpool_pooler.contract import Phase
from pgpool_pooler.engines.base import FailureKind, ServerFailure

from .builders import config, database, grant
from .pod import DRAIN_SECONDS, Pod, drained, identity, moved_with_force, shrunk


async def test_a_parameter_of_the_start_restarts_the_engine_gently_and_after_the_hold(serving: Pod) -> None:
    serving.configure(config(database("app"), database("b"), parameters={"pkt_buf": 8192}))
    await serving.settle()
    await drained(serving)
    assert serving.engine.told == ["stop accepting", "finish"]
    await serving.settle(UNDETECTED_HOLD_SECONDS + 1)
    assert serving.engine.told[-1] == ("start", {"app": 3, "b": 1})


async def test_an_engine_that_drains_for_a_restart_still_shrinks(serving: Pod) -> None:
    serving.configure(config(database("app"), database("b"), parameters={"pkt_buf": 8192}))
    await serving.settle()
    serving.give(grant({"app": 1, "b": 1}, generation=2))
    await serving.settle()
    assert serving.engine.told == [("apply", {"app": 1, "b": 1})]


async def test_an_engine_that_ended_clean_is_followed_by_the_next_one_as_if_the_server_looked(
    serving: Pod,
) -> None:
    serving.configure(config(database("app"), database("b"), parameters={"pkt_buf": 8192}))
    await serving.settle()
    await drained(serving)
    await serving.settle(HOLD_SECONDS - 0.1)
    assert serving.engine.told == ["stop accepting", "finish"]
    await serving.settle(0.2)
    assert serving.engine.told[-1] == ("start", {"app": 3, "b": 1})


async def test_an_engine_that_did_not_answer_and_has_drained_is_no_problem(serving: Pod) -> None:
    serving.configure(config(database("app"), database("b"), parameters={"pkt_buf": 8192}))
    await serving.settle()
    serving.engine.mute = True
    await serving.settle(1)
    serving.engine.mute = False
    await drained(serving)
    assert state(serving.supervisor.facts()).problems == ()


async def test_a_pod_that_leaves_fails_readiness_first_and_then_drains(serving: Pod) -> None:
    serving.supervisor.leave()
    started = serving.clock.now()
    said = await serving.settle()
    assert (said.ready, said.phase) == (False, Phase.DRAINING)
    assert serving.engine.told == []
    await drained(serving)
    assert serving.clock.now() - started >= UNREADY_SECONDS
    assert serving.engine.told == ["stop accepting", "finish"]
    await serving.supervisor.run()


async def test_a_pod_that_leaves_still_shrinks(serving: Pod) -> None:
    serving.supervisor.leave()
    serving.give(grant({"app": 1, "b": 1}, generation=2))
    await serving.settle()
    assert ("apply", {"app": 1, "b": 1}) in serving.engine.told


async def test_what_an_engine_had_that_died_while_it_was_drained_is_given_back_after_the_hold(
    serving: Pod,
) -> None:
    await shrunk(serving)
    serving.supervisor.leave()
    await serving.settle()
    serving.engine.running = serving.engine.clean = False
    assert (await serving.settle(1)).acknowledged == 1
    await drained(serving)
    assert (await serving.settle(UNDETECTED_HOLD_SECONDS - 0.1)).acknowledged == 1
    assert (await serving.settle(1)).acknowledged == 2


async def test_a_pod_that_is_drained_in_the_middle_of_closing_rests(serving: Pod) -> None:
    await shrunk(serving)
    serving.supervisor.leave()
    await serving.settle()
    await drained(serving)
    said = await serving.settle(UNDETECTED_HOLD_SECONDS + 1)
    assert (said.phase, said.acknowledged, said.problems) == (Phase.STOPPED, 2, ())
    assert await serving.supervisor.tick() == 1.0


async def test_a_pod_whose_engine_ended_clean_has_left_nothing(serving: Pod) -> None:
    serving.supervisor.leave()
    await serving.settle()
    await drained(serving)
    assert await serving.supervisor.run()


async def test_a_pod_that_cut_a_query_off_may_have_left_something(serving: Pod) -> None:
    serving.engine.clean = False
    serving.supervisor.leave()
    await serving.settle()
    await drained(serving)
    assert not await serving.supervisor.run()


@pytest.mark.parametrize("notices", [True, False])
async def test_a_pod_whose_engine_crashed_may_have_left_something_as_long_as_the_server_may_not_have_noticed(
    serving: Pod, *, notices: bool
) -> None:
    serving.enquiries.identity = identity(detects=notices)
    await serving.settle(1)
    serving.engine.running = False
    await serving.settle()
    serving.supervisor.leave()
    assert not await serving.supervisor.run()
    serving.clock.time += UNDETECTED_HOLD_SECONDS
    assert await serving.supervisor.run() is notices


async def test_a_clean_end_says_nothing_of_an_engine_that_crashed_before(serving: Pod) -> None:
    serving.engine.running = False
    await serving.settle(UNDETECTED_HOLD_SECONDS + 1)
    assert serving.engine.running
    serving.supervisor.leave()
    await serving.settle()
    await drained(serving)
    assert not await serving.supervisor.run()


async def test_a_pod_that_came_back_without_an_engine_may_have_left_something(serving: Pod) -> None:
    serving.boot()
    serving.supervisor.leave()
    assert not await serving.supervisor.run()


@pytest.mark.parametrize("notices", [True, False])
async def test_a_pod_that_cut_queries_off_to_move_may_have_left_something_where_that_is_not_noticed(
    serving: Pod, *, notices: bool
) -> None:
    await moved_with_force(serving, notices=notices)
    serving.supervisor.leave()
    await serving.settle()
    await drained(serving)
    assert await serving.supervisor.run() is notices


async def test_what_a_pod_cut_off_to_move_it_need_not_vouch_for_once_it_has_given_that_back(
    serving: Pod,
) -> None:
    await moved_with_force(serving, notices=False)
    assert (await serving.settle(UNDETECTED_HOLD_SECONDS + 1)).acknowledged == 2
    serving.supervisor.leave()
    await serving.settle()
    await drained(serving)
    assert await serving.supervisor.run()


@pytest.mark.parametrize("acknowledged", [1, 2])
async def test_what_an_engine_left_on_the_server_that_a_pod_moved_to_it_has_to_vouch_for(
    serving: Pod, acknowledged: int
) -> None:
    await moved_with_force(serving, notices=False)
    if acknowledged == 2:
        await serving.settle(UNDETECTED_HOLD_SECONDS + 1)
    serving.engine.running = False
    assert (await serving.settle(0.1)).acknowledged == acknowledged
    assert (await serving.settle(UNDETECTED_HOLD_SECONDS + 2)).acknowledged == 2
    serving.supervisor.leave()
    await serving.settle()
    await drained(serving)
    assert not await serving.supervisor.run()


@pytest.mark.parametrize("moves", [True, False])
async def test_what_an_earlier_life_left_is_vouched_for_until_the_pod_has_left_that_server(
    serving: Pod, *, moves: bool
) -> None:
    serving.boot()
    assert (await serving.settle(UNDETECTED_HOLD_SECONDS + 1)).acknowledged == 1
    serving.give(grant({"app": 2, "b": 1}, generation=2, host="10.0.0.2" if moves else "10.0.0.1"))
    assert (await serving.settle(1)).acknowledged == 2
    serving.supervisor.leave()
    await serving.settle()
    await drained(serving)
    assert await serving.supervisor.run() is moves


async def pass_time(pod: Pod, seconds: float) -> None:
    """Let the loop, and what waits for the clock beside it, run for so long."""
    end = pod.clock.now() + seconds
    while pod.clock.now() < end:
        pod.clock.time += 0.25
        await pod.settle()
        async with pod.supervisor.changed:
            pod.supervisor.changed.notify_all()
        await asyncio.sleep(0)


@pytest.fixture
async def leaving(serving: Pod, monkeypatch: pytest.MonkeyPatch) -> Pod:
    """A pod that is out of its Service soon, and then loses its server."""

    async def sleep(seconds: float) -> None:
        end = serving.clock.now() + seconds
        async with serving.supervisor.changed:
            await serving.supervisor.changed.wait_for(lambda: serving.clock.now() >= end)

    monkeypatch.setattr(serving.clock, "sleep", sleep)
    serving.supervisor.leave()
    await pass_time(serving, UNREADY_SECONDS / 2)
    serving.supervisor.server_failed(ServerFailure(FailureKind.UNREACHABLE, "app", "app", "connect failed"))
    await pass_time(serving, UNREADY_SECONDS * 2)
    assert serving.engine.told == ["pause"]
    return serving


async def test_a_pod_that_leaves_in_an_outage_lets_its_clients_wait_for_the_server(leaving: Pod) -> None:
    leaving.enquiries.answer(Answer.ACCEPTS)
    await pass_time(leaving, 2)
    assert leaving.engine.told == ["pause", "resume", "stop accepting", "finish"]


async def test_a_pod_that_leaves_waits_for_no_server_longer_than_a_drain_may_take(leaving: Pod) -> None:
    await pass_time(leaving, DRAIN_SECONDS - UNREADY_SECONDS * 2)
    assert leaving.engine.told == ["pause"]
    await pass_time(leaving, UNREADY_SECONDS)
    assert leaving.engine.told[:2] == ["pause", "stop accepting"]
    assert not leaving.engine.running
