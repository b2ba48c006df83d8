"""The proxy between operators and the API server, before a small upstream of our own."""

import asyncio
import gzip
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import unused_port
from yarl import URL

from e2e.faults.proxy import HOST, Counters, Kill, Policy, Proxy

POD = "/api/v1/namespaces/shop/pods/a"
PODS = "/api/v1/namespaces/shop/pods"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/pgpool-system/leases/pgpool-operator"
LEDGER = "/apis/pgpool.dev/v1alpha1/namespaces/shop/pgbudgets/main-a-0/status"
DEPLOYMENT = "/apis/apps/v1/namespaces/shop/deployments/app-rw"
LONG = 60.0
GENEROUS = aiohttp.ClientTimeout(total=20)
"""A request that takes longer hangs."""


class Upstream:
    """An API server that notes what it sees and answers with it; its watches pass on what is put into `events`."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.events: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.watching = asyncio.Event()
        self.left = asyncio.Event()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.seen.append(f"{request.method} {request.raw_path}")
        self.headers.append(dict(request.headers))
        if "watch" in request.query:
            return await self.watch(request)
        answer = {"method": request.method, "path": request.raw_path, "body": body.decode()}
        reply = web.json_response(answer, status=201, headers={"Audit-Id": "7"})
        if "compressed" in request.query:
            reply.enable_compression()
        return reply

    async def watch(self, request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse()
        await reply.prepare(request)
        self.watching.set()
        try:
            while (event := await self.events.get()) is not None:
                await reply.write(event)
        except asyncio.CancelledError:
            self.left.set()
            raise
        return reply


class Client:
    """An operator on one port, and the hand on the control port."""

    def __init__(self, session: aiohttp.ClientSession, port: int, control: int) -> None:
        self._session = session
        self._port = port
        self._control = f"http://{HOST}:{control}/ports/{port}"

    def request(self, method: str, path: str, **options: Any) -> Any:
        url = URL(f"http://{HOST}:{self._port}{path}", encoded=True)
        return self._session.request(method, url, **options)

    async def status(self, method: str, path: str = POD) -> int:
        async with self.request(method, path) as answer:
            return int(answer.status)

    async def set_policy(self, policy: Policy) -> None:
        async with self._session.put(f"{self._control}/policy", data=policy.model_dump_json()) as answer:
            assert answer.status == 204, await answer.text()

    async def counters(self) -> Counters:
        async with self._session.get(self._control) as answer:
            return Counters.model_validate_json(await answer.read())


@pytest_asyncio.fixture
async def upstream() -> Upstream:
    return Upstream()


@pytest_asyncio.fixture
async def origin(upstream: Upstream) -> AsyncIterator[str]:
    app = web.Application(client_max_size=0)
    app.router.add_route("*", "/{path:.*}", upstream.serve)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0)
    await runner.setup()
    port = unused_port()
    await web.TCPSite(runner, HOST, port).start()
    yield f"http://{HOST}:{port}"
    await runner.cleanup()


@pytest_asyncio.fixture
async def clients(origin: str) -> AsyncIterator[tuple[Client, Client]]:
    ports = (unused_port(), unused_port())
    control = unused_port()
    async with (
        Proxy(origin, "secret", ports, control, tls=True),
        aiohttp.ClientSession(auto_decompress=False, timeout=GENEROUS) as session,
    ):
        yield Client(session, ports[0], control), Client(session, ports[1], control)


@pytest_asyncio.fixture
async def client(clients: tuple[Client, Client]) -> Client:
    return clients[0]


@pytest_asyncio.fixture
async def process() -> AsyncIterator[asyncio.subprocess.Process]:
    child = await asyncio.create_subprocess_exec("sleep", "600")
    yield child
    if child.returncode is None:
        child.kill()
    await child.wait()


def event(kind: str, name: str) -> bytes:
    return json.dumps({"type": kind, "object": {"metadata": {"name": name}}}).encode() + b"\n"


async def test_requests_and_answers_pass_unchanged(client: Client, upstream: Upstream) -> None:
    path = "/api/v1/pods%2Fa?labelSelector=a%3Db&limit=1"
    headers = {"Content-Type": "application/merge-patch+json", "X-Mine": "1"}
    async with client.request("PATCH", path, data=b'{"a": 1}', headers=headers) as answer:
        assert answer.status == 201
        assert answer.headers["Audit-Id"] == "7"
        assert await answer.json() == {"method": "PATCH", "path": path, "body": '{"a": 1}'}
    assert upstream.headers[0]["Content-Type"] == "application/merge-patch+json"
    assert upstream.headers[0]["X-Mine"] == "1"


async def test_the_token_takes_the_place_of_the_clients_own(client: Client, upstream: Upstream) -> None:
    async with client.request("GET", POD, headers={"authorization": "Bearer mine"}) as answer:
        assert answer.status == 201
    assert upstream.headers[0]["Authorization"] == "Bearer secret"
    assert [name.lower() for name in upstream.headers[0]].count("authorization") == 1


async def test_chunked_and_big_bodies_pass_both_ways(client: Client) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(300):
            yield b"x" * 10_000

    async with client.request("POST", PODS, data=chunks()) as answer:
        assert len((await answer.json())["body"]) == 3_000_000


async def test_compressed_answers_stay_compressed(client: Client) -> None:
    path = f"{PODS}?compressed"
    async with client.request("GET", path, headers={"Accept-Encoding": "gzip"}) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert json.loads(gzip.decompress(await answer.read()))["path"] == path


async def test_an_event_arrives_while_its_watch_goes_on(client: Client, upstream: Upstream) -> None:
    async with client.request("GET", f"{PODS}?watch=true") as answer:
        for name in ("a", "b" * 1_000_000):
            upstream.events.put_nowait(event("ADDED", name))
            read = b""
            while not read.endswith(b"\n"):
                read += await answer.content.readany()
            assert read == event("ADDED", name)
        upstream.events.put_nowait(None)
        assert await answer.content.read() == b""


async def test_the_upstreams_watch_is_closed_when_the_client_goes(client: Client, upstream: Upstream) -> None:
    async with client.request("GET", f"{PODS}?watch=true") as answer:
        await upstream.watching.wait()
        answer.close()
    await asyncio.wait_for(upstream.left.wait(), 20)


async def test_requests_wait_as_long_as_they_are_told(client: Client, upstream: Upstream) -> None:
    await client.set_policy(Policy(delay=(LONG, LONG)))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await client.status("GET")
    assert upstream.seen == []
    await client.set_policy(Policy(delay=(0.05, 0.1)))
    started = asyncio.get_running_loop().time()
    assert await client.status("GET") == 201
    assert asyncio.get_running_loop().time() - started >= 0.05


async def test_failures_take_turns_and_do_not_reach_the_upstream(client: Client, upstream: Upstream) -> None:
    await client.set_policy(Policy(failing=1.0))
    async with client.request("GET", f"{PODS}?watch=true") as answer:
        assert answer.status == 429
        assert answer.headers["Retry-After"] == "1"
        status = await answer.json()
    assert (status["kind"], status["code"], status["reason"]) == ("Status", 429, "TooManyRequests")
    assert [await client.status("PATCH") for _ in range(3)] == [500, 503, 429]
    assert upstream.seen == []
    counters = await client.counters()
    assert (counters.requests, counters.failed, counters.writes) == (4, 4, 0)


async def test_the_seed_decides_which_of_the_requests_fail(client: Client) -> None:
    async def statuses(seed: int) -> list[int]:
        await client.set_policy(Policy(failing=0.5, seed=seed))
        return [await client.status("GET") for _ in range(40)]

    once = await statuses(3)
    assert once == await statuses(3)
    assert once != await statuses(4)
    assert 5 < once.count(201) < 35


async def test_conflicts_are_of_writes_only(client: Client, upstream: Upstream) -> None:
    await client.set_policy(Policy(conflicting=1.0))
    for method in ("PUT", "PATCH", "POST", "DELETE"):
        async with client.request(method, POD) as answer:
            assert answer.status == 409
            assert (await answer.json())["reason"] == "Conflict"
    assert upstream.seen == []
    assert await client.status("GET") == 201
    assert (await client.counters()).conflicted == 4


@pytest.mark.parametrize("path", [POD, LEDGER])
async def test_the_first_write_of_a_ledger_or_a_pod_is_one_of_the_conflicts(
    client: Client, path: str
) -> None:
    await client.set_policy(Policy(conflicting=1e-9))
    assert await client.status("PATCH", DEPLOYMENT) == 201
    assert [await client.status("PATCH", path) for _ in range(3)] == [409, 201, 201]
    counters = await client.counters()
    assert (counters.conflicted, counters.budgets_and_pods_conflicted) == (1, 1)


async def test_a_conflict_elsewhere_is_none_of_a_ledger_or_a_pod(client: Client) -> None:
    await client.set_policy(Policy(conflicting=1.0))
    assert await client.status("PATCH", DEPLOYMENT) == 409
    counters = await client.counters()
    assert (counters.conflicted, counters.budgets_and_pods_conflicted) == (1, 0)


@pytest.mark.parametrize("policy", [Policy(delay=(0.01, 0.01)), Policy(failing=1.0), Policy(conflicting=1.0)])
async def test_what_happens_to_leases_is_not_counted(client: Client, policy: Policy) -> None:
    await client.set_policy(policy)
    await client.status("PUT", LEASE)
    counters = await client.counters()
    assert (counters.delayed, counters.failed, counters.conflicted) == (0, 0, 0)


async def test_requests_that_had_to_wait_are_counted(client: Client) -> None:
    await client.status("GET")
    assert (await client.counters()).delayed == 0
    await client.set_policy(Policy(delay=(0.01, 0.01)))
    await client.status("GET")
    assert (await client.counters()).delayed == 1


async def test_dropped_events_are_those_of_objects(client: Client, upstream: Upstream) -> None:
    await client.set_policy(Policy(events_dropped=1.0))
    kinds = ("ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR")
    for kind in kinds:
        upstream.events.put_nowait(event(kind, "a"))
    upstream.events.put_nowait(None)
    async with client.request("GET", f"{PODS}?watch=1") as answer:
        assert await answer.read() == event("BOOKMARK", "a") + event("ERROR", "a")
    assert (await client.counters()).dropped == 3


async def test_delayed_events_keep_their_order(client: Client, upstream: Upstream) -> None:
    await client.set_policy(Policy(events_delayed=(0.01, 0.2)))
    events = [event("MODIFIED", str(number)) for number in range(30)]
    for each in (*events, None):
        upstream.events.put_nowait(each)
    started = asyncio.get_running_loop().time()
    async with client.request("GET", f"{PODS}?watch=1") as answer:
        assert await answer.read() == b"".join(events)
    assert asyncio.get_running_loop().time() - started >= 0.01


async def test_a_new_policy_ends_the_open_watches_and_their_delays(
    client: Client, upstream: Upstream
) -> None:
    await client.set_policy(Policy(events_delayed=(LONG, LONG)))
    async with client.request("GET", f"{PODS}?watch=1") as answer:
        upstream.events.put_nowait(event("ADDED", "a"))
        await client.set_policy(Policy())
        assert await answer.read() == b"", "ended in order, without the event"
    await asyncio.wait_for(upstream.left.wait(), 20)


async def test_a_policy_is_of_one_port(clients: tuple[Client, Client]) -> None:
    first, second = clients
    await first.set_policy(Policy(failing=1.0))
    assert await second.status("GET") == 201
    assert await first.status("GET") == 429
    assert ((await first.counters()).failed, (await second.counters()).failed) == (1, 0)


async def test_killed_before_a_write_that_the_upstream_never_sees(
    client: Client, upstream: Upstream, process: asyncio.subprocess.Process
) -> None:
    await client.set_policy(Policy(kill=Kill(write=2, moment="before", pid=process.pid)))
    assert await client.status("PATCH") == 201
    assert not (await client.counters()).killed_at
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.status("POST", PODS)
    assert await process.wait() == -signal.SIGKILL
    assert upstream.seen == [f"PATCH {POD}"]
    assert (await client.counters()).killed_at == f"POST {PODS}"


async def test_killed_after_a_write_whose_answer_nobody_hears(
    client: Client, upstream: Upstream, process: asyncio.subprocess.Process
) -> None:
    await client.set_policy(Policy(kill=Kill(write=1, moment="after", pid=process.pid)))
    assert await client.status("GET") == 201
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.status("PATCH")
    assert await process.wait() == -signal.SIGKILL
    assert upstream.seen == [f"GET {POD}", f"PATCH {POD}"]
    assert await client.status("DELETE") == 201, "a kill happens once"
    assert (await client.counters()).killed_at == f"PATCH {POD}"


async def test_an_answer_is_read_to_its_end_before_the_kill(
    client: Client, upstream: Upstream, process: asyncio.subprocess.Process
) -> None:
    await client.set_policy(Policy(kill=Kill(write=1, moment="after", pid=process.pid)))
    patching = asyncio.create_task(client.status("PATCH", f"{POD}?watch"))
    await upstream.watching.wait()
    await asyncio.sleep(0.1)  # Enough to be killed too early, where the answer is not waited for.
    assert not (await client.counters()).killed_at
    upstream.events.put_nowait(None)
    with pytest.raises(aiohttp.ClientConnectionError):
        await patching
    assert await process.wait() == -signal.SIGKILL


async def test_writes_of_leases_are_not_counted_nor_killed_at(
    client: Client, process: asyncio.subprocess.Process
) -> None:
    await client.set_policy(Policy(kill=Kill(write=1, moment="before", pid=process.pid)))
    assert await client.status("PUT", LEASE) == 201
    counters = await client.counters()
    assert (counters.requests, counters.writes, counters.killed_at) == (1, 0, "")
    assert process.returncode is None


async def test_a_process_that_is_gone_was_not_killed(
    client: Client, process: asyncio.subprocess.Process
) -> None:
    process.kill()
    await process.wait()
    await client.set_policy(Policy(kill=Kill(write=1, moment="before", pid=process.pid)))
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.status("PATCH")
    assert not (await client.counters()).killed_at


async def test_counters_begin_anew_with_each_policy(client: Client) -> None:
    for method in ("GET", "PATCH", "DELETE"):
        await client.status(method)
    counters = await client.counters()
    assert (counters.requests, counters.writes) == (3, 2)
    await client.set_policy(Policy())
    assert (await client.counters()).requests == 0


async def test_an_upstream_that_is_not_there_closes_the_connection(origin: str) -> None:
    del origin
    port, control = unused_port(), unused_port()
    async with (
        Proxy(f"http://{HOST}:{unused_port()}", "secret", (port,), control, tls=True),
        aiohttp.ClientSession() as session,
    ):
        with pytest.raises(aiohttp.ClientConnectionError):
            await Client(session, port, control).status("GET")


@pytest.mark.parametrize(
    "policy",
    [b'{"failing": 1.5}', b'{"delay": [-1, 0]}', b'{"kil": null}', b'{"delay": [2, 1]}', b"no JSON"],
)
async def test_a_policy_that_makes_no_sense_is_refused(origin: str, policy: bytes) -> None:
    port, control = unused_port(), unused_port()
    async with (
        Proxy(origin, "secret", (port,), control, tls=True),
        aiohttp.ClientSession() as session,
        session.put(f"http://{HOST}:{control}/ports/{port}/policy", data=policy) as answer,
    ):
        assert answer.status == 400


async def test_the_command_line_runs_it_with_the_token_of_a_file(
    origin: str, upstream: Upstream, tmp_path: Path
) -> None:
    port, control = unused_port(), unused_port()
    token = tmp_path / "token"
    token.write_text("from the file\n")
    options = (f"--upstream={origin}", f"--token-file={token}", f"--control-port={control}", f"--port={port}")
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", "e2e.faults.proxy", *options)
    try:
        async with aiohttp.ClientSession() as session:
            await _answers(session, f"http://{HOST}:{control}/ports/{port}")
            assert await Client(session, port, control).status("GET") == 201
    finally:
        child.kill()
        await child.wait()
    assert upstream.headers[0]["Authorization"] == "Bearer from the file"


async def _answers(session: aiohttp.ClientSession, url: str) -> None:
    while True:
        try:
            async with session.get(url):
                return
        except aiohttp.ClientConnectionError:
            await asyncio.sleep(0.1)
