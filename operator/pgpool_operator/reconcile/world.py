"""The store as the pure packages want it: pools with their servers, pods, and which pod belongs to which server."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import structlog

from pgpool_pooler.contract import Endpoint

from ..api import InvalidResourceError, PgBudget, PgPool, parse_pgbudget, parse_pgpool
from ..cluster.kinds import NODE, PGBUDGET, PGPOOL, POD
from ..cluster.store import Store
from ..discovery import Discovery, Server, assign, discover
from .pods import PoolerPod, pods_of

log = structlog.get_logger()

Object = dict[str, Any]


@dataclass(frozen=True)
class PoolFacts:
    """One PgPool and everything in the cluster that belongs to it."""

    raw: Object
    pool: PgPool
    discovery: Discovery
    pods: tuple[PoolerPod, ...]
    placement: Mapping[str, str]
    """Server name by pod uid."""

    @property
    def key(self) -> str:
        """namespace/name, as ledgers have it."""
        return f"{self.pool.metadata.namespace}/{self.pool.metadata.name}"

    def server(self, name: str) -> Server | None:
        """A server of the pool by name."""
        return next((server for server in self.discovery.servers if server.name == name), None)

    def switching_to(self, world: "World") -> str:
        """The primary, while a write pod still has connections to another server; empty otherwise."""
        primary = self.discovery.primary
        if primary is None:
            return ""
        write = {pod.uid for pod in self.pods if pod.endpoint is Endpoint.WRITE and not pod.deleted}
        elsewhere = (
            grant.uid in write and name != primary.name and grant.pool == self.key
            for name, ledger in world.budgets.items()
            for grant in ledger.status.grants
        )
        return primary.name if any(elsewhere) else ""


class World:
    """One namespace, as it was observed when this was made."""

    def __init__(self, store: Store, namespace: str) -> None:
        self._store = store
        self._namespace = namespace

    @cached_property
    def budgets(self) -> Mapping[str, PgBudget]:
        """The ledgers by name."""
        return {raw["metadata"]["name"]: parse_pgbudget(raw) for raw in self._raw_budgets()}

    @cached_property
    def pools(self) -> Mapping[str, PoolFacts]:
        """The PgPools that can be read and are not being deleted, by name; oldest first."""
        facts = [found for raw in self._raw_pools() if (found := self._read(raw)) is not None]
        facts.sort(key=lambda f: (f.raw["metadata"]["creationTimestamp"], f.key))
        return {found.pool.metadata.name: found for found in facts}

    def on_server(self, name: str) -> tuple[PoolFacts, ...]:
        """The pools that use a server, or have pods there although it is not to be found now; oldest first."""
        return tuple(
            found
            for found in self.pools.values()
            if found.server(name) is not None or name in found.placement.values()
        )

    def generation_elsewhere(self, uid: str, budget: str) -> int:
        """The highest generation that another ledger knows for a pod: generations are per pod, not per ledger."""
        return max(
            (
                grant.generation
                for name, ledger in self.budgets.items()
                for grant in ledger.status.grants
                if grant.uid == uid and name != budget
            ),
            default=0,
        )

    def _read(self, raw: Object) -> PoolFacts | None:
        try:
            pool = parse_pgpool(raw)
        except InvalidResourceError as error:
            log.error("unreadable PgPool", namespace=self._namespace, error=str(error))
            return None
        nodes = {node["metadata"]["name"]: node for node in self._store.all(NODE)}
        discovery = discover(pool, list(self._store.all(POD, self._namespace)), nodes)
        pods = pods_of(self._store.all(POD, self._namespace), pool.metadata.name)
        read_from = pool.spec.read.target_session_attrs if pool.spec.read else "prefer-standby"
        placement = assign(
            {pod.uid: pod.endpoint for pod in pods}, discovery.servers, self._current(pods), read_from
        )
        return PoolFacts(raw, pool, discovery, pods, placement)

    def _current(self, pods: tuple[PoolerPod, ...]) -> dict[str, str]:
        """Where each pod's newest grant is from."""
        newest: dict[str, tuple[int, str]] = {}
        for name, ledger in self.budgets.items():
            for grant in ledger.status.grants:
                if grant.cap > 0:
                    newest[grant.uid] = max(newest.get(grant.uid, (-1, "")), (grant.generation, name))
        return {pod.uid: newest[pod.uid][1] for pod in pods if pod.uid in newest}

    def _raw_pools(self) -> Iterator[Object]:
        for raw in self._store.all(PGPOOL, self._namespace):
            if "deletionTimestamp" not in raw["metadata"]:
                yield raw

    def _raw_budgets(self) -> Iterator[Object]:
        return self._store.all(PGBUDGET, self._namespace)
