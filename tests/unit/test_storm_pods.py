"""The simulated pods of the storm test."""

import asyncio
import json

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from e2e.storm import pods
from e2e.storm.pods import SimulatedPods


async def test_a_pod_that_is_gone_before_it_is_made_ready_does_not_keep_the_others_from_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pods, "STATE_PORT", 0)
    ready: asyncio.Queue[str] = asyncio.Queue()

    async def watch(request: web.Request) -> web.StreamResponse:
        events = web.StreamResponse()
        await events.prepare(request)
        for name in ("gone", "there"):
            pod = {"metadata": {"name": name, "uid": name}}
            await events.write(json.dumps({"type": "ADDED", "object": pod}).encode() + b"\n")
        await asyncio.Event().wait()
        return events

    async def patch(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        ready.put_nowait(name)
        return web.Response(status=404 if name == "gone" else 200)

    app = web.Application()
    app.router.add_get("/api/v1/namespaces/shop/pods", watch)
    app.router.add_patch("/api/v1/namespaces/shop/pods/{name}/status", patch)
    async with (
        TestServer(app, shutdown_timeout=0.1) as server,
        aiohttp.ClientSession(server.make_url("/")) as api,
        SimulatedPods(api, "shop"),
        asyncio.timeout(30),
    ):
        assert [await ready.get(), await ready.get()] == ["gone", "there"]
