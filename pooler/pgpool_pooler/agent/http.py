"""What the pod answers over HTTP; nothing can be commanded here."""

import asyncio
import contextlib
from typing import Final

from aiohttp import web

from . import metrics, report
from .supervisor import Supervisor

WAIT_SECONDS: Final = 10.0
"""How long `?after=` waits at most."""
ALIVE_SECONDS: Final = 60.0
"""A loop that has not come round for so long is stuck."""


def application(supervisor: Supervisor) -> web.Application:
    """The routes."""
    handlers = _Handlers(supervisor)
    app = web.Application()
    app.add_routes(
        [
            web.get("/v1/state", handlers.state),
            web.get("/readyz", handlers.readyz),
            web.get("/livez", handlers.livez),
            web.get("/metrics", handlers.metrics),
        ]
    )
    return app


class _Handlers:
    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    async def state(self, request: web.Request) -> web.Response:
        """`?after=N`: wait until something above generation N is acknowledged, or 10 s."""
        after = request.query.get("after", "")
        if after and not after.isdecimal():
            raise web.HTTPBadRequest(text="after: a generation, e.g. ?after=4")
        if after:
            await self._acknowledged_above(int(after))
        answer = report.state(self._supervisor.facts())
        return web.Response(text=answer.model_dump_json(by_alias=True), content_type="application/json")

    async def readyz(self, _request: web.Request) -> web.Response:
        """200 when the pod takes clients."""
        why = report.unready(self._supervisor.facts())
        return web.Response(text=why or "ok", status=503 if why else 200)

    async def livez(self, _request: web.Request) -> web.Response:
        """200 while the agent's loop comes round."""
        stuck = self._supervisor.seconds_since_tick() > ALIVE_SECONDS
        return web.Response(text="the loop is stuck" if stuck else "ok", status=503 if stuck else 200)

    async def metrics(self, _request: web.Request) -> web.Response:
        """Prometheus."""
        body = metrics.exposition(self._supervisor.facts)
        return web.Response(body=body, headers={"Content-Type": metrics.CONTENT_TYPE})

    async def _acknowledged_above(self, generation: int) -> None:
        changed = self._supervisor.changed
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WAIT_SECONDS), changed:
                await changed.wait_for(lambda: self._supervisor.facts().acknowledged > generation)
