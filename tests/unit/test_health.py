"""Whether a watch is alive, judged by a listing, and what a watch loses when it starts again."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pgpool_operator import health
from pgpool_operator.cluster.api import ApiError
from pgpool_operator.cluster.kinds import POD, SERVICE, Kind
from pgpool_operator.cluster.store import Change, Object, Store
from pgpool_operator.health import Sweeper
from tests.support.fake_api import FakeApi, FakeServer, watch


@pytest.fixture
def server() -> FakeServer:
    server = FakeServer()
    server.save(POD, {"metadata": {"name": "main-1"}})
    return server


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
async def sweeper(server: FakeServer, store: Store, monkeypatch: pytest.MonkeyPatch) -> Sweeper:
    monkeypatch.setattr(health, "WATCH_LAG_SECONDS", 0.0)
    monkeypatch.setattr(health, "RESTART_LAG_SECONDS", 0.0)
    sweeper = Sweeper(FakeApi(server), store, (POD, SERVICE), "shop")
    await sweeper.fill()
    return sweeper


def names(store: Store) -> list[str]:
    return [pod["metadata"]["name"] for pod in store.all(POD)]


async def test_the_store_is_filled_before_anything_is_decided(sweeper: Sweeper, store: Store) -> None:
    assert names(store) == ["main-1"]
    assert sweeper.stale == []


async def test_a_watch_that_told_everything_is_fresh(
    sweeper: Sweeper, server: FakeServer, store: Store
) -> None:
    server.save(POD, {"metadata": {"name": "main-2"}})
    watch(server, store)
    await sweeper._judge()
    assert sweeper.stale == []


async def test_a_watch_that_did_not_tell_of_a_change_is_stale_and_the_store_has_it(
    sweeper: Sweeper, server: FakeServer, store: Store
) -> None:
    server.save(POD, {"metadata": {"name": "main-2"}})
    await sweeper._judge()
    assert sweeper.stale == ["Pod"]
    assert names(store) == ["main-1", "main-2"]


async def test_a_deletion_that_no_event_told_of_is_found_and_is_no_sign_of_a_dead_watch(
    sweeper: Sweeper, server: FakeServer, store: Store
) -> None:
    """It was lost when the stream started again; a dead watch tells of no change either."""
    server.remove(POD, "main-1")
    await sweeper._judge()
    assert sweeper.stale == []
    assert names(store) == []


async def test_what_happened_after_the_listing_is_no_sign_of_a_dead_watch(
    sweeper: Sweeper, server: FakeServer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def meanwhile(_seconds: float) -> None:
        server.save(POD, {"metadata": {"name": "main-2"}})
        watch(server, store)

    monkeypatch.setattr("asyncio.sleep", meanwhile)
    await sweeper._judge()
    assert sweeper.stale == []
    assert names(store) == ["main-1", "main-2"]


async def test_a_watch_that_tells_again_is_fresh_again(sweeper: Sweeper, server: FakeServer) -> None:
    server.save(POD, {"metadata": {"name": "main-2"}})
    await sweeper._judge()
    await sweeper._judge()
    assert sweeper.stale == []


async def test_a_listing_that_fails_ends_neither_the_sweeper_nor_the_trust_in_the_watch(
    sweeper: Sweeper, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class DoneError(Exception):
        pass

    def refuse(_method: str, _path: str) -> ApiError:
        refused.append(_path)
        if len(refused) > 20:
            raise DoneError
        return ApiError(0, "no answer")

    refused: list[str] = []
    server.refuse = refuse
    monkeypatch.setattr(health, "SWEEP_SECONDS", 0.0)
    with pytest.raises(DoneError):
        await sweeper.run()
    assert sweeper.stale == []


async def test_all_watches_are_given_their_time_at_once(
    sweeper: Sweeper, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("asyncio.sleep", sleep)
    for kind in (POD, SERVICE):
        server.save(kind, {"metadata": {"name": "main-2"}})
    await sweeper._judge()
    assert len(pauses) == 1
    assert sweeper.stale == ["Pod", "Service"]


async def test_a_kind_that_cannot_be_listed_keeps_no_other_from_being_judged(
    sweeper: Sweeper, server: FakeServer
) -> None:
    for kind in (POD, SERVICE):
        server.save(kind, {"metadata": {"name": "main-2"}})
    server.refuse = lambda _method, path: ApiError(500, "no list") if path.endswith("/pods") else None
    await sweeper._judge()
    assert sweeper.stale == ["Service"]


async def test_only_the_served_namespace_is_listed(server: FakeServer, store: Store) -> None:
    elsewhere: dict[str, Any] = {"metadata": {"name": "other", "namespace": "bank"}}
    server.save(POD, elsewhere)
    await Sweeper(FakeApi(server), store, (POD,), "shop").fill()
    assert names(store) == ["main-1"]


@asynccontextmanager
async def running(sweeper: Sweeper) -> AsyncIterator[None]:
    """The sweeper runs; it has had its look at the start."""
    task = asyncio.create_task(sweeper.run())
    await until(lambda: not sweeper._started)
    await some_turns()
    yield
    assert not task.done()
    task.cancel()


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(100):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it does not come to that")


async def some_turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_deletion_between_the_first_listing_and_the_start_of_the_watch_is_found_soon(
    sweeper: Sweeper, server: FakeServer, store: Store
) -> None:
    server.remove(POD, "main-1")
    async with running(sweeper):
        await until(lambda: names(store) == [])


async def test_a_deletion_that_was_lost_when_a_watch_started_again_is_found_soon(
    sweeper: Sweeper, server: FakeServer, store: Store
) -> None:
    async with running(sweeper):
        server.remove(POD, "main-1")
        sweeper.started(POD)
        await until(lambda: names(store) == [])


async def test_kinds_whose_watches_start_together_are_listed_once_each_and_others_are_not(
    sweeper: Sweeper, server: FakeServer
) -> None:
    async with running(sweeper):
        server.reads.clear()
        for _ in range(10):
            sweeper.started(POD)
        await some_turns()
        assert server.reads == [POD.path("shop")]
        server.reads.clear()
        sweeper.started(POD)
        sweeper.started(SERVICE)
        await some_turns()
        assert sorted(server.reads) == [POD.path("shop"), SERVICE.path("shop")]


async def test_a_kind_that_cannot_be_listed_when_its_watch_has_started_is_listed_again(
    sweeper: Sweeper, server: FakeServer, store: Store
) -> None:
    server.remove(POD, "main-1")
    failures = iter((ApiError(503, "not now"), ApiError(0, "no answer")))
    server.refuse = lambda _method, path: next(failures, None) if path.endswith("/pods") else None
    async with running(sweeper):
        await until(lambda: names(store) == [])


async def test_what_is_found_when_a_watch_has_started_says_nothing_of_the_watch(
    sweeper: Sweeper, server: FakeServer, store: Store
) -> None:
    server.save(POD, {"metadata": {"name": "main-2"}})
    await sweeper._look()
    assert sweeper.stale == []
    assert names(store) == ["main-1", "main-2"]
    server.save(POD, {"metadata": {"name": "main-3"}})
    await sweeper._judge()
    sweeper.started(POD)
    await sweeper._look()
    assert sweeper.stale == ["Pod"]


async def test_a_watch_that_has_started_is_given_time_to_tell_of_a_deletion_itself(
    sweeper: Sweeper, server: FakeServer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Change] = []

    def listen(_kind: Kind, _obj: Object, change: Change) -> None:
        heard.append(change)

    async def meanwhile(_seconds: float) -> None:
        if server.reads:
            store.remove(POD, gone)

    store.listen(listen)
    gone = server.remove(POD, "main-1")
    server.reads.clear()
    monkeypatch.setattr("asyncio.sleep", meanwhile)
    await sweeper._look()
    assert heard == [Change.DELETED]
