"""The budget holds whatever breaks in a pod: its memory, its engine, its agent. The loop with a fake engine."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pgpool_pooler.agent.acknowledge import SETTLED_SECONDS
from pgpool_pooler.agent.hold import MUTE_SECONDS, STABLE_SECONDS, UNDETECTED_HOLD_SECONDS
from pgpool_pooler.agent.metrics import exposition
from pgpool_pooler.agent.pace import BUSY_TICK_SECONDS
from pgpool_pooler.agent.store import AcceptedConfig, Store
from pgpool_pooler.contract import Grant, Phase, PoolMode, UserRule
from pgpool_pooler.engines.base import EngineError, EngineRejected, Setup

from .builders import config, database, grant, material, setup
from .pod import Pod

SOURCES = Path(__file__).parents[3] / "pooler"


def metric(pod: Pod, name: str) -> float:
    lines = exposition(pod.supervisor.facts).decode().splitlines()
    return float(next(line for line in lines if line.startswith(f"{name}{{")).split()[-1])


async def held_back(pod: Pod) -> None:
    """A pod that has just begun to wait starts no engine before the longest wait is over, and then does."""
    await pod.settle(UNDETECTED_HOLD_SECONDS - 0.1)
    assert pod.engine.told == []
    assert pod.unready == "waiting for backends of an earlier engine to end"
    await pod.settle(1)
    assert pod.engine.told[0][0] == "start"


async def test_each_refused_grant_counts_once_however_long_it_lies_there(serving: Pod) -> None:
    serving.give("{")
    await serving.settle(3)
    assert metric(serving, "pgpool_agent_grants_refused_total") == 1
    serving.give(grant({"app": 9}))
    await serving.settle(3)
    assert metric(serving, "pgpool_agent_grants_refused_total") == 2


async def test_a_grant_that_cannot_be_persisted_is_not_followed(
    serving: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Store, __: Grant, **___: bool) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "keep_grant", full)
        serving.give(grant({"app": 9, "b": 1}, generation=2))
        said = await serving.settle(1)
    assert serving.engine.told == []
    assert (said.generation, said.cap, said.ready) == (1, 4, True)
    assert ["No space left" in problem.text for problem in said.problems] == [True]
    assert (await serving.settle(1)).acknowledged == 2


async def test_a_configuration_that_cannot_be_persisted_serves_is_told_and_is_persisted_later(
    serving: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Store, __: AcceptedConfig) -> None:
        raise OSError(28, "No space left on device")

    started: list[Setup] = []
    lose_the_disk(serving)
    serving.boot()
    monkeypatch.setattr(serving.enquiries, "engine_started", started.append)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "keep_accepted", full)
        said = await serving.settle(UNDETECTED_HOLD_SECONDS + 1)
    assert len(started) == 1
    assert (said.ready, said.acknowledged) == (True, 1)
    assert [(p.field, p.reason, "No space left" in p.text) for p in said.problems] == [
        ("data", "NotPersisted", True)
    ]
    assert (await serving.settle(1)).problems == ()
    kept = Store(serving.layout.data, serving.layout.run).accepted()
    assert kept is not None
    assert kept.config_hash == said.config_hash


async def test_a_secret_that_cannot_be_kept_is_used_is_told_and_is_kept_later(
    serving: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pgpool_pooler.agent.inputs.write_durably", full)
        serving.secret(username="app", password="new")
        said = await serving.settle(2)
    assert [(p.field, p.reason, "No space left" in p.text) for p in said.problems] == [
        ("data", "NotPersisted", True)
    ]
    assert serving.engine.setup is not None
    assert serving.engine.setup.material.users[0].password == "new"
    assert (await serving.settle(1)).problems == ()
    serving.secret()
    serving.boot()
    await serving.settle(UNDETECTED_HOLD_SECONDS + 1)
    assert serving.engine.setup is not None
    assert serving.engine.setup.material.users[0].password == "new"


def lose_the_disk(pod: Pod) -> None:
    shutil.rmtree(pod.layout.data)
    pod.layout.data.mkdir()


def lose_the_memory(pod: Pod) -> None:
    shutil.rmtree(pod.layout.run)
    pod.layout.run.mkdir()


def damage_the_grant(pod: Pod) -> None:
    (pod.layout.data / "grant.json").write_bytes(b"\0" * 100)


@pytest.mark.parametrize("lose", [lose_the_disk, lose_the_memory, damage_the_grant])
async def test_a_pod_that_lost_what_it_knew_waits_for_the_backends_of_its_earlier_life(
    serving: Pod, lose: Callable[[Pod], None]
) -> None:
    lose(serving)
    serving.boot()
    await held_back(serving)
    assert (await serving.settle(1)).acknowledged == 1


async def test_who_has_no_memory_at_all_waits_if_it_is_not_the_pods_first_grant(serving: Pod) -> None:
    serving.give(grant({"app": 2, "b": 1}, generation=2))
    await serving.settle(1)
    lose_the_disk(serving)
    lose_the_memory(serving)
    serving.boot()
    await held_back(serving)


async def test_the_mark_of_a_life_is_there_before_the_engine_can_open_a_connection(serving: Pod) -> None:
    lose_the_disk(serving)
    lose_the_memory(serving)
    serving.boot()
    lived: list[bool] = []
    store = Store(serving.layout.data, serving.layout.run)

    def look(_: Setup) -> str:
        (serving.layout.data / "grant.json").unlink()
        lived.append(store.lived())
        return ""

    serving.engine.refuses = look
    await serving.settle(1)
    assert lived[0]


async def test_a_grant_that_came_while_the_agent_was_dead_counts_after_the_wait(serving: Pod) -> None:
    serving.give(grant({"app": 1, "b": 1}, generation=2))
    serving.boot()
    await held_back(serving)
    assert serving.engine.told == [("start", {"app": 1, "b": 1})]


def test_nothing_in_a_pod_ends_a_backend_of_the_server() -> None:
    texts = [path.read_text() for path in SOURCES.rglob("*.py")]
    assert texts
    assert not any("pg_terminate_backend" in text or "pg_cancel_backend" in text for text in texts)


async def test_a_pod_without_an_engine_gives_its_connections_back_only_when_its_backends_are_gone(
    serving: Pod,
) -> None:
    serving.engine.running = False
    serving.give(grant({}, generation=2, cap=0))
    said = await serving.settle(UNDETECTED_HOLD_SECONDS - 0.1)
    assert (said.generation, said.acknowledged) == (2, 1)
    assert (await serving.settle(1)).acknowledged == 2


@pytest.fixture
async def without_secret(pod: Pod) -> Pod:
    """A pod that is granted something and has nothing to run with."""
    pod.configure(config())
    pod.give(grant({"app": 6}))
    await pod.settle(3)
    return pod


async def test_a_pod_that_cannot_start_gives_back_what_is_taken_away(without_secret: Pod) -> None:
    without_secret.give(grant({"app": 1}, generation=2))
    said = await without_secret.settle(3)
    assert (said.acknowledged, said.ready) == (2, False)


@pytest.mark.parametrize(("shares", "acknowledged"), [((1,), 2), ((1, 7), 0), ((7,), 0)])
async def test_what_is_taken_away_is_given_back_after_a_restart_of_the_container_too(
    without_secret: Pod, shares: tuple[int, ...], acknowledged: int
) -> None:
    for generation, share in enumerate(shares, start=2):
        without_secret.give(grant({"app": share}, generation=generation))
        await without_secret.settle(SETTLED_SECONDS / 2)
    without_secret.boot()
    said = await without_secret.settle(UNDETECTED_HOLD_SECONDS + 1)
    assert (said.acknowledged, said.ready) == (acknowledged, False)


async def test_what_a_pod_that_cannot_start_is_given_is_not_in_force(without_secret: Pod) -> None:
    """A pod that acknowledges is one that has use for more."""
    assert (await without_secret.settle(3)).acknowledged == 0
    without_secret.give(grant({"app": 7}, generation=2))
    assert (await without_secret.settle(3)).acknowledged == 0


async def test_a_pod_whose_engine_is_refused_at_every_start_gives_back_when_its_backends_are_gone(
    serving: Pod,
) -> None:
    serving.engine.running, serving.engine.refuses = False, lambda _: "bad"
    serving.give(grant({"app": 1, "b": 1}, generation=2))
    assert (await serving.settle(UNDETECTED_HOLD_SECONDS - 0.1)).acknowledged == 1
    said = await serving.settle(20)
    assert serving.engine.told[-1] == ("start", {"app": 1, "b": 1})
    assert (said.acknowledged, said.ready) == (2, False)


async def test_a_pod_without_an_engine_gives_nothing_back_that_the_server_has_not_noticed(
    serving: Pod,
) -> None:
    serving.engine.running, serving.engine.refuses, serving.unconfirmed = False, lambda _: "bad", 1
    serving.give(grant({"app": 1, "b": 1}, generation=2))
    assert (await serving.settle(60)).acknowledged == 1


async def test_an_engine_that_crashes_again_and_again_is_told_while_it_serves_too(serving: Pod) -> None:
    serving.engine.last_words = "out of memory"
    for _ in range(2):
        serving.engine.running = False
        said = await serving.settle(UNDETECTED_HOLD_SECONDS + 2)
        assert said.phase is Phase.SERVING
    assert [(p.field, p.reason, "out of memory" in p.text) for p in said.problems] == [
        ("engine", "EngineFailed", True)
    ]
    assert metric(serving, "pgpool_agent_engine_crashes_total") == 2
    serving.clock.time += STABLE_SECONDS
    assert (await serving.settle(1)).problems == ()


async def test_each_crash_is_waited_for_anew(serving: Pod) -> None:
    for _ in range(3):
        serving.engine.running = False
        serving.engine.told.clear()
        await held_back(serving)


@pytest.mark.parametrize("failure", [EngineError("no answer"), EngineRejected("not as wanted", ran=True)])
async def test_a_start_that_went_wrong_after_the_engine_ran_is_waited_for_and_not_repeated_at_once(
    serving: Pod, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    serving.boot()
    starts = 0

    async def start(_: Setup) -> None:
        nonlocal starts
        starts += 1
        raise failure

    monkeypatch.setattr(serving.engine, "start", start)
    await serving.settle(UNDETECTED_HOLD_SECONDS + 0.1)
    assert starts == 1
    await serving.settle(UNDETECTED_HOLD_SECONDS - 0.5)
    assert starts == 1
    await serving.settle(1)
    assert starts == 2


async def test_a_start_that_came_to_nothing_is_told_as_the_engines_failure_in_its_words(
    serving: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving.boot()

    async def start(_: Setup) -> None:
        raise EngineError("PgBouncer ended at its start")

    monkeypatch.setattr(serving.engine, "start", start)
    said = await serving.settle(UNDETECTED_HOLD_SECONDS + 0.1)
    assert [(p.field, p.reason, p.text) for p in said.problems] == [
        ("engine", "EngineFailed", "PgBouncer ended at its start (no error said)")
    ]


async def test_an_engine_that_does_not_answer_is_not_ready_and_nothing_of_it_is_acknowledged(
    serving: Pod,
) -> None:
    serving.engine.mute = True
    serving.give(grant({"app": 3, "b": 1}, generation=2))
    said = await serving.settle(20)
    assert (said.generation, said.acknowledged, said.ready) == (2, 1, False)
    assert serving.unready == "the engine does not answer"
    serving.engine.mute = False
    said = await serving.settle(SETTLED_SECONDS + 0.1)
    assert (said.acknowledged, said.ready, said.problems) == (2, True, ())
    assert "kill" not in serving.engine.told


async def test_a_shrink_that_a_frozen_engine_never_did_is_done_when_it_answers(serving: Pod) -> None:
    serving.engine.open = {"app": 3, "b": 1}
    serving.engine.mute = True
    serving.give(grant({"app": 1, "b": 1}, generation=2))
    assert (await serving.settle(20)).acknowledged == 1
    serving.engine.mute = False
    await serving.settle(SETTLED_SECONDS + 0.1)
    assert ("apply", {"app": 1, "b": 1}) in serving.engine.told
    serving.engine.open = {"app": 1, "b": 1}
    assert (await serving.settle(SETTLED_SECONDS + 0.1)).acknowledged == 2


async def test_an_engine_that_was_ended_for_its_silence_is_waited_for(serving: Pod) -> None:
    serving.engine.mute = True
    await serving.settle()
    serving.clock.time += MUTE_SECONDS + 1
    said = await serving.settle()
    assert serving.engine.told == ["kill"]
    assert ["did not answer for 30 s" in problem.text for problem in said.problems] == [True]
    serving.engine.mute = False
    serving.engine.told.clear()
    await held_back(serving)


async def test_a_step_that_the_engine_does_not_take_is_not_repeated_without_a_pause(
    serving: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse() -> None:
        raise EngineError("PAUSE: refused")

    monkeypatch.setattr(serving.engine, "pause", refuse)
    serving.give(grant({}, generation=2, cap=0))
    assert await serving.supervisor.tick() == BUSY_TICK_SECONDS


async def test_what_a_cut_off_has_not_ended_yet_is_not_cut_off_again_without_a_pause(
    serving: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def in_vain() -> None:
        serving.engine.told.append("abort busy")

    monkeypatch.setattr(serving.engine, "abort_busy", in_vain)
    serving.engine.open = {"app": 1}
    serving.give(grant({"app": 3, "b": 1}, generation=2, host="10.0.0.2"))
    await serving.settle(1)
    serving.clock.time += 40
    assert await serving.supervisor.tick() == BUSY_TICK_SECONDS
    assert serving.engine.told[-1] == "abort busy"


async def test_a_change_that_had_no_answer_counts_as_made_and_as_not_made(serving: Pod) -> None:
    taken = serving.engine.apply

    async def lost(wanted: Setup) -> None:
        await taken(wanted)
        raise EngineError("no answer")

    serving.engine.open = {"app": 1, "b": 1}
    serving.give(grant({"app": 1, "b": 3}, generation=2, cap=4))
    await serving.supervisor.tick()
    serving.engine.apply = lost  # type: ignore[method-assign, assignment]
    await serving.supervisor.tick()
    serving.engine.apply = taken  # type: ignore[method-assign]
    serving.give(grant({"app": 3, "b": 1}, generation=3, cap=4))
    said = await serving.settle(1)
    assert serving.engine.told == [
        ("apply", {"app": 1, "b": 1}),
        ("apply", {"app": 1, "b": 3}),
        ("apply", {"app": 1, "b": 1}),
        ("apply", {"app": 3, "b": 1}),
    ]
    assert said.acknowledged == 3


async def test_an_engine_that_may_have_gone_to_session_mode_counts_as_having_had_sessions(
    serving: Pod,
) -> None:
    async def lost(_: Setup) -> None:
        raise EngineError("no answer")

    taken = serving.engine.apply
    serving.engine.apply = lost  # type: ignore[method-assign, assignment]
    serving.configure(config(database("app", PoolMode.SESSION), database("b")))
    await serving.settle(1)
    serving.engine.apply = taken  # type: ignore[method-assign]
    serving.configure(config(database("app"), database("b")))
    await serving.settle(1)
    assert serving.engine.setup is not None
    assert serving.engine.setup.pool_mode is PoolMode.SESSION


async def test_a_change_that_had_no_answer_is_made_again_though_it_may_be_in_force(serving: Pod) -> None:
    taken = serving.engine.apply

    async def lost(_: Setup) -> None:
        raise EngineError("no answer")

    serving.give(grant({"app": 1, "b": 3}, generation=2, cap=4))
    await serving.supervisor.tick()
    serving.engine.apply = lost  # type: ignore[method-assign, assignment]
    await serving.supervisor.tick()
    serving.engine.apply = taken  # type: ignore[method-assign]
    assert (await serving.settle(1)).acknowledged == 2
    assert serving.engine.told == [("apply", {"app": 1, "b": 1}), ("apply", {"app": 1, "b": 3})]


@pytest.mark.parametrize("survives", [True, False])
async def test_a_drain_that_fails_leaves_no_engine_and_the_pod_can_end(
    serving: Pod, monkeypatch: pytest.MonkeyPatch, *, survives: bool
) -> None:
    async def fail() -> None:
        serving.engine.running = survives
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(serving.engine, "stop_accepting", fail)
    monkeypatch.setattr("pgpool_pooler.agent.ending.drain", lambda engine, *_: engine.stop_accepting())
    serving.supervisor.leave()
    await serving.settle()
    async with asyncio.timeout(10):
        await serving.supervisor.run()
    assert not serving.engine.running
    assert serving.engine.told == (["kill"] if survives else [])


async def test_after_a_drain_that_failed_an_engine_starts_again(
    serving: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr("pgpool_pooler.agent.ending.drain", fail)
    serving.configure(config(database("app"), database("b"), parameters={"pkt_buf": 8192}))
    await serving.settle()
    await asyncio.sleep(0)
    await serving.settle(UNDETECTED_HOLD_SECONDS - 0.1)
    assert serving.engine.told == ["kill"]
    await serving.settle(1)
    assert serving.engine.told[1] == ("start", {"app": 3, "b": 1})


async def test_time_in_which_the_agent_was_frozen_acknowledges_nothing(serving: Pod) -> None:
    serving.give(grant({"app": 1, "b": 1}, generation=2))
    serving.engine.open = {"app": 1, "b": 1}
    await serving.settle(SETTLED_SECONDS / 2)
    serving.engine.open = {"app": 2, "b": 1}
    serving.clock.time += 20
    assert (await serving.settle()).acknowledged == 1
    serving.engine.open = {"app": 1, "b": 1}
    assert (await serving.settle()).acknowledged == 1
    assert (await serving.settle(SETTLED_SECONDS + 0.1)).acknowledged == 2


async def test_the_newest_of_the_grants_that_came_while_the_agent_was_frozen_counts(serving: Pod) -> None:
    for generation, app in ((2, 2), (3, 1)):
        serving.give(grant({"app": app, "b": 1}, generation=generation))
    serving.clock.time += 20
    assert (await serving.settle(1)).acknowledged == 3
    assert serving.engine.told == [("apply", {"app": 1, "b": 1})]


def test_the_wait_is_the_long_one_where_any_client_may_undo_what_makes_it_short() -> None:
    sessions = config(database("app"), database("b", PoolMode.SESSION))
    assert setup({"app": 1, "b": 1}, material=material(config=sessions)).pool_mode is PoolMode.SESSION
    a_user = config(database("app"), users=(UserRule(name="app", pool_mode=PoolMode.SESSION),))
    assert setup({"app": 1}, material=material(config=a_user)).pool_mode is PoolMode.SESSION
    assert setup({"app": 1}, material=material("app")).pool_mode is PoolMode.TRANSACTION
