import asyncio

import pytest

from pgpool_operator.cluster.queue import FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS, WorkQueue


@pytest.fixture
def queue() -> WorkQueue[str]:
    return WorkQueue()


async def test_a_key_that_is_added_often_is_taken_once(queue: WorkQueue[str]) -> None:
    for _ in range(3):
        queue.add("a")
    assert await queue.take() == "a"
    assert len(queue) == 0


async def test_a_key_is_never_with_two_workers(queue: WorkQueue[str]) -> None:
    queue.add("a")
    await queue.take()
    queue.add("a")
    queue.add("b")
    assert await queue.take() == "b"


async def test_a_key_that_was_added_while_it_was_worked_on_comes_again(queue: WorkQueue[str]) -> None:
    queue.add("a")
    await queue.take()
    queue.add("a")
    queue.done("a")
    assert await queue.take() == "a"


async def test_a_failed_key_comes_back_by_itself(queue: WorkQueue[str]) -> None:
    queue.add("a")
    queue.failed(await queue.take())
    assert await queue.take() == "a"


async def test_the_delay_grows_with_each_failure_up_to_a_limit(
    queue: WorkQueue[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgpool_operator.cluster.queue.EAGER_DELAY_SECONDS", 0.0)
    delays = []
    for _ in range(20):
        queue.add("a")
        delays.append(queue.failed(await queue.take()))
    assert delays[0] == FIRST_DELAY_SECONDS
    assert delays == sorted(delays)
    assert delays[-1] == LONGEST_DELAY_SECONDS


async def test_a_key_that_fails_for_days_still_comes_back_after_the_longest_delay(
    queue: WorkQueue[str],
) -> None:
    """The delay doubles, and a float holds no more than a thousand doublings."""
    for _ in range(1100):
        assert queue.failed("a") <= LONGEST_DELAY_SECONDS
    assert queue.failed("a") == LONGEST_DELAY_SECONDS


@pytest.mark.parametrize("meanwhile", [False, True], ids=["after it failed", "while it was worked on"])
async def test_a_failed_key_that_is_added_again_waits_for_its_delay(
    queue: WorkQueue[str], monkeypatch: pytest.MonkeyPatch, meanwhile: bool
) -> None:
    monkeypatch.setattr("pgpool_operator.cluster.queue.FIRST_DELAY_SECONDS", 3600.0)
    monkeypatch.setattr("pgpool_operator.cluster.queue.EAGER_DELAY_SECONDS", 3600.0)
    monkeypatch.setattr("pgpool_operator.cluster.queue.LONGEST_DELAY_SECONDS", 3600.0)
    queue.add("a")
    await queue.take()
    if meanwhile:
        queue.add("a")
    queue.failed("a")
    queue.add("a")
    queue.add("b")
    assert await queue.take() == "b"
    assert len(queue) == 0


async def test_what_happens_brings_a_key_that_fails_for_long_forward(
    queue: WorkQueue[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgpool_operator.cluster.queue.FIRST_DELAY_SECONDS", 3600.0)
    monkeypatch.setattr("pgpool_operator.cluster.queue.LONGEST_DELAY_SECONDS", 3600.0)
    monkeypatch.setattr("pgpool_operator.cluster.queue.EAGER_DELAY_SECONDS", 0.01)
    queue.add("a")
    queue.failed(await queue.take())
    queue.add("a")
    async with asyncio.timeout(10):
        assert await queue.take() == "a"


async def test_a_success_forgets_the_failures(queue: WorkQueue[str]) -> None:
    queue.add("a")
    queue.failed(await queue.take())
    queue.done(await queue.take())
    queue.add("a")
    assert queue.failed(await queue.take()) == FIRST_DELAY_SECONDS


async def test_the_earliest_of_several_times_counts(queue: WorkQueue[str]) -> None:
    queue.add_after("a", 3600)
    queue.add_after("a", 0)
    async with asyncio.timeout(10):
        assert await queue.take() == "a"
    queue.done("a")
    assert len(queue) == 0
