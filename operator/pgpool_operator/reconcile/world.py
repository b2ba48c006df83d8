"""The store as the pure packages want it: pools with their servers, pods, and which pod belongs to which server."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pgpool_pooler.contract import Endpoint

from ..api import GrantRecord, PgBudget, PgPool
from ..cluster.index import Reading
from ..cluster.kinds import NODE, PGPOOL, POD
from ..cluster.near import LEDGERS, POOLS, as_it_is, granted, members, pools_near
from ..cluster.store import Store
from ..discovery import Address, Discovery, Server, assign, discover
from .pods import PoolerPod, pooler

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
            name != primary.name and grant.pool == self.key
            for uid in write
            for name, grant in world.grants_of(uid)
        )
        return primary.name if any(elsewhere) else ""


def _leads(pod: PoolerPod) -> Iterator[Hashable]:
    if pod.pool:
        yield pod.pool
    yield _UID, pod.uid
    for address in pod.addresses:
        yield _IP, address
    yield from granted(pod.grant)


_UID, _IP = "uid", "ip"
POOLERS = Reading(POD, pooler, _leads)
"""The pooler pods, by pool, uid, their own addresses, and the addresses of the servers that they are granted."""
NODES = Reading(NODE, as_it_is)
"""The nodes."""


class World:
    """One namespace. It is as it is when it is asked: what shall fit together is asked without waiting in between.

    An answer costs what is in it, not what else there is in the namespace.
    """

    def __init__(self, store: Store, namespace: str) -> None:
        self._store = store
        self._namespace = namespace
        self._specs = store.read(POOLS, namespace)
        self._ledgers = store.read(LEDGERS, namespace)
        self._poolers = store.read(POOLERS, namespace)
        self._nodes = store.read(NODES, "")
        self.pools = Pools(self._specs, self._facts)
        """The PgPools that can be read and are not being deleted, by name; oldest first."""

    @property
    def budgets(self) -> Mapping[str, PgBudget]:
        """The ledgers by name."""
        return self._ledgers

    def on_server(self, name: str) -> tuple[PoolFacts, ...]:
        """The pools that use a server, or have pods there although it is not to be found now; oldest first."""
        near = pools_near(self._store, self._namespace, name)
        facts = (self.pools[pool] for pool in near if pool in self.pools)
        return _by_age(
            found for found in facts if found.server(name) is not None or name in found.placement.values()
        )

    def pooler(self, record: GrantRecord) -> PoolerPod | None:
        """The pod that has a reservation; None if it is gone."""
        pod = self._poolers.get(record.pod)
        return pod if pod is not None and pod.uid == record.uid else None

    def holders(self, address: Address, reporting: Iterable[str]) -> Iterator[PoolerPod]:
        """The pods that are granted a server at an address, and those of `reporting` (uids) that are there."""
        yield from self._poolers.find(address)
        for uid in reporting:
            yield from self._poolers.find((_UID, uid))

    def is_taken(self, address: str, uid: str) -> bool:
        """Whether a living pod other than `uid` has an address: addresses are used again."""
        there = self._poolers.find((_IP, address))
        return any(pod.uid != uid and not (pod.deleted and pod.ended) for pod in there)

    def grants_of(self, uid: str) -> Iterator[tuple[str, GrantRecord]]:
        """A pod's reservations, each with the name of its ledger."""
        for ledger in self._ledgers.find(uid):
            for grant in ledger.status.grants:
                if grant.uid == uid:
                    yield ledger.metadata.name, grant

    def generation_elsewhere(self, uid: str, budget: str) -> int:
        """The highest generation that another ledger knows for a pod: generations are per pod, not per ledger."""
        return max((grant.generation for name, grant in self.grants_of(uid) if name != budget), default=0)

    def _facts(self, pool: PgPool) -> PoolFacts:
        raw = self._store.get(PGPOOL, self._namespace, pool.metadata.name)
        assert raw is not None, "it was read from there"
        pods = tuple(sorted(self._poolers.find(pool.metadata.name), key=lambda pod: pod.name))
        newest = {pod.uid: self._newest(pod.uid) for pod in pods}
        current = {uid: server for uid, server in newest.items() if server is not None}
        discovery = discover(pool, members(self._store, pool), self._nodes)
        read_from = pool.spec.read.target_session_attrs if pool.spec.read else "prefer-standby"
        placement = assign({pod.uid: pod.endpoint for pod in pods}, discovery.servers, current, read_from)
        return PoolFacts(raw, pool, discovery, pods, placement)

    def _newest(self, uid: str) -> str | None:
        """The server of a pod's newest grant."""
        grants = ((grant.generation, name) for name, grant in self.grants_of(uid) if grant.cap > 0)
        return max(grants, default=(0, None))[1]


class Pools(Mapping[str, PoolFacts]):
    """PgPools by name, oldest first; the facts of each are gathered when they are asked for."""

    def __init__(self, pools: Mapping[str, PgPool], gather: Callable[[PgPool], PoolFacts]) -> None:
        self._pools = pools
        self._gather = gather
        self._gathered: dict[str, PoolFacts] = {}

    def __getitem__(self, name: str) -> PoolFacts:
        if name not in self._gathered:
            self._gathered[name] = self._gather(self._pools[name])
        return self._gathered[name]

    def __contains__(self, name: object) -> bool:
        return name in self._pools

    def get(self, name: str, default: None = None) -> PoolFacts | None:  # type: ignore[override]
        """As of any mapping; but an error while facts are gathered does not make the pool one that is not there."""
        if name not in self:
            return default
        return self[name]

    def __iter__(self) -> Iterator[str]:
        return iter([facts.pool.metadata.name for facts in _by_age(self[name] for name in self._pools)])

    def __len__(self) -> int:
        return len(self._pools)


def _by_age(pools: Iterable[PoolFacts]) -> tuple[PoolFacts, ...]:
    return tuple(sorted(pools, key=lambda facts: (facts.raw["metadata"]["creationTimestamp"], facts.key)))
