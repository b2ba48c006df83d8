"""Tasks of which none may end alone."""

import asyncio

import pytest

from pgpool_operator.cluster.forever import EndedError, together


async def for_ever() -> None:
    await asyncio.Event().wait()


async def ends() -> None:
    """As a loop that was left."""


async def fails() -> None:
    raise ValueError("broken")


async def test_one_that_returns_ends_all() -> None:
    other = asyncio.create_task(for_ever())
    with pytest.raises(EndedError, match="worker 1"):
        await together((other, asyncio.create_task(ends(), name="worker 1")))
    assert other.cancelled()


async def test_one_that_somebody_cancels_ends_all() -> None:
    other, cancelled = asyncio.create_task(for_ever()), asyncio.create_task(for_ever(), name="worker 1")
    cancelled.cancel()
    with pytest.raises(EndedError, match="worker 1"):
        await together((other, cancelled))
    assert other.cancelled()


async def test_an_error_ends_all_and_is_raised() -> None:
    other = asyncio.create_task(for_ever())
    with pytest.raises(ValueError, match="broken"):
        await together((other, asyncio.create_task(fails())))
    assert other.cancelled()


async def test_who_is_cancelled_cancels_all() -> None:
    other = asyncio.create_task(for_ever())
    waiting = asyncio.create_task(together((other,)))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait((waiting,))
    assert waiting.cancelled()
    assert other.cancelled()
