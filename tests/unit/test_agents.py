"""What of a pod's state matters, how its demand is followed, and how often it is asked."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from pgpool_operator import agents
from pgpool_operator.agents import (
    BUSY_SECONDS,
    QUIET_SECONDS,
    UNSETTLED_SECONDS,
    Agents,
    Target,
    _pause,
    matters,
)
from pgpool_pooler.contract import DatabaseState, Phase, Problem, ServerIdentity, ServerState, State

TARGET = Target("a", "shop", "app-1", "127.0.0.1")


def here(**changes: Any) -> ServerState:
    said = {"host": "10.0.0.7", "port": 5432, "cap": 12, "open": 3, "active": 1, "reachable": True}
    return ServerState(**said | changes)


def database(**changes: Any) -> DatabaseState:
    said = {
        "name": "app",
        "limit": 12,
        "open": 3,
        "active": 0,
        "clients": 5,
        "waiting": 0,
        "max_wait_seconds": 0,
    }
    return DatabaseState(**said | changes)


def state(**changes: Any) -> State:
    said: dict[str, Any] = {
        "uid": "a",
        "pod": "app-1",
        "phase": Phase.SERVING,
        "ready": True,
        "generation": 4,
        "acknowledged": 4,
        "cap": 12,
        "servers": (here(),),
        "databases": (database(),),
    }
    return State(**said | changes)


IDENTITY = ServerIdentity(
    address="10.0.0.7",
    port=5432,
    started_at=datetime(2026, 11, 1, tzinfo=UTC),
    version="17.6",
    max_connections=100,
    reserved_connections=3,
    in_recovery=False,
    client_address="10.0.2.1",
    detects_dead_clients=True,
)


@pytest.mark.parametrize(
    "load",
    [
        {"clients": 7},
        {"waiting": 2},
        {"busy_seconds": 9.5},
        {"cpu_seconds": 1.5},
        {"databases": (database(active=3),)},
        {"servers": (here(open=9, active=9),)},
    ],
    ids=lambda load: str(*load),
)
def test_load_does_not_matter(load: dict[str, Any]) -> None:
    assert not matters(state(), state(**load))


@pytest.mark.parametrize(
    "news",
    [
        {"generation": 5},
        {"acknowledged": 3},
        {"phase": Phase.PAUSED},
        {"ready": False},
        {"config_hash": "c0ffee"},
        {"secrets_version": "s2"},
        {"problems": (Problem(field="auth", text="no key password", reason="SecretInvalid"),)},
        {"servers": ()},
        {"servers": (here(cap=6),)},
        {"servers": (here(reachable=False),)},
        {"servers": (here(error="timeout"),)},
        {"servers": (here(identity=IDENTITY),)},
        {"servers": (here(others=(IDENTITY,)),)},
    ],
    ids=str,
)
def test_everything_else_matters(news: dict[str, Any]) -> None:
    assert matters(state(), state(**news))


def test_the_time_when_a_server_was_asked_does_not_matter() -> None:
    asked = [IDENTITY.model_copy(update={"asked_at": datetime(2026, 11, day, tzinfo=UTC)}) for day in (2, 3)]
    before, after = (state(servers=(here(identity=one, others=(one,)),)) for one in asked)
    assert not matters(before, after)


@pytest.mark.parametrize(
    ("said", "expected", "pause"),
    [
        pytest.param(None, 0, BUSY_SECONDS, id="silent"),
        pytest.param(state(), 4, QUIET_SECONDS, id="quiet"),
        pytest.param(state(databases=(database(active=1),)), 4, BUSY_SECONDS, id="active"),
        pytest.param(state(databases=(database(waiting=1),)), 4, BUSY_SECONDS, id="waiting"),
        pytest.param(state(), 5, UNSETTLED_SECONDS, id="a grant is on its way"),
        pytest.param(state(generation=5), 0, UNSETTLED_SECONDS, id="a grant that another leader sent"),
    ],
)
def test_a_pod_is_asked_the_more_often_the_more_happens(
    said: State | None, expected: int, pause: float
) -> None:
    assert _pause(said, expected) == pause


class Pod:
    """An agent that answers over HTTP what the test says."""

    def __init__(self) -> None:
        self.text = state().model_dump_json()
        self.asked = asyncio.Condition()
        self.count = 0

    async def answer(self, _request: web.Request) -> web.Response:
        async with self.asked:
            self.count += 1
            self.asked.notify_all()
        return web.Response(text=self.text)

    async def asked_again(self) -> None:
        """Returns when two more answers were given: the first of them was taken in."""
        async with self.asked, asyncio.timeout(10):
            wanted = self.count + 2
            await self.asked.wait_for(lambda: self.count >= wanted)


@pytest.fixture
async def pod(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pod]:
    pod = Pod()
    app = web.Application()
    app.router.add_get("/v1/state", pod.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    monkeypatch.setattr(agents, "STATE_PORT", runner.addresses[0][1])
    for pause in ("BUSY_SECONDS", "QUIET_SECONDS", "UNSETTLED_SECONDS"):
        monkeypatch.setattr(agents, pause, 0.01)
    yield pod
    await runner.cleanup()


@pytest.fixture
def heard() -> list[Target]:
    return []


@pytest.fixture
async def following(pod: Pod, heard: list[Target]) -> AsyncIterator[Agents]:
    del pod
    async with Agents(heard.append) as following:
        following.follow([TARGET])
        yield following


async def test_the_last_word_of_a_pod_is_kept(pod: Pod, following: Agents, heard: list[Target]) -> None:
    assert following.state("a") is None
    await pod.asked_again()
    assert following.state("a") == state()
    assert heard == [TARGET]
    pod.text = "no state"
    await pod.asked_again()
    assert following.state("a") == state()


async def test_an_unchanged_state_is_told_once(pod: Pod, following: Agents, heard: list[Target]) -> None:
    del following
    for _ in range(3):
        await pod.asked_again()
    assert heard == [TARGET]


async def test_a_pod_that_was_silent_is_told_again_though_it_says_the_same(
    pod: Pod, following: Agents, heard: list[Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was decided meanwhile has left it out."""
    del following
    await pod.asked_again()
    monkeypatch.setattr(agents, "SILENT_SECONDS", 0.0)
    await pod.asked_again()
    await pod.asked_again()
    assert heard[:2] == [TARGET, TARGET]


async def test_the_answer_of_another_pod_at_the_same_address_is_not_taken(
    pod: Pod, following: Agents, heard: list[Target]
) -> None:
    pod.text = state(uid="another").model_dump_json()
    await pod.asked_again()
    assert following.state("a") is None
    assert heard == []


async def test_demand_follows_busy_and_waiting_clients_and_is_told(
    pod: Pod, following: Agents, heard: list[Target]
) -> None:
    await pod.asked_again()
    heard.clear()
    quiet = following.demand("a")["app"]
    pod.text = state(databases=(database(active=12, waiting=30),)).model_dump_json()
    while not heard:
        await pod.asked_again()
    assert following.demand("a")["app"] > quiet


async def test_a_pod_that_is_not_followed_any_more_has_said_nothing(pod: Pod, following: Agents) -> None:
    await pod.asked_again()
    following.follow([])
    assert following.state("a") is None
    assert following.demand("a") == {}


async def test_a_grant_on_its_way_wakes_the_follower(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "QUIET_SECONDS", 3600.0)
    resting = asyncio.Event()
    async with Agents(lambda _target: resting.set()) as following:
        following.follow([TARGET])
        await resting.wait()
        following.expect("a", 5)
        await pod.asked_again()


async def test_an_unreadable_answer_is_said_once(
    pod: Pod, following: Agents, monkeypatch: pytest.MonkeyPatch
) -> None:
    del following
    said: list[str] = []

    class Log:
        def warning(self, event: str, **_: object) -> None:
            said.append(event)

    monkeypatch.setattr(agents, "log", Log())
    pod.text = "{}"
    for _ in range(3):
        await pod.asked_again()
    assert said == ["unreadable state"]


async def test_who_waits_until_all_were_asked_has_heard_all_that_answer(following: Agents) -> None:
    following.follow([TARGET, Target("silent", "shop", "app-rw-2", "127.0.0.2")])
    await following.all_asked()
    assert following.state("a") is not None
    assert following.state("silent") is None


async def test_pods_are_found_by_the_servers_that_they_speak_of(pod: Pod, following: Agents) -> None:
    await pod.asked_again()
    assert list(following.reporting(("10.0.0.7", 5432))) == ["a"]
    assert list(following.reporting(("10.0.0.7", 5433))) == []
    pod.text = state(servers=(here(host="DB.example."),)).model_dump_json()
    await pod.asked_again()
    assert list(following.reporting(("10.0.0.7", 5432))) == []
    assert list(following.reporting(("db.example", 5432))) == ["a"]
    following.follow([])
    assert list(following.reporting(("db.example", 5432))) == []


async def test_a_word_is_as_old_as_its_question(
    pod: Pod, following: Agents, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it tells of may have been so then, and not any more when the answer came."""
    assert following.age("a") == following.age("b") == math.inf
    answers = following._ask

    async def slow(follower: Any) -> State | None:
        state = await answers(follower)
        await asyncio.sleep(0.05)
        return state

    monkeypatch.setattr(following, "_ask", slow)
    began = time.monotonic()
    await pod.asked_again()
    await pod.asked_again()
    assert 0.05 <= following.age("a") <= time.monotonic() - began


async def test_an_error_of_who_is_told_does_not_end_the_following(pod: Pod) -> None:
    def broken(_target: Target) -> None:
        raise ValueError("broken")

    async with Agents(broken) as following:
        following.follow([TARGET])
        await pod.asked_again()
        await pod.asked_again()
        assert following.state("a") == state()
