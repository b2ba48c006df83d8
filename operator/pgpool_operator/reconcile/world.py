"""The store as the pure packages want it: pools with their servers, pods, and which pod belongs to which server."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

import structlog

from pgpool_pooler.contract import Endpoint

from ..api import InvalidResourceError, PgBudget, PgPool, parse_pgbudget, parse_pgpool
from ..cluster.kinds import NODE, PGBUDGET, PGPOOL, POD
from ..cluster.store import Store
from ..discovery import Discovery, Server, assign, discover
from .pods import PoolerPod, is_pooler, read_pod

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


M = TypeVar("M")


class _Parsed(Generic[M]):
    """Models of one kind by namespace and uid, parsed once for each version."""

    def __init__(self, parse: Callable[[Object], M]) -> None:
        self._parse = parse
        self._known: dict[str, dict[str, tuple[Object, M]]] = {}

    def of(self, namespace: str, raws: Iterable[Object]) -> list[tuple[Object, M]]:
        """All objects of a namespace with their models; those that are not there any more are forgotten."""
        before, now = self._known.get(namespace, {}), {}
        for raw in raws:
            uid = raw["metadata"]["uid"]
            known = before.get(uid)
            now[uid] = known if known is not None and known[0] is raw else (raw, self._parse(raw))
        self._known[namespace] = now
        return list(now.values())


def _readable(raw: Object) -> PgPool | None:
    try:
        return parse_pgpool(raw)
    except InvalidResourceError as error:
        log.error("unreadable PgPool", error=str(error))
        return None


class Models:
    """What a World has parsed, for the next one: most objects are the same then."""

    def __init__(self) -> None:
        self.pools = _Parsed(_readable)
        self.budgets = _Parsed(parse_pgbudget)


class World:
    """One namespace, as it was observed when this was made."""

    def __init__(self, store: Store, namespace: str, models: Models | None = None) -> None:
        self._store = store
        self._namespace = namespace
        self._models = models or Models()

    @cached_property
    def budgets(self) -> Mapping[str, PgBudget]:
        """The ledgers by name."""
        found = self._models.budgets.of(self._namespace, self._store.all(PGBUDGET, self._namespace))
        return {budget.metadata.name: budget for _, budget in found}

    @cached_property
    def pools(self) -> Mapping[str, PoolFacts]:
        """The PgPools that can be read and are not being deleted, by name; oldest first."""
        found = self._models.pools.of(self._namespace, self._raw_pools())
        facts = [self._facts(raw, pool) for raw, pool in found if pool is not None]
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

    def _facts(self, raw: Object, pool: PgPool) -> PoolFacts:
        discovery = discover(pool, self._raw_pods, self._nodes)
        pods = tuple(sorted(self._pods.get(pool.metadata.name, ()), key=lambda pod: pod.name))
        current = {pod.uid: self._newest[pod.uid][1] for pod in pods if pod.uid in self._newest}
        read_from = pool.spec.read.target_session_attrs if pool.spec.read else "prefer-standby"
        placement = assign({pod.uid: pod.endpoint for pod in pods}, discovery.servers, current, read_from)
        return PoolFacts(raw, pool, discovery, pods, placement)

    @cached_property
    def _newest(self) -> Mapping[str, tuple[int, str]]:
        """Generation and server of the newest grant, by pod uid."""
        newest: dict[str, tuple[int, str]] = {}
        for name, ledger in self.budgets.items():
            for grant in ledger.status.grants:
                if grant.cap > 0:
                    newest[grant.uid] = max(newest.get(grant.uid, (-1, "")), (grant.generation, name))
        return newest

    @cached_property
    def _pods(self) -> Mapping[str, list[PoolerPod]]:
        """The pooler pods by pool."""
        pods: dict[str, list[PoolerPod]] = {}
        for pod in (read_pod(raw) for raw in self._raw_pods if is_pooler(raw)):
            pods.setdefault(pod.pool, []).append(pod)
        return pods

    @cached_property
    def _raw_pods(self) -> list[Object]:
        return list(self._store.all(POD, self._namespace))

    @cached_property
    def _nodes(self) -> Mapping[str, Object]:
        return {node["metadata"]["name"]: node for node in self._store.all(NODE)}

    def _raw_pools(self) -> Iterator[Object]:
        for raw in self._store.all(PGPOOL, self._namespace):
            if "deletionTimestamp" not in raw["metadata"]:
                yield raw
