"""Leaving without failing a client: the end of a pod, or of an engine."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable
from typing import Final, Protocol

from pgpool_pooler.engines.base import Engine, EngineError

UNREADY_SECONDS: Final = 5.0
"""After /readyz fails, clients still arrive until every node has taken the pod out of the Service."""
_POLL_SECONDS: Final = 0.1
CUT_OFF_SECONDS: Final = 2.0
"""To cut off the last clients; and as long for the engine to close what they have left."""


class Clock(Protocol):
    """Time and waiting, so that a test need not wait."""

    def now(self) -> float:
        """Seconds, monotonic."""

    async def sleep(self, seconds: float) -> None:
        """Let others work for so long."""


class RealClock:
    """The event loop's."""

    def now(self) -> float:
        """See Clock."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """See Clock."""
        await asyncio.sleep(seconds)


async def drain(engine: Engine, seconds: float, clock: Clock) -> bool:
    """End the engine within `seconds` and twice CUT_OFF_SECONDS; returns whether it left no backend that works.

    In the first half each client is disconnected when it is between two transactions, and those in the queue
    are still served. In the second half no transaction starts any more. Who still has a connection at the end is
    cut off: the backend of an idle session ends, that of a busy one may go on with its query.
    """
    start = clock.now()
    try:
        await _heard(engine.stop_accepting())
        await _until(engine, start + seconds / 2, clock, clients_too=True)
        await _finish(engine, start + seconds, clock)
        await _until(engine, start + seconds, clock, clients_too=False)
        if engine.running:
            await _cut_off(engine)
            await _until(engine, clock.now() + CUT_OFF_SECONDS, clock, clients_too=False)
    finally:
        if engine.running:
            await engine.kill()
    return await engine.ended_clean()


async def _heard(command: Awaitable[None]) -> bool:
    """Whether the engine answered. One on its way out need not; that it is gone in the end is what counts.

    One that is only slow has the rest of its time all the same: what waits for it must not be cut off for that.
    """
    try:
        await command
    except EngineError:
        return False
    return True


async def _finish(engine: Engine, deadline: float, clock: Clock) -> None:
    """Until it was heard: else transactions would start until the deadline, and those would be cut off."""
    while engine.running and not await _heard(engine.finish()) and clock.now() < deadline:
        await clock.sleep(_POLL_SECONDS)


async def _cut_off(engine: Engine) -> None:
    """`finish` once more, if it was not heard: an engine that waits for its clients waits for its console, too."""
    with contextlib.suppress(EngineError, TimeoutError):
        async with asyncio.timeout(CUT_OFF_SECONDS):
            await engine.finish()
            await engine.abort_busy()


async def _until(engine: Engine, deadline: float, clock: Clock, *, clients_too: bool) -> None:
    while engine.running and clock.now() < deadline:
        if clients_too and await _without_clients(engine):
            return
        await clock.sleep(_POLL_SECONDS)


async def _without_clients(engine: Engine) -> bool:
    """Whether the last client has left; without an answer nobody knows."""
    try:
        return (await engine.observe()).clients == 0
    except EngineError:
        return False
