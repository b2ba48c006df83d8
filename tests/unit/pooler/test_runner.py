"""The pod's one engine: what it refuses, how it ends, and how long the next one waits."""

import pytest

from pgpool_pooler.agent.hold import HOLD_SECONDS, UNDETECTED_HOLD_SECONDS
from pgpool_pooler.contract import Phase, PoolMode
from pgpool_pooler.engines.base import EngineError, Setup

from .builders import config, database, grant
from .pod import Pod, identity, lines, moved_with_force, shrunk


async def test_what_the_engine_refuses_is_told_and_the_old_configuration_serves_on(serving: Pod) -> None:
    before = (await serving.settle()).config_hash
    serving.engine.refuses = lambda setup: "bad" if setup.material.config.parameters else ""
    serving.configure(config(database("app"), database("b"), parameters={"max_client_conn": 9}))
    said = await serving.settle(3)
    assert said.config_hash == before
    assert [(p.field, p.text, p.reason) for p in said.problems] == [
        ("pgbouncer", "app-rw-6d4f-x2k4p: bad", "EngineRejected")
    ]
    assert len(serving.engine.told) == 1
    assert said.ready


async def test_what_the_engine_refused_and_then_took_is_not_told_any_more(pod: Pod) -> None:
    """A port that is taken, for example, until the engine before has gone."""
    refusals = ["cannot listen on unix:/run/pgpool"]
    pod.engine.refuses = lambda _: refusals.pop() if refusals else ""
    pod.configure(config())
    pod.secret(username="app", password="secret")
    pod.give(grant({"app": 3}))
    assert [problem.reason for problem in (await pod.settle()).problems] == ["EngineRejected"]
    said = await pod.settle(UNDETECTED_HOLD_SECONDS + 1)
    assert (said.ready, said.problems) == (True, ())


async def test_a_refused_parameter_does_not_stop_a_new_password_or_a_new_share(serving: Pod) -> None:
    serving.engine.refuses = lambda setup: "bad" if setup.material.config.parameters else ""
    serving.configure(config(database("app"), database("b"), parameters={"max_client_conn": 9}))
    await serving.settle(2)
    serving.secret(username="app", password="new")
    serving.give(grant({"app": 1, "b": 1}, generation=2))
    said = await serving.settle(2)
    assert serving.engine.setup is not None
    assert serving.engine.setup.material.users[0].password == "new"
    assert said.acknowledged == 2
    assert [problem.reason for problem in said.problems] == ["EngineRejected"]


async def test_a_crashed_engine_is_started_again_after_the_hold_and_told(serving: Pod) -> None:
    serving.enquiries.identity = identity(detects=True)
    await serving.settle(1)
    serving.engine.running, serving.engine.last_words = False, "out of memory"
    said = await serving.settle()
    assert (said.ready, said.phase) == (False, Phase.GATED)
    assert ["out of memory" in problem.text for problem in said.problems] == [True]
    said = await serving.settle(HOLD_SECONDS + 0.5)
    assert (said.ready, said.problems) == (True, ())


async def test_that_an_engine_crashed_is_not_told_any_more_once_none_is_wanted(serving: Pod) -> None:
    serving.engine.running = False
    serving.give(grant({}, generation=2, cap=0))
    assert [problem.reason for problem in (await serving.settle(1)).problems] == ["EngineFailed"]
    assert (await serving.settle(UNDETECTED_HOLD_SECONDS + 1)).problems == ()


async def test_a_crash_in_the_middle_of_closing_is_told_and_the_next_engine_has_nothing_to_close(
    serving: Pod,
) -> None:
    await shrunk(serving)
    serving.engine.running, serving.engine.last_words, serving.engine.open = False, "out of memory", {}
    said = await serving.settle(0.5)
    assert ["out of memory" in problem.text for problem in said.problems] == [True]
    await serving.settle(UNDETECTED_HOLD_SECONDS + 1)
    assert serving.engine.told[-1] == ("start", {"app": 2, "b": 1})
    assert "server_lifetime" not in lines(serving)["app"]


async def test_an_engine_that_stays_mute_is_ended(serving: Pod) -> None:
    serving.engine.mute = True
    said = await serving.settle(1)
    assert [problem.reason for problem in said.problems] == ["EngineFailed"]
    serving.clock.time += 31
    await serving.settle()
    assert "kill" in serving.engine.told


async def test_the_wait_is_short_where_the_server_notices_dead_clients(serving: Pod) -> None:
    serving.enquiries.identity = identity(detects=True)
    await serving.settle(1)
    serving.boot()
    await serving.settle(HOLD_SECONDS - 0.1)
    assert serving.engine.told == []
    await serving.settle(0.2)
    assert serving.engine.told


@pytest.mark.parametrize("starts", [True, False])
@pytest.mark.parametrize(
    ("mode", "host", "hold"),
    [
        (PoolMode.TRANSACTION, "10.0.0.1", HOLD_SECONDS),
        (PoolMode.SESSION, "10.0.0.1", UNDETECTED_HOLD_SECONDS),
        (PoolMode.TRANSACTION, "10.0.0.2", UNDETECTED_HOLD_SECONDS),
    ],
)
async def test_what_was_read_in_another_mode_or_of_another_server_makes_no_wait_short(
    serving: Pod, mode: PoolMode, host: str, hold: float, *, starts: bool
) -> None:
    serving.enquiries.identity = identity(detects=True)
    await serving.settle(1)
    serving.enquiries.identity = None
    serving.configure(config(database("app", mode), database("b")))
    serving.give(grant({"app": 3, "b": 1}, generation=2, host=host))
    if starts:
        serving.boot()
    await serving.settle(HOLD_SECONDS + 1)
    serving.engine.running = False
    serving.engine.told.clear()
    await serving.settle(hold - 0.1)
    assert serving.engine.told == []
    await serving.settle(0.7)
    assert serving.engine.told == [("start", {"app": 3, "b": 1})]


@pytest.mark.parametrize(
    ("host", "hold"), [("10.0.0.1", HOLD_SECONDS), ("10.0.0.2", UNDETECTED_HOLD_SECONDS)]
)
async def test_what_was_read_of_another_server_makes_the_wait_after_a_failed_start_there_not_short(
    serving: Pod, monkeypatch: pytest.MonkeyPatch, host: str, hold: float
) -> None:
    serving.enquiries.identity = identity(detects=True)
    await serving.settle(1)
    serving.give(grant({"app": 3, "b": 1}, generation=2, host=host))
    serving.boot()
    starts: list[float] = []

    async def start(_: Setup) -> None:
        starts.append(serving.clock.now())
        raise EngineError("no answer")

    monkeypatch.setattr(serving.engine, "start", start)
    await serving.settle(HOLD_SECONDS + UNDETECTED_HOLD_SECONDS + 1)
    assert starts[1] - starts[0] == pytest.approx(hold, abs=0.5)


@pytest.mark.parametrize(("notices", "hold"), [(True, HOLD_SECONDS), (False, UNDETECTED_HOLD_SECONDS)])
async def test_a_move_that_cut_queries_off_is_not_acknowledged_while_they_may_run(
    serving: Pod, *, notices: bool, hold: float
) -> None:
    await moved_with_force(serving, notices=notices)
    assert serving.engine.told[-1] == "resume", "clients are served by the new one meanwhile"
    assert (await serving.settle(hold - 1)).acknowledged == 1
    assert (await serving.settle(2)).acknowledged == 2
