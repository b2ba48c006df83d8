"""Pooler pods that no node runs: real objects, each with an agent that answers at an address of this machine."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from ipaddress import IPv4Address
from typing import Self

import aiohttp
from aiohttp import web

from e2e.kube import Kubectl, Object
from pgpool_pooler.contract import (
    CONFIG_HASH_ANNOTATION,
    GRANT_ANNOTATION,
    Grant,
    Phase,
    ServerGrant,
    ServerIdentity,
    ServerState,
    State,
)

STATE_PORT = 9127
FIRST_ADDRESS = IPv4Address("127.64.0.1")
SELECTOR = "app.kubernetes.io/managed-by=pgpool-operator"
STRATEGIC = "application/strategic-merge-patch+json"


@asynccontextmanager
async def proxied(kube: Kubectl) -> AsyncIterator[aiohttp.ClientSession]:
    """The API server as the kubeconfig's user has it, for many requests."""
    command = kube.within("").command("proxy", "--port=0")
    proxy = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert proxy.stdout is not None
    said = (await proxy.stdout.readline()).decode()
    timeout = aiohttp.ClientTimeout(total=None)
    try:
        async with aiohttp.ClientSession(f"http://{said.split()[-1]}", timeout=timeout) as session:
            yield session
    finally:
        proxy.terminate()
        await proxy.wait()


class SimulatedPods:
    """Does for the pooler pods of a namespace what nodes and agents do: addresses, readiness, and answers.

    A pod accepts at once whatever it is granted and configured with, and has no clients.
    """

    def __init__(self, api: aiohttp.ClientSession, namespace: str) -> None:
        self._api = api
        self._path = f"/api/v1/namespaces/{namespace}/pods"
        self._runner = web.ServerRunner(web.Server(self._answer))
        self._addresses: dict[str, str] = {}
        self._pods: dict[str, Object] = {}
        self._follow: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        self._follow = asyncio.create_task(self._follow_pods())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._follow is not None
        self._follow.cancel()
        ended = await asyncio.gather(self._follow, return_exceptions=True)
        await self._runner.cleanup()
        for error in ended:
            if not isinstance(error, asyncio.CancelledError | None):
                raise error

    async def _follow_pods(self) -> None:
        params = {"watch": "1", "labelSelector": SELECTOR, "allowWatchBookmarks": "false"}
        async with self._api.get(self._path, params=params, read_bufsize=2**20) as events:
            events.raise_for_status()
            async for line in events.content:
                event = json.loads(line)
                pod = event["object"]
                if event["type"] == "DELETED":
                    self._pods.pop(self._addresses.get(pod["metadata"]["uid"], ""), None)
                else:
                    await self._see(pod)
        raise AssertionError("the watch ended")

    async def _see(self, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        if uid not in self._addresses:
            address = str(FIRST_ADDRESS + len(self._addresses))
            self._addresses[uid] = address
            await web.TCPSite(self._runner, address, STATE_PORT).start()
            await self._make_ready(pod["metadata"]["name"], address)
        self._pods[self._addresses[uid]] = pod

    async def _make_ready(self, name: str, address: str) -> None:
        """Where it is gone already, the watch is about to say so."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": now}
        status = {"podIP": address, "podIPs": [{"ip": address}], "conditions": [ready]}
        body = json.dumps({"status": status})
        headers = {"Content-Type": STRATEGIC}
        async with self._api.patch(f"{self._path}/{name}/status", data=body, headers=headers) as answer:
            if answer.status != HTTPStatus.NOT_FOUND:
                answer.raise_for_status()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        address, _port = request.transport.get_extra_info("sockname")
        pod = self._pods.get(address)
        if pod is None or request.path != "/v1/state":
            return web.Response(status=404)
        return web.Response(text=state_of(pod, address).model_dump_json(), content_type="application/json")


def state_of(pod: Object, address: str) -> State:
    """What a good agent says whose pod has these annotations, on a server that is well."""
    meta = pod["metadata"]
    annotations = meta.get("annotations", {})
    text = annotations.get(GRANT_ANNOTATION)
    grant = Grant.model_validate_json(text) if text else None
    generation = grant.generation if grant else 0
    servers = tuple(_server(granted, address) for granted in grant.servers) if grant else ()
    return State(
        uid=meta["uid"],
        pod=meta["name"],
        phase=Phase.SERVING if grant else Phase.GATED,
        ready=grant is not None,
        generation=generation,
        acknowledged=generation,
        cap=sum(server.cap for server in servers),
        servers=servers,
        config_hash=annotations.get(CONFIG_HASH_ANNOTATION, ""),
    )


def _server(granted: ServerGrant, client: str) -> ServerState:
    identity = ServerIdentity(
        address=granted.host,
        port=granted.port,
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        version="17.6",
        max_connections=100,
        reserved_connections=3,
        in_recovery=False,
        client_address=client,
        detects_dead_clients=True,
    )
    return ServerState(
        host=granted.host,
        port=granted.port,
        cap=granted.cap,
        open=0,
        active=0,
        reachable=True,
        identity=identity,
    )
