"""How the operator's process starts and ends with an API server that fails: the real command, its exit code."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

REPOSITORY = Path(__file__).parents[2]
PATIENCE_SECONDS = 20.0
"""For what takes a second or two on a machine that has nothing else to do."""
KOPF_RETRIES = 8
"""After as many, in 54 s, kopf gives a watch up unless it is told otherwise."""


def _group(name: str, version: str) -> dict[str, Any]:
    return {
        "name": name,
        "versions": [{"version": version}],
        "preferredVersion": {"version": version},
    }


def _resources(*plurals: str) -> dict[str, Any]:
    verbs = ["get", "list", "watch", "patch"]
    common = {"singularName": "", "namespaced": True, "verbs": verbs}
    return {"resources": [{"name": plural, "kind": plural, **common} for plural in plurals]}


_DISCOVERY = {
    "/api": {"versions": ["v1"]},
    "/api/v1": _resources("namespaces", "pods"),
    "/apis": {"groups": [_group("apiextensions.k8s.io", "v1"), _group("pgpool.dev", "v1alpha1")]},
    "/apis/apiextensions.k8s.io/v1": _resources("customresourcedefinitions"),
    "/apis/pgpool.dev/v1alpha1": _resources("pgpools", "pgbudgets"),
}
"""What kopf must know to watch pods, PgPools and PgBudgets."""

_PODS = [
    {"metadata": {"name": f"pod-{n}", "namespace": "shop", "uid": f"uid-{n}", "resourceVersion": "1"}}
    for n in range(20)
]


class ApiServer:
    """A cluster of some pods: other lists are empty, watches are silent, and there is one Lease."""

    def __init__(self) -> None:
        self.refuse: Callable[[web.Request], int | None] = lambda _request: None
        """With which status to refuse a request."""
        self.lease: dict[str, Any] | None = None
        self.there: dict[str, list[dict[str, Any]]] = {"pods": _PODS}
        """By plural."""
        self.asked: list[str] = []
        """Paths; those of watches end in ?watch."""
        self._changed = asyncio.Condition()

    @property
    def holder(self) -> str | None:
        return self.lease["spec"].get("holderIdentity") if self.lease else None

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), self._changed:
            await self._changed.wait_for(condition)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        watches = _is_watch(request)
        status = self.refuse(request)
        body = _refusal(status) if status else await self._answer(request)
        async with self._changed:
            self.asked.append(f"{request.path}?watch" if watches else request.path)
            self._changed.notify_all()
        if watches and not status:
            return await _silence(request)
        return web.json_response(body, status=status or body.get("code", 200))

    async def _answer(self, request: web.Request) -> dict[str, Any]:
        if "/leases" in request.path:
            return await self._answer_lease(request)
        if "/pods/" in request.path:
            return _refusal(404)
        items = self.there.get(request.path.rpartition("/")[2], [])
        return _DISCOVERY.get(request.path, {"metadata": {"resourceVersion": "1"}, "items": items})

    async def _answer_lease(self, request: web.Request) -> dict[str, Any]:
        if request.method == "GET":
            return self.lease or _refusal(404)
        self.lease = await request.json()
        assert self.lease is not None
        return self.lease


def _refusal(status: int) -> dict[str, Any]:
    return {"kind": "Status", "status": "Failure", "message": "in its own words", "code": status}


def _is_watch(request: web.Request) -> bool:
    return request.query.get("watch") == "true"


async def _silence(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await asyncio.Event().wait()
    return response


@pytest.fixture
async def server() -> ApiServer:
    return ApiServer()


@pytest.fixture
async def command(server: ApiServer, tmp_path: Path) -> AsyncIterator["Command"]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.serve)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(_kubeconfig(f"http://{host}:{port}"), encoding="utf-8")
    yield Command(kubeconfig, tmp_path)
    await runner.cleanup()


class Command:
    """`pgpool-operator run`."""

    def __init__(self, kubeconfig: Path, directory: Path) -> None:
        self._kubeconfig = kubeconfig
        self._directory = directory
        self.log: list[dict[str, Any]] = []
        """What it wrote until it ended; a line that is not JSON is a traceback's."""

    def hurry(self) -> None:
        """Make its pauses a hundred times shorter."""
        (self._directory / "sitecustomize.py").write_text(
            "import asyncio\n"
            "sleep = asyncio.sleep\n"
            "asyncio.sleep = lambda seconds, result=None: sleep(seconds / 100, result)\n",
            encoding="utf-8",
        )

    def believe_streams_dead_after(self, seconds: float) -> None:
        """As if the API server had to send something by then."""
        (self._directory / "sitecustomize.py").write_text(
            f"from pgpool_operator import app\napp.DEAD_STREAM_SECONDS = {seconds}\n", encoding="utf-8"
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.subprocess.Process]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "pgpool_operator", "run", "--namespace=shop"),
            *(f"--{name}-port={_free_port()}" for name in ("health", "metrics")),
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": f"{REPOSITORY / 'operator'}:{REPOSITORY / 'pooler'}:{self._directory}",
                "KUBECONFIG": str(self._kubeconfig),
                "POD_NAMESPACE": "system",
                "POOLER_IMAGE": "pooler:1",
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def ended(self, process: asyncio.subprocess.Process) -> int:
        """Its exit code."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            output, _ = await process.communicate()
        self.log = [_parsed(line) for line in output.decode().splitlines()]
        assert process.returncode is not None
        return process.returncode

    @property
    def reasons(self) -> list[str]:
        """Why it ended, as it says."""
        return [line["why"] for line in self.log if line.get("event") == "the operator ends"]

    @property
    def tracebacks(self) -> list[dict[str, Any]]:
        return [line for line in self.log if "exception" in line or "not JSON" in line]


def _parsed(line: str) -> dict[str, Any]:
    try:
        parsed: dict[str, Any] = json.loads(line)
    except ValueError:
        return {"not JSON": line}
    return parsed


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def _kubeconfig(server: str) -> str:
    name = "test"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server}}],
        "users": [{"name": name, "user": {}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    return yaml.safe_dump(config)


async def test_a_leader_that_is_stopped_gives_the_lease_back_and_exits_0(
    server: ApiServer, command: Command
) -> None:
    async with command.running() as process:
        await server.until(lambda: bool(server.holder) and any("pods?watch" in path for path in server.asked))
        process.send_signal(signal.SIGTERM)
        assert await command.ended(process) == 0
    assert server.holder is None
    assert command.reasons == []
    assert command.tracebacks == []


async def test_an_api_server_that_fails_at_the_start_is_waited_for(
    server: ApiServer, command: Command
) -> None:
    command.hurry()
    failures = iter((503, 429, 500))
    server.refuse = lambda _request: next(failures, None)
    async with command.running():
        await server.until(lambda: bool(server.holder))


async def test_an_operator_that_waits_for_the_api_server_can_be_stopped(
    server: ApiServer, command: Command
) -> None:
    server.refuse = lambda _request: 503
    async with command.running() as process:
        await server.until(lambda: bool(server.asked))
        process.send_signal(signal.SIGTERM)
        assert await command.ended(process) == 0


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_what_the_api_server_refuses_for_good_ends_the_operator_with_one_line(
    server: ApiServer, command: Command, status: int
) -> None:
    server.refuse = lambda request: status if request.path.endswith("/pgbudgets") else None
    async with command.running() as process:
        assert await command.ended(process) == 1
    assert command.reasons == [f"cannot list pgbudgets: {status}: in its own words"]
    assert command.tracebacks == []


async def test_a_watch_that_ends_for_good_ends_the_leader_which_gives_the_lease_back(
    server: ApiServer, command: Command
) -> None:
    led: list[str | None] = []

    def refuse(request: web.Request) -> int | None:
        if not (_is_watch(request) and request.path.endswith("/pgbudgets")):
            return None
        if not server.holder:
            return 503
        led.append(server.holder)
        return 404

    server.refuse = refuse
    async with command.running() as process:
        assert await command.ended(process) == 1
    assert led
    assert server.holder is None
    [reason] = command.reasons
    assert "kopf ended: multidimensional multitasker" in reason


async def test_watches_that_are_refused_for_long_are_tried_until_they_are_not(
    server: ApiServer, command: Command
) -> None:
    refused = 0

    def refuse(request: web.Request) -> int | None:
        nonlocal refused
        if not (_is_watch(request) and request.path.endswith("/pgbudgets")):
            return None
        refused += 1
        return 503 if refused <= 3 * KOPF_RETRIES else None

    server.refuse = refuse
    command.hurry()
    async with command.running() as process:
        await server.until(lambda: refused > 3 * KOPF_RETRIES)
        assert process.returncode is None


async def test_a_stream_that_does_not_end_in_time_is_asked_for_again_from_where_it_was(
    server: ApiServer, command: Command
) -> None:
    command.believe_streams_dead_after(0.2)
    asked: list[tuple[str | None, str | None]] = []

    def note(request: web.Request) -> None:
        if _is_watch(request) and request.path.endswith("/pods"):
            asked.append((request.query.get("timeoutSeconds"), request.query.get("resourceVersion")))

    server.refuse = note
    async with command.running() as process:
        await server.until(lambda: len(asked) > 3)
        assert process.returncode is None
    assert set(asked) == {("60", "1")}


async def test_an_operator_that_does_not_lead_follows_the_pods_whose_end_is_to_be_proven(
    server: ApiServer, command: Command
) -> None:
    now = "2026-11-24T12:00:00.000000Z"
    times = {"acquireTime": now, "renewTime": now, "leaseDurationSeconds": 3600}
    leads = {"holderIdentity": "another", "leaseTransitions": 0}
    metadata = {"name": "pgpool-operator", "namespace": "system", "resourceVersion": "1"}
    server.lease = {"metadata": metadata, "spec": times | leads}
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    node = {"metadata": {"name": "w1", "uid": "w1", "resourceVersion": "1"}, "status": ready}
    server.there |= {"nodes": [node], "pgbudgets": [_ledger_of_a_lost_pod("w1")]}
    async with command.running() as process:
        await server.until(lambda: any(path.endswith("/kube-node-lease/leases/w1") for path in server.asked))
        assert process.returncode is None
    assert server.holder == "another"


def _ledger_of_a_lost_pod(node: str) -> dict[str, Any]:
    grant = {
        "uid": "gone",
        "pod": "gone",
        "pool": "shop/app",
        "endpoint": "write",
        "node": node,
        "state": "Active",
    }
    counts = {"graceSeconds": 60, "cap": 1, "reserved": 1, "generation": 1}
    return {
        "metadata": {"name": "db-5432", "namespace": "shop", "uid": "ledger", "resourceVersion": "1"},
        "spec": {"server": {"host": "db", "port": 5432}},
        "status": {"grants": [{**grant, **counts, "since": "2026-11-24T12:00:00Z"}]},
    }
