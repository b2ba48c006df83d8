"""The end of the engine, beside the loop: of a pod that leaves, or before the engine starts anew."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from pgpool_pooler.engines.base import Engine

from .drain import Clock, drain

_POLL_SECONDS: Final = 0.05

log = structlog.get_logger()


class Ending:
    """One drain at a time. Until it takes no more clients the engine serves as always, so the loop goes on."""

    def __init__(self, engine: Engine, drain_seconds: float, clock: Clock, over: Callable[[], None]) -> None:
        """`over` is called at the end of each drain, which takes `drain_seconds`."""
        self._engine = engine
        self._drain_seconds = drain_seconds
        self._clock = clock
        self._over = over
        self.task: asyncio.Task[bool] | None = None
        """The drain, until its result has been taken."""
        self.accepts = True
        """Whether the engine still takes clients; after that it cannot be resumed any more."""
        self.interrupted = False
        """Whether clients wait for something that passes by itself, as the loop saw last: that is waited for."""

    @property
    def under_way(self) -> bool:
        """Whether a drain has begun of which nobody has taken the result."""
        return self.task is not None

    def begin(self, unready_seconds: float) -> None:
        """Drain the engine, which serves on for so long at least."""
        log.info("draining", seconds=self._drain_seconds)
        self._engine.expect_end()
        self.accepts = True
        self.task = asyncio.create_task(self._run(unready_seconds))
        self.task.add_done_callback(lambda _: self._over())

    def take_result(self) -> bool | None:
        """Whether the engine left no backend that works, which one whose drain failed may have; None: not yet."""
        if self.task is None or not self.task.done():
            return None
        ended, self.task = self.task, None
        if (error := ended.exception()) is not None:
            log.error("the drain failed", error=repr(error))
        return error is None and ended.result()

    async def _run(self, unready_seconds: float) -> bool:
        await self._clock.sleep(unready_seconds)
        end = self._clock.now() + self._drain_seconds
        while self.interrupted and self._engine.running and self._clock.now() < end:
            await self._clock.sleep(_POLL_SECONDS)
        self.accepts = False
        return await drain(self._engine, end - self._clock.now(), self._clock)
