from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from pgpool_pooler.agent.acknowledge import SETTLED_SECONDS, Acknowledgement
from pgpool_pooler.agent.crowd import WINDOW_SECONDS, Crowd
from pgpool_pooler.agent.drain import CUT_OFF_SECONDS, drain
from pgpool_pooler.agent.hold import (
    HOLD_SECONDS,
    MUTE_SECONDS,
    STABLE_SECONDS,
    UNDETECTED_HOLD_SECONDS,
    Lives,
    backoff_seconds,
)
from pgpool_pooler.agent.lately import Highest, Recent
from pgpool_pooler.engines.base import EngineError

from .fakes import FakeClock, FakeEngine

Answer = TypeVar("Answer")


def test_a_generation_is_acknowledged_when_it_has_been_settled_long_enough() -> None:
    acknowledgement = Acknowledgement()
    acknowledgement.look(5, settled=True, now=0)
    acknowledgement.look(5, settled=True, now=SETTLED_SECONDS / 2)
    assert acknowledgement.generation == 0
    acknowledgement.look(5, settled=True, now=SETTLED_SECONDS)
    assert acknowledgement.generation == 5


def test_a_connection_that_shows_up_meanwhile_starts_the_wait_again() -> None:
    acknowledgement = Acknowledgement()
    acknowledgement.look(5, settled=True, now=0)
    acknowledgement.look(5, settled=False, now=0.1)
    acknowledgement.look(5, settled=True, now=0.15)
    acknowledgement.look(5, settled=True, now=SETTLED_SECONDS)
    assert acknowledgement.generation == 0


def test_each_generation_waits_for_itself() -> None:
    acknowledgement = Acknowledgement()
    acknowledgement.look(5, settled=True, now=0)
    acknowledgement.look(6, settled=True, now=SETTLED_SECONDS)
    assert acknowledgement.generation == 0


def test_what_was_seen_lately_is_the_highest_of_each_name() -> None:
    lately = Highest(SETTLED_SECONDS)
    assert lately.look({"app": 3, "b": 1}, 0) == {"app": 3, "b": 1}
    assert lately.look({"app": 2, "b": 2}, SETTLED_SECONDS) == {"app": 3, "b": 2}
    assert lately.look({"app": 2}, SETTLED_SECONDS + 0.1) == {"app": 3, "b": 2}
    assert lately.look({"app": 2}, 2 * SETTLED_SECONDS + 0.2) == {"app": 2}


def test_what_was_seen_holds_until_the_next_look_however_late_that_comes() -> None:
    """It may have closed just before."""
    lately = Highest(SETTLED_SECONDS)
    lately.look({"app": 3}, 0)
    assert lately.look({"app": 1}, 10 * SETTLED_SECONDS) == {"app": 3}
    assert lately.look({"app": 1}, 11 * SETTLED_SECONDS) == {"app": 3}
    assert lately.look({"app": 1}, 11 * SETTLED_SECONDS + 0.1) == {"app": 1}


def test_what_was_so_lately_was_so_until_the_look_after() -> None:
    lately = Recent(SETTLED_SECONDS)
    assert lately.look({"app"}, 0) == {"app"}
    assert lately.look({"b"}, 10 * SETTLED_SECONDS) == {"app", "b"}
    assert lately.look(frozenset(), 11 * SETTLED_SECONDS) == {"app", "b"}
    assert lately.look(frozenset(), 11 * SETTLED_SECONDS + 0.1) == {"b"}
    assert lately.look(frozenset(), 12 * SETTLED_SECONDS + 0.1) == set()


def test_a_crowd_is_the_largest_of_the_last_half_minute_and_one_user_is_none() -> None:
    crowd = Crowd()
    assert crowd.look({"app": 3, "lonely": 1}, 0) == {"app": 3}
    assert crowd.look({"app": 1}, WINDOW_SECONDS) == {"app": 3}
    assert crowd.look({"app": 2}, WINDOW_SECONDS + 1) == {"app": 3}
    assert crowd.look({"app": 2}, 2 * WINDOW_SECONDS + 1) == {"app": 2}


def test_a_new_pod_does_not_wait_and_a_restarted_one_does() -> None:
    assert not Lives(0, lived_before=False, detects_dead_clients=False).holding(0)
    restarted = Lives(0, lived_before=True, detects_dead_clients=True)
    assert restarted.holding(HOLD_SECONDS - 0.01)
    assert not restarted.holding(HOLD_SECONDS)


def test_where_the_server_does_not_look_for_dead_clients_the_wait_is_longer() -> None:
    lives = Lives(0, lived_before=True, detects_dead_clients=False)
    assert lives.holding(UNDETECTED_HOLD_SECONDS - 0.01)


def test_crashes_in_a_row_back_off_and_a_stable_engine_is_forgiven() -> None:
    lives = Lives(0, lived_before=False, detects_dead_clients=True)
    for _ in range(6):
        lives.crashed(0)
    assert lives.holding(backoff_seconds(6) - 0.01)
    lives.started(100)
    lives.answered(100 + STABLE_SECONDS)
    assert lives.crash_loop
    lives.answered(100 + STABLE_SECONDS + 1)
    assert not lives.crash_loop
    assert lives.all_crashes == 6


def test_the_wait_after_a_crash_doubles_up_to_half_a_minute() -> None:
    assert [backoff_seconds(crashes) for crashes in (0, 1, 2, 3, 6, 7, 50)] == [0, 0.5, 1, 2, 16, 30, 30]


def test_engines_that_died_of_one_cause_do_not_come_back_at_the_same_instant() -> None:
    lucky = Lives(0, lived_before=False, detects_dead_clients=True, chance=lambda: 0.0)
    unlucky = Lives(0, lived_before=False, detects_dead_clients=True, chance=lambda: 1.0)
    for lives in (lucky, unlucky):
        lives.crashed(0)
    assert not lucky.holding(backoff_seconds(1))
    assert unlucky.holding(backoff_seconds(1))
    assert not unlucky.holding(backoff_seconds(2))


def test_the_shorter_of_two_waits_does_not_end_the_longer_one() -> None:
    lives = Lives(0, lived_before=True, detects_dead_clients=False)
    lives.crashed(0)
    lives.ended(0, detects_dead_clients=True)
    assert lives.holding(UNDETECTED_HOLD_SECONDS - 0.01)


def test_an_engine_may_be_mute_for_a_while() -> None:
    lives = Lives(0, lived_before=False, detects_dead_clients=True)
    assert not lives.mute_too_long(0)
    assert lives.mute_too_long(MUTE_SECONDS + 1)
    lives.answered(40)
    assert not lives.mute_too_long(41)


async def test_a_drain_hangs_up_first_and_finishes_as_soon_as_the_clients_are_gone() -> None:
    engine, clock = FakeEngine(), FakeClock()
    engine.running = engine.expects_end = True
    assert await drain(engine, 60, clock)
    assert engine.told == ["stop accepting", "finish"]
    assert clock.now() == 1000.0


async def test_clients_that_are_always_busy_get_half_the_time_then_no_new_transaction() -> None:
    engine, clock = FakeEngine(), FakeClock()
    engine.running, engine.clients = True, 1
    await drain(engine, 60, clock)
    assert engine.told == ["stop accepting", "finish"]
    assert 1030 <= clock.now() < 1031


async def test_a_transaction_that_does_not_end_is_cut_off_in_the_end() -> None:
    engine, clock = FakeEngine(), FakeClock()
    engine.running = True

    async def never() -> None:
        engine.told.append("finish")

    engine.finish = never  # type: ignore[method-assign]
    assert not await drain(engine, 60, clock)
    assert engine.told == ["stop accepting", "finish", "finish", "abort busy", "kill"]
    assert 1060 <= clock.now() < 1061 + CUT_OFF_SECONDS


async def test_an_engine_whose_last_clients_are_cut_off_may_end_by_itself() -> None:
    engine, clock = FakeEngine(), FakeClock()
    engine.running, engine.expects_end, engine.clients = True, True, 1

    async def wait_for_clients() -> None:
        engine.told.append("finish")

    async def lose_clients() -> None:
        engine.told.append("abort busy")
        engine.running = False

    engine.finish = wait_for_clients  # type: ignore[method-assign]
    engine.abort_busy = lose_clients  # type: ignore[method-assign]
    assert await drain(engine, 60, clock)
    assert engine.told == ["stop accepting", "finish", "finish", "abort busy"]
    assert 1060 <= clock.now() < 1061


async def test_a_look_without_an_answer_takes_no_time_from_the_clients() -> None:
    engine, clock = FakeEngine(), FakeClock()
    engine.running, engine.clients = True, 1
    engine.observe = unheard_once(engine.observe)  # type: ignore[method-assign]
    await drain(engine, 60, clock)
    assert engine.told == ["stop accepting", "finish"]
    assert 1030 <= clock.now() < 1031


async def test_a_command_to_stop_without_an_answer_takes_no_time_from_the_clients() -> None:
    engine, clock = FakeEngine(), FakeClock()
    engine.running, engine.clients = True, 1
    engine.stop_accepting = unheard_once(engine.stop_accepting)  # type: ignore[method-assign]
    await drain(engine, 60, clock)
    assert engine.told == ["finish"]
    assert 1030 <= clock.now() < 1031


async def test_an_engine_that_did_not_hear_that_it_is_to_finish_is_told_again() -> None:
    """Else it would start transactions until the deadline, and they would be cut off."""
    engine, clock = FakeEngine(), FakeClock()
    engine.running, engine.clients = True, 1
    engine.finish = unheard_once(engine.finish)  # type: ignore[method-assign]
    await drain(engine, 60, clock)
    assert engine.told == ["stop accepting", "finish"]
    assert 1030 <= clock.now() < 1031


def unheard_once(
    command: Callable[[], Coroutine[Any, Any, Answer]],
) -> Callable[[], Coroutine[Any, Any, Answer]]:
    """The command, which has no answer at the first time: another one's timeout closed the console under it."""
    times = iter([1])

    async def maybe() -> Answer:
        if next(times, None):
            raise EngineError("no answer")
        return await command()

    return maybe


async def test_a_mute_engine_is_gone_in_the_end_too() -> None:
    engine, clock = FakeEngine(), FakeClock()
    engine.running = engine.mute = True
    await drain(engine, 60, clock)
    assert not engine.running
