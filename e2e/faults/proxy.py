"""A proxy between operator processes and the API server that delays, refuses, loses and kills as it is told.

`python -m e2e.faults.proxy --upstream URL --ca FILE --token-file FILE --control-port N --port A --port B`: each
operator has a port of its own, so that the proxy knows who speaks. On the control port, `PUT /ports/A/policy`
sets a Policy as JSON and `GET /ports/A` answers with Counters.
"""

import asyncio
import io
import json
import os
import random
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from itertools import cycle
from pathlib import Path
from typing import Annotated, Literal, Self

import aiohttp
import click
from aiohttp import web
from multidict import CIMultiDict
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, NonNegativeFloat, ValidationError
from yarl import URL

HOST = "127.0.0.1"

_WRITES = frozenset({"PUT", "PATCH", "POST", "DELETE"})
_LEASES = "/apis/coordination.k8s.io/"
_BUDGETS_AND_PODS = ("/pgbudgets/", "/pods/")
"""Where ledgers and grants are written."""
_OBJECT_EVENTS = frozenset({"ADDED", "MODIFIED", "DELETED"})
_FAILURES = {429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable"}
_OF_ONE_CONNECTION = frozenset(
    {"connection", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""Headers that are not passed on: aiohttp writes its own on each side."""

Share = Annotated[float, Field(ge=0, le=1)]


def _in_order(between: tuple[float, float]) -> tuple[float, float]:
    if between[0] > between[1]:
        raise ValueError(f"the shortest time comes first, not {between[0]:g} before {between[1]:g}")
    return between


Between = Annotated[tuple[NonNegativeFloat, NonNegativeFloat], AfterValidator(_in_order)]
"""The shortest and the longest of some uniformly random times, in seconds."""


class Kill(BaseModel):
    """SIGKILL a process at one of its writes; once, and only as long as the policy is in force."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    write: int = Field(ge=1)
    """Which write, counted from when the policy was set. Writes of Leases are not counted."""
    moment: Literal["before", "after"]
    """Before: the API server never sees the write. After: it has answered, and nobody hears the answer."""
    pid: int = Field(gt=1)


class Policy(BaseModel):
    """What happens to the requests of one port. Setting one ends the port's open watches, whatever it says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    delay: Between = (0.0, 0.0)
    """Each request waits this long before anything else happens to it."""
    failing: Share = 0.0
    """Of all requests, watches at their start among them: answered 429 (Retry-After: 1), 500, 503 in turn."""
    conflicting: Share = 0.0
    """Of the writes: answered 409. The first one of a PgBudget or a pod always is, so that there is one."""
    events_dropped: Share = 0.0
    """Of the watch events about objects (not bookmarks, not errors): never passed on."""
    events_delayed: Between = (0.0, 0.0)
    """Each watch event is passed on this much later, but never before an earlier one of its watch."""
    kill: Kill | None = None
    seed: int = 0
    """Of all that is random."""


class Counters(BaseModel):
    """What has happened on a port since its policy was set."""

    model_config = ConfigDict(frozen=True)

    requests: int
    """All that came in."""
    writes: int
    """Neither refused nor of Leases: passed on, or killed at."""
    delayed: int
    """Requests that had to wait. Here and below, those of Leases are left out: they come whatever else is done."""
    failed: int
    conflicted: int
    """Writes of anything."""
    budgets_and_pods_conflicted: int
    """Of these, those of PgBudgets and pods."""
    dropped: int
    """Watch events that were not passed on."""
    killed_at: str
    """The write that the process was killed at, `PATCH /api/v1/...`; empty as long as it was not."""


class _Period:
    """The time in which one policy is in force on one port."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.requests = self.writes = self.delayed = self.failed = self.dropped = 0
        self.conflicted = self.budgets_and_pods_conflicted = 0
        self.killed_at = ""
        self.watches: set[asyncio.Timeout] = set()
        self._random = random.Random(policy.seed)
        self._failures = cycle(_FAILURES.items())

    def counters(self) -> Counters:
        return Counters.model_validate(self, from_attributes=True)

    def within(self, between: Between) -> float:
        return self._random.uniform(*between)

    def delay(self, request: web.Request) -> float:
        """Seconds that a request has to wait."""
        seconds = self.within(self.policy.delay)
        self.delayed += seconds > 0 and not _is_of_leases(request)
        return seconds

    def happens(self, share: float) -> bool:
        return self._random.random() < share

    def refusal(self, request: web.Request) -> web.Response | None:
        """The answer to a request that is not to be passed on."""
        if self.happens(self.policy.failing):
            self.failed += not _is_of_leases(request)
            return _refused(*next(self._failures))
        if request.method in _WRITES and self._conflicts(request):
            self.conflicted += not _is_of_leases(request)
            self.budgets_and_pods_conflicted += _is_of_budgets_or_pods(request)
            return _refused(409, "Conflict")
        return None

    def _conflicts(self, request: web.Request) -> bool:
        share = self.policy.conflicting
        first = not self.budgets_and_pods_conflicted and _is_of_budgets_or_pods(request)
        return self.happens(share) or (share > 0 and first)

    def count(self, request: web.Request) -> Kill | None:
        """Take note of a request that is to be passed on; the kill if it is due at this one."""
        if request.method not in _WRITES or _is_of_leases(request):
            return None
        self.writes += 1
        kill = self.policy.kill
        return kill if kill is not None and kill.write == self.writes else None

    def drops(self, event: bytes) -> bool:
        """Whether an event of a watch is lost."""
        if not self.happens(self.policy.events_dropped) or json.loads(event)["type"] not in _OBJECT_EVENTS:
            return False
        self.dropped += 1
        return True

    def strike(self, kill: Kill, request: web.Request) -> None:
        """Kill the process; one that is gone already was not killed here."""
        with suppress(ProcessLookupError):
            os.kill(kill.pid, signal.SIGKILL)
            self.killed_at = f"{request.method} {request.path}"

    def end(self) -> None:
        """Another policy comes into force."""
        for watch in self.watches:
            watch.reschedule(0)


class _Port:
    """One operator's way to the API server."""

    def __init__(self, upstream: URL, token: str, tls: ssl.SSLContext | bool) -> None:
        self._upstream = upstream
        self._token = token
        self._tls = tls
        self._period = _Period(Policy())
        app = web.Application(client_max_size=0)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0)

    async def start(self, port: int, stack: AsyncExitStack) -> None:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        connector = aiohttp.TCPConnector(limit=0, ssl=self._tls)
        session = aiohttp.ClientSession(timeout=timeout, connector=connector, auto_decompress=False)
        self._session = await stack.enter_async_context(session)
        await _listen(self._runner, port, stack)

    def counters(self) -> Counters:
        return self._period.counters()

    def set_policy(self, policy: Policy) -> None:
        before, self._period = self._period, _Period(policy)
        before.end()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        period = self._period
        period.requests += 1
        body = await request.read()
        await asyncio.sleep(period.delay(request))
        # Another policy may be in force by now.
        period = self._period
        refusal = period.refusal(request)
        if refusal is not None:
            return refusal
        kill = period.count(request)
        if kill is not None and kill.moment == "before":
            period.strike(kill, request)
            return _hung_up(request, web.Response())
        return await self._forward(request, body, kill)

    async def _forward(self, request: web.Request, body: bytes, kill: Kill | None) -> web.StreamResponse:
        """Pass a request on; `kill` is due once the upstream has answered."""
        reply = web.StreamResponse()
        headers = _passed_on(request.headers)
        headers["Authorization"] = f"Bearer {self._token}"
        period = self._period
        try:
            async with self._session.request(
                request.method,
                URL(f"{self._upstream}{request.raw_path}", encoded=True),
                headers=headers,
                data=io.BytesIO(body) if body else None,
                allow_redirects=False,
                skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            ) as answer:
                if kill is not None:
                    await answer.read()
                    if period is self._period:
                        period.strike(kill, request)
                    return _hung_up(request, reply)
                reply = web.StreamResponse(
                    status=answer.status, reason=answer.reason, headers=_passed_on(answer.headers)
                )
                await reply.prepare(request)
                await self._pass_back(request, answer, reply)
                await reply.write_eof()
                return reply
        except aiohttp.ClientError:
            return _hung_up(request, reply)

    async def _pass_back(
        self, request: web.Request, answer: aiohttp.ClientResponse, reply: web.StreamResponse
    ) -> None:
        if answer.status != 200 or request.query.get("watch") not in ("true", "1"):
            async for chunk in answer.content.iter_any():
                await reply.write(chunk)
            return
        period = self._period
        try:
            async with asyncio.timeout(None) as watch:
                period.watches.add(watch)
                await _relay(answer.content, reply.write, period)
        except TimeoutError:
            # The policy has changed: to the client, a watch that ended.
            pass
        finally:
            period.watches.discard(watch)


async def _relay(
    content: aiohttp.StreamReader, write: Callable[[bytes], Awaitable[None]], period: _Period
) -> None:
    """Pass a watch's events on, each when it is due."""
    clock = asyncio.get_running_loop().time
    events: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue()

    async def read() -> None:
        try:
            async for line in _lines(content):
                if not period.drops(line):
                    due = clock() + period.within(period.policy.events_delayed)
                    events.put_nowait((due, line))
        finally:
            events.put_nowait(None)

    reader = asyncio.create_task(read())
    try:
        while (event := await events.get()) is not None:
            due, line = event
            await asyncio.sleep(due - clock())
            await write(line)
        await reader
    finally:
        reader.cancel()


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Of any length, which aiohttp's own readline() does not allow."""
    rest = b""
    async for chunk in content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line + b"\n"
    if rest:
        yield rest


def _is_of_leases(request: web.Request) -> bool:
    return request.path.startswith(_LEASES)


def _is_of_budgets_or_pods(request: web.Request) -> bool:
    return any(kind in request.path for kind in _BUDGETS_AND_PODS)


def _hung_up(request: web.Request, reply: web.StreamResponse) -> web.StreamResponse:
    """Close the connection at once; `reply` is what aiohttp then fails to send."""
    if request.transport is not None:
        request.transport.abort()
    return reply


def _passed_on(headers: Mapping[str, str]) -> CIMultiDict[str]:
    kept = (item for item in headers.items() if item[0].lower() not in _OF_ONE_CONNECTION)
    return CIMultiDict(kept)


def _refused(status: int, reason: str) -> web.Response:
    """As the API server words it."""
    later = status == 429
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": f"the proxy answers {status} on purpose",
        "reason": reason,
        "details": {"retryAfterSeconds": 1} if later else {},
        "code": status,
    }
    return web.json_response(body, status=status, headers={"Retry-After": "1"} if later else {})


async def _listen(runner: web.AppRunner, port: int, stack: AsyncExitStack) -> None:
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, HOST, port).start()


class Proxy:
    """All ports and the control port, as long as its `async with` block runs."""

    def __init__(
        self, upstream: str, token: str, ports: tuple[int, ...], control_port: int, tls: ssl.SSLContext | bool
    ) -> None:
        url = URL(upstream).origin()
        self._ports = {port: _Port(url, token, tls) for port in ports}
        self._control_port = control_port
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for number, port in self._ports.items():
                await port.start(number, stack)
            app = web.Application()
            app.router.add_put(r"/ports/{port:\d+}/policy", self._set_policy)
            app.router.add_get(r"/ports/{port:\d+}", self._counters)
            await _listen(web.AppRunner(app, access_log=None), self._control_port, stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _set_policy(self, request: web.Request) -> web.Response:
        port = self._named(request)
        try:
            policy = Policy.model_validate_json(await request.read())
        except ValidationError as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        port.set_policy(policy)
        return web.Response(status=204)

    async def _counters(self, request: web.Request) -> web.Response:
        text = self._named(request).counters().model_dump_json()
        return web.Response(text=text, content_type="application/json")

    def _named(self, request: web.Request) -> _Port:
        port = self._ports.get(int(request.match_info["port"]))
        if port is None:
            raise web.HTTPNotFound(
                text=f"no port {request.match_info['port']}; there are {list(self._ports)}"
            )
        return port


@click.command()
@click.option("--upstream", required=True, help="The API server, https://host:port.")
@click.option("--ca", type=click.Path(exists=True, path_type=Path), help="Its certificate authority, PEM.")
@click.option(
    "--token-file", type=click.Path(exists=True, path_type=Path), required=True, help="Whose rights."
)
@click.option("--control-port", type=int, required=True, help="Where policies are set.")
@click.option("--port", "ports", type=int, multiple=True, required=True, help="One for each operator.")
def main(upstream: str, ca: Path | None, token_file: Path, control_port: int, ports: tuple[int, ...]) -> None:
    """Stand between operators and the API server until killed."""
    tls = ssl.create_default_context(cafile=ca) if ca else True
    proxy = Proxy(upstream, token_file.read_text().strip(), ports, control_port, tls)

    async def serve() -> None:
        async with proxy:
            await asyncio.Event().wait()

    asyncio.run(serve())


if __name__ == "__main__":
    main()
