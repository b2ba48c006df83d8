"""What the client asks of the API server, and makes of its answers, and of none."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import ApiClient, Configuration

from pgpool_operator.cluster import events
from pgpool_operator.cluster.api import Api, ApiError
from pgpool_operator.cluster.kinds import PGPOOL, POD

POOL = {
    "apiVersion": "pgpool.dev/v1alpha1",
    "kind": "PgPool",
    "metadata": {"name": "app", "namespace": "shop", "uid": "1", "resourceVersion": "1"},
}


class Server:
    """Answers every request with the same status and words."""

    def __init__(self) -> None:
        self.status = 200
        self.asked: list[tuple[str, str, Any]] = []
        """Method, path and body of each request."""

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.text()
        self.asked.append((request.method, request.path, json.loads(body) if body else None))
        return web.json_response({"kind": "Status", "message": "in its own words"}, status=self.status)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def runner(server: Server) -> AsyncIterator[web.AppRunner]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner
    await runner.cleanup()


@pytest.fixture
async def api(runner: web.AppRunner) -> AsyncIterator[Api]:
    host, port = runner.addresses[0]
    async with ApiClient(Configuration(host=f"http://{host}:{port}")) as client:
        yield Api(client)


@pytest.mark.parametrize("status", [400, 403, 409, 422, 429, 500, 503])
async def test_a_refusal_has_the_servers_status_and_words(api: Api, server: Server, status: int) -> None:
    server.status = status
    with pytest.raises(ApiError) as raised:
        await api.get(POD, "shop", "app-1")
    assert (raised.value.status, raised.value.text) == (status, "in its own words")


async def test_an_object_that_is_not_there_is_none(api: Api, server: Server) -> None:
    server.status = 404
    assert await api.get(POD, "shop", "app-1") is None


async def test_no_answer_is_a_refusal_too_so_that_it_is_retried_like_one(
    api: Api, runner: web.AppRunner
) -> None:
    await runner.cleanup()
    with pytest.raises(ApiError, match="no answer") as raised:
        await api.get(POD, "shop", "app-1")
    assert raised.value.status == 0


async def test_an_event_that_cannot_be_posted_fails_nothing(api: Api, server: Server) -> None:
    server.status = 403
    await events.post(api, POOL, "Normal", "Serving", "write 2/2 pods")


async def test_a_grant_is_for_exactly_the_pod_that_was_observed(api: Api, server: Server) -> None:
    pod = {"metadata": {"name": "app-1", "namespace": "shop", "uid": "1", "resourceVersion": "7"}}
    await api.annotate(pod, {"pgpool.dev/poke": "2"})
    [(method, path, body)] = server.asked
    assert (method, path) == ("PATCH", "/api/v1/namespaces/shop/pods/app-1")
    assert body == {
        "metadata": {"uid": "1", "resourceVersion": "7", "annotations": {"pgpool.dev/poke": "2"}},
    }


async def test_a_status_replaces_only_the_version_that_was_observed(api: Api, server: Server) -> None:
    await api.replace_status(PGPOOL, POOL, {"seen": 1})
    [(method, path, body)] = server.asked
    assert (method, path) == ("PUT", "/apis/pgpool.dev/v1alpha1/namespaces/shop/pgpools/app/status")
    assert body == {**POOL, "status": {"seen": 1}}


async def test_only_the_object_that_was_observed_is_deleted(api: Api, server: Server) -> None:
    await api.delete(PGPOOL, POOL)
    [(method, path, body)] = server.asked
    assert (method, path) == ("DELETE", "/apis/pgpool.dev/v1alpha1/namespaces/shop/pgpools/app")
    assert body["preconditions"] == {"uid": "1", "resourceVersion": "1"}
