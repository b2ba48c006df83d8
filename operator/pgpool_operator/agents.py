"""Reading `GET /v1/state` of the pooler pods: acknowledgements, load, problems.

One task follows one pod. It asks often while something is under way (an unacknowledged grant, waiting
clients) and seldom when the pod is quiet. Nothing is ever sent to a pod: commands travel as grants.
"""

import asyncio
import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

import aiohttp
import structlog
from pydantic import ValidationError

from pgpool_pooler.contract import ServerState, State

from . import metrics
from .budget import expected_demand
from .discovery import Address, address_of
from .scaling import History, PodLoad, crowded, sample

log = structlog.get_logger()

STATE_PORT = 9127
BUSY_SECONDS = 1.0
QUIET_SECONDS = 3.0
UNSETTLED_SECONDS = 0.2
"""Pause between two looks at a pod under load, at rest, and with a grant under way."""
ANSWER_SECONDS = 5.0
"""A live agent on a live network answers well within this."""
SILENT_SECONDS = 10.0
"""A pod that was not heard for so long is silent: longer than the longest pause and a late answer together."""


@dataclass(frozen=True)
class Target:
    """A pod to follow."""

    uid: str
    namespace: str
    name: str
    address: str


@dataclass
class _Follower:
    target: Target
    task: asyncio.Task[None]
    state: State | None = None
    demand: dict[str, float] = field(default_factory=dict)
    heard_at: float = 0.0
    asked_at: float = 0.0
    """When the state was asked for that is the last word."""
    history: History = field(default_factory=History)
    expected: int = 0
    expected_since: float = 0.0
    unreadable: str = ""
    """What was wrong with the last answer; said once."""
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the first answer, or none, has come."""


Changed = Callable[[Target], None]


class Agents:
    """The last word of every pod that is followed."""

    def __init__(self, changed: Changed) -> None:
        self._changed = changed
        self._followers: dict[str, _Follower] = {}
        self._reporting: dict[Address, set[str]] = {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "Agents":
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        self._session = aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.follow(())
        if self._session is not None:
            await self._session.close()

    def follow(self, targets: Iterable[Target]) -> None:
        """Follow exactly these pods from now on."""
        wanted = {target.uid: target for target in targets}
        for uid, follower in list(self._followers.items()):
            if wanted.get(uid) != follower.target:
                follower.task.cancel()
                self._note(uid, follower.state, None)
                del self._followers[uid]
        for uid, target in wanted.items():
            if uid not in self._followers:
                task = asyncio.create_task(self._follow(target), name=f"agent {target.name}")
                self._followers[uid] = _Follower(target, task)

    async def all_asked(self) -> None:
        """Wait until every pod that is followed now was asked once: who has just come knows nothing of them.

        Takes no longer than the slowest answer, ANSWER_SECONDS at most.
        """
        for follower in list(self._followers.values()):
            await follower.asked.wait()

    def state(self, uid: str) -> State | None:
        """What the pod said last; None if it was never heard. The pod's UID in the reply was checked."""
        follower = self._followers.get(uid)
        return follower.state if follower else None

    def age(self, uid: str) -> float:
        """Seconds since the pod's last word was asked for: what it says was so at some time since."""
        follower = self._followers.get(uid)
        return time.monotonic() - follower.asked_at if follower and follower.state else math.inf

    def reporting(self, server: Address) -> Collection[str]:
        """The pods (uid) that spoke of a server when they were heard last."""
        return frozenset(self._reporting.get(server, ()))

    def demand(self, uid: str) -> Mapping[str, float]:
        """The connections that the pod could use, by database: a moving average of busy + waiting clients."""
        follower = self._followers.get(uid)
        return follower.demand if follower else {}

    def load(self, uid: str) -> PodLoad | None:
        """The pod's load of late; None if it is not known: not followed, not ready, or silent."""
        follower = self._followers.get(uid)
        return follower.history.load(time.monotonic()) if follower else None

    def expect(self, uid: str, generation: int) -> None:
        """A grant is on its way: look more often until the pod acknowledges it."""
        follower = self._followers.get(uid)
        if follower is not None and generation > follower.expected:
            follower.expected, follower.expected_since = generation, time.monotonic()
            follower.wake.set()

    async def _follow(self, target: Target) -> None:
        await asyncio.sleep(0)
        follower = self._followers[target.uid]
        while True:
            try:
                state = await self._look(follower)
            except Exception:
                # Nobody else would say so, and the pod would be taken for one that has not changed since.
                log.exception("state not taken in", pod=target.name)
                state = None
            follower.asked.set()
            follower.wake.clear()
            try:
                async with asyncio.timeout(_pause(state, follower.expected)):
                    await follower.wake.wait()
            except TimeoutError:
                continue

    async def _look(self, follower: _Follower) -> State | None:
        """Ask once, and tell of what has changed."""
        asked_at = time.monotonic()
        state = await self._ask(follower)
        if state is not None:
            follower.asked_at = asked_at
            self._note(follower.target.uid, follower.state, state)
            if _take_in(follower, state):
                self._changed(follower.target)
        return state

    def _note(self, uid: str, before: State | None, after: State | None) -> None:
        """Keep the pods by the servers that they speak of."""
        for server in _addresses(before) - _addresses(after):
            self._reporting[server].discard(uid)
            if not self._reporting[server]:
                del self._reporting[server]
        for server in _addresses(after):
            self._reporting.setdefault(server, set()).add(uid)

    async def _ask(self, follower: _Follower) -> State | None:
        assert self._session is not None
        target = follower.target
        url = f"http://{_bracketed(target.address)}:{STATE_PORT}/v1/state"
        try:
            async with self._session.get(url) as response:
                state = State.model_validate_json(await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None
        except ValidationError as error:
            if str(error) != follower.unreadable:
                follower.unreadable = str(error)
                log.warning("unreadable state", pod=target.name, error=follower.unreadable)
            return None
        follower.unreadable = ""
        return state if state.uid == target.uid else None


def _take_in(follower: _Follower, state: State) -> bool:
    """Remember a new state; whether it can change a decision."""
    before, demand, now = follower.state, follower.demand, time.monotonic()
    silence = now - follower.heard_at
    if before is None or before.acknowledged < follower.expected <= state.acknowledged:
        _report_acknowledgement(follower, state)
    follower.state = state
    follower.history.add(sample(state, now))
    follower.demand = {
        d.name: expected_demand(demand.get(d.name), d.active, d.waiting, silence) for d in state.databases
    }
    follower.heard_at = now
    if before is None or silence > SILENT_SECONDS or crowded(before) is not crowded(state):
        return True
    return matters(before, state) or _rounded(demand) != _rounded(follower.demand)


def _report_acknowledgement(follower: _Follower, state: State) -> None:
    if not follower.expected_since or state.acknowledged < follower.expected:
        return
    seconds = time.monotonic() - follower.expected_since
    metrics.ACKNOWLEDGED_SECONDS.observe(seconds)
    log.info(
        "acknowledged", pod=follower.target.name, generation=state.acknowledged, seconds=round(seconds, 3)
    )


def _rounded(demand: Mapping[str, float]) -> dict[str, int]:
    return {name: round(value) for name, value in demand.items()}


def matters(before: State, after: State) -> bool:
    """Whether something other than the load has changed."""
    load = {
        "clients",
        "waiting",
        "transactions",
        "busy_seconds",
        "query_seconds",
        "cpu_seconds",
        "databases",
        "servers",
    }
    if before.model_dump(exclude=load) != after.model_dump(exclude=load):
        return True
    return [_reached(server) for server in before.servers] != [_reached(server) for server in after.servers]


def _reached(server: ServerState) -> tuple[object, ...]:
    """When the server was asked last is no news; nor is, of several servers, which of them answers this time."""
    known = tuple(i.model_copy(update={"asked_at": None}) for i in (server.identity, *server.others) if i)
    return server.host, server.port, server.cap, server.reachable, server.error, known


def _addresses(state: State | None) -> frozenset[Address]:
    servers = state.servers if state is not None else ()
    return frozenset(address_of(server.host, server.port) for server in servers)


def _busy(state: State) -> bool:
    return any(database.active or database.waiting for database in state.databases)


def _pause(state: State | None, expected: int) -> float:
    if state is None:
        return BUSY_SECONDS
    if state.acknowledged < max(expected, state.generation):
        return UNSETTLED_SECONDS
    return BUSY_SECONDS if _busy(state) else QUIET_SECONDS


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
