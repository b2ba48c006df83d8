"""Whether this replica still sees the cluster: a listing is compared with what the watches have told.

A watch that is dead without knowing leaves the operator blind while all looks well. So every kind is listed
now and then; versions that the watch should have told of long ago mean that it is stale, and the liveness
probe fails. The same listing finds the deletions that a watch lost. Those alone mean nothing: they happen when the
stream of a live watch starts again.
"""

import asyncio
from collections.abc import Sequence
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


class Sweeper:
    """Lists every kind at start and then periodically, and judges the watches by it."""

    def __init__(self, api: Api, store: Store, kinds: Sequence[Kind], namespace: str | None) -> None:
        self._api = api
        self._store = store
        self._kinds = kinds
        self._namespace = namespace
        self._stale: set[str] = set()

    @property
    def stale(self) -> list[str]:
        """Kinds whose watch was found to lag; empty when all is well."""
        return sorted(self._stale)

    async def fill(self) -> None:
        """The first listing of every kind, before anything is decided; waits for an API server that fails."""
        for kind in self._kinds:
            listing = await patiently(f"list {kind.plural}", partial(self._list, kind))
            self._store.replace(kind, *listing)

    async def run(self) -> None:
        """Sweep for ever."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            await self._judge()

    async def _judge(self) -> None:
        """List every kind, give the watches their time once for all of them, and compare."""
        listings = {}
        for kind in self._kinds:
            try:
                listings[kind] = await self._list(kind)
            except ApiError as error:
                log.warning("listing failed", kind=kind.name, error=str(error))
        await asyncio.sleep(WATCH_LAG_SECONDS)
        for kind, (listed, version) in listings.items():
            self._compare(kind, listed, version)

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
