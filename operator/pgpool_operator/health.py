"""Whether this replica still sees the cluster: a listing is compared with what the watches have told.

A watch that is dead without knowing leaves the operator blind while all looks well. So every kind is listed
now and then; versions that the watch should have told of long ago mean that it is stale, and the liveness
probe fails. The same listing finds the deletions that a watch lost. Those alone mean nothing: they happen when the
stream of a live watch starts again. That is noticed, and the kind is listed soon after.
"""

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial

import structlog

from .cluster.api import Api, ApiError, patiently
from .cluster.kinds import CHILDREN, Kind
from .cluster.store import Object, Store
from .watching import MANAGED_SELECTOR, slim

log = structlog.get_logger()

SWEEP_SECONDS = 300.0
WATCH_LAG_SECONDS = 30.0
"""A live watch delivers within this; what is still missing after it is missed."""
RESTART_LAG_SECONDS = 4.0
"""For the watches that start again together, and then for their own events: what they tell has not to be found."""


class Sweeper:
    """Lists every kind at start and then periodically, and judges the watches by it."""

    def __init__(self, api: Api, store: Store, kinds: Sequence[Kind], namespace: str | None) -> None:
        self._api = api
        self._store = store
        self._kinds = kinds
        self._namespace = namespace
        self._stale: set[str] = set()
        self._started: set[Kind] = set(kinds)
        """Kinds to look at: of what was deleted before their watches started, those do not tell."""
        self._any_started = asyncio.Event()
        self._any_started.set()

    @property
    def stale(self) -> list[str]:
        """Kinds whose watch was found to lag; empty when all is well."""
        return sorted(self._stale)

    async def fill(self) -> None:
        """The first listing of every kind, before anything is decided; waits for an API server that fails."""
        for kind in self._kinds:
            listing = await patiently(f"list {kind.plural}", partial(self._list, kind))
            self._store.replace(kind, *listing)

    def started(self, kind: Kind) -> None:
        """The watch of a kind has started, perhaps again; it is told for every object that is there then."""
        self._started.add(kind)
        self._any_started.set()

    async def run(self) -> None:
        """Sweep for ever, and look at kinds whose watches have started."""
        clock = asyncio.get_running_loop().time
        due = clock() + SWEEP_SECONDS
        while True:
            if await self._started_before(due):
                await self._look()
            if clock() >= due:
                await self._judge()
                due = clock() + SWEEP_SECONDS

    async def _started_before(self, due: float) -> bool:
        try:
            async with asyncio.timeout_at(due):
                await self._any_started.wait()
        except TimeoutError:
            return False
        return True

    async def _look(self) -> None:
        """Find what was deleted while no watch told of it. This says nothing of how the watches are."""
        await asyncio.sleep(RESTART_LAG_SECONDS)
        kinds, self._started = self._started, set()
        self._any_started.clear()
        listings = await self._listed(kinds, RESTART_LAG_SECONDS)
        for kind, listing in listings.items():
            self._replace(kind, *listing)
        for kind in kinds - listings.keys():
            self.started(kind)

    async def _judge(self) -> None:
        """Compare every kind with what its watch has told."""
        for kind, listing in (await self._listed(self._kinds, WATCH_LAG_SECONDS)).items():
            self._compare(kind, *listing)

    async def _listed(self, kinds: Iterable[Kind], lag: float) -> dict[Kind, tuple[list[Object], str]]:
        """List the kinds, as far as they can be, and give the watches their time once for all of them."""
        listings = {}
        for kind in kinds:
            try:
                listings[kind] = await self._list(kind)
            except ApiError as error:
                log.warning("listing failed", kind=kind.name, error=str(error))
        await asyncio.sleep(lag)
        return listings

    def _compare(self, kind: Kind, listed: list[Object], version: str) -> None:
        changed = self._replace(kind, listed, version)
        if changed:
            self._stale.add(kind.name)
            log.error("watch is stale", kind=kind.name, missed=_names(changed))
        else:
            self._stale.discard(kind.name)

    def _replace(self, kind: Kind, listed: list[Object], version: str) -> list[Object]:
        """Returns the versions that the watch has not told of."""
        changed, gone = self._store.replace(kind, listed, version)
        if gone:
            log.info("deletions were missed", kind=kind.name, missed=_names(gone))
        return changed

    async def _list(self, kind: Kind) -> tuple[list[Object], str]:
        selector = MANAGED_SELECTOR if kind in CHILDREN else None
        listed, version = await self._api.list(kind, self._namespace, selector)
        return [slim(kind, obj) for obj in listed], version


def _names(objects: Sequence[Object]) -> list[str]:
    """A few of them, for the log."""
    return [obj["metadata"]["name"] for obj in objects[:5]]
