"""The store as the pure packages want it: pools with their servers, pods, and which pod belongs to which server."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pgpool_pooler.contract import Endpoint

from ..api import GrantRecord, PgBudget, PgPool
from ..cluster.index import Reading
from ..cluster.kinds import NODE, PGPOOL, POD
from ..cluster.near import LEDGERS, POOLS, as_it_is, members, pools_near
from ..cluster.shared import claims, ledgers_telling, pods_at, pods_granted, pods_using, pods_with
from ..cluster.store import Key, Store
from ..discovery import Address, Discovery, Server, address_of, assign, discover
from .pods import PoolerPod, is_finished, pooler

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
            ledger.metadata.name != primary.name and grant.pool == self.key
            for uid in write
            for ledger, grant in world.grants_of(uid)
        )
        return primary.name if any(elsewhere) else ""


POOLERS = Reading(POD, pooler, lambda pod: (pod.pool,))
"""The pooler pods, by pool; by none those that lost their label."""
NODES = Reading(NODE, as_it_is)
"""The nodes."""


@dataclass(frozen=True)
class Claim:
    """The ledger that a namespace's pools draw on for one of their servers."""

    budget: PgBudget | None
    """None: there is none yet, or it is another namespace's that does not allow it."""
    claimed_by: str = ""
    """The PgBudget (namespace/name) that the server belongs to, if that does not allow it."""


class World:
    """One namespace, and what others share with it. It is as it is when it is asked: what shall fit together is
    asked without waiting in between.

    An answer costs what is in it, not what else there is in the namespace, or in others.
    """

    def __init__(self, store: Store, namespace: str, worlds: "dict[str, World] | None" = None) -> None:
        self._store = store
        self._namespace = namespace
        self._worlds = {} if worlds is None else worlds
        self._worlds[namespace] = self
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

    def beside(self, namespace: str) -> "World":
        """Another namespace."""
        return self._worlds.get(namespace) or World(self._store, namespace, self._worlds)

    def claim(self, server: Server) -> Claim:
        """What this namespace's pools may draw on for a server."""
        if server.ref.host is None:
            return Claim(self._ledgers.get(server.name))
        owner = next(iter(claims(self._store, address_of(server.host, server.port))), None)
        if owner is None:
            return Claim(None)
        budget = self._ledger(owner)
        return Claim(budget) if self._namespace in allowed(budget) else Claim(None, "/".join(owner))

    def claimants(self, budget: PgBudget) -> tuple[PgBudget, ...]:
        """All ledgers of a ledger's server, itself among them; the first one owns it."""
        place = place_of(budget)
        found = claims(self._store, place) if place is not None else []
        return tuple(self._ledger(key) for key in found) or (budget,)

    def drawing_on(self, budget: PgBudget) -> tuple[PoolFacts, ...]:
        """The pools that a ledger is for, of all namespaces that may draw on it; oldest first."""
        name = budget.metadata.name
        return _by_age(facts for space in allowed(budget) for facts in self.beside(space).on_server(name))

    def pool_of(self, pod: PoolerPod) -> PoolFacts | None:
        """The pool of a pod of any namespace, if it has one that is not being deleted."""
        return self.beside(pod.namespace).pools.get(pod.pool)

    def _ledger(self, key: Key) -> PgBudget:
        namespace, name = key
        return self._store.read(LEDGERS, namespace)[name]

    def on_server(self, name: str) -> tuple[PoolFacts, ...]:
        """The pools that use a server, or have pods there although it is not to be found now; oldest first."""
        near = pools_near(self._store, self._namespace, name)
        facts = (self.pools[pool] for pool in near if pool in self.pools)
        return _by_age(
            found for found in facts if found.server(name) is not None or name in found.placement.values()
        )

    def pooler(self, record: GrantRecord) -> PoolerPod | None:
        """The pod that has a reservation, of any namespace; None if it is gone."""
        return next(self._pods(pods_with(self._store, record.uid)), None)

    def holders(self, budget: PgBudget, address: Address, reporting: Iterable[str]) -> Iterator[PoolerPod]:
        """The pods that are granted a ledger's server, which is at an address, and those of `reporting` (uids)
        that are there. The address of a server of a cluster is its pod's, and tells of it in its namespace only."""
        found = pods_granted(self._store, address)
        found += [key for uid in reporting for key in pods_with(self._store, uid)]
        anywhere = place_of(budget) is not None
        yield from self._pods(key for key in found if anywhere or key[0] == self._namespace)

    def node_uid(self, name: str) -> str:
        """Of the node that has a name now; empty if there is none to be seen."""
        node = self._nodes.get(name)
        return str(node["metadata"]["uid"]) if node is not None else ""

    def is_taken(self, address: str, uid: str) -> bool:
        """Whether a living pod other than `uid`, of any namespace, has an address: addresses are used again."""
        there = self._pods(pods_at(self._store, address))
        return any(pod.uid != uid and not (pod.finished and pod.ended) for pod in there)

    def is_used(self, address: str, uid: str) -> bool:
        """Whether any pod other than `uid` that has no final phase has an address, a stranger's one included."""
        there = pods_using(self._store, address)
        return any(pod["metadata"]["uid"] != uid and not is_finished(pod) for pod in there)

    def _pods(self, keys: Iterable[Key]) -> Iterator[PoolerPod]:
        for namespace, name in keys:
            pod = self._store.read(POOLERS, namespace).get(name)
            if pod is not None:
                yield pod

    def grants_of(self, uid: str) -> Iterator[tuple[PgBudget, GrantRecord]]:
        """A pod's reservations, each with its ledger."""
        for key in ledgers_telling(self._store, uid):
            ledger = self._ledger(key)
            for grant in ledger.status.grants:
                if grant.uid == uid:
                    yield ledger, grant

    def generation_elsewhere(self, uid: str, budget: PgBudget) -> int:
        """The highest generation that another ledger knows for a pod: generations are per pod, not per ledger."""
        found = (grant.generation for ledger, grant in self.grants_of(uid) if _key(ledger) != _key(budget))
        return max(found, default=0)

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
        grants = (
            (grant.generation, ledger.metadata.name) for ledger, grant in self.grants_of(uid) if grant.cap > 0
        )
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


def _key(budget: PgBudget) -> Key:
    return budget.metadata.namespace, budget.metadata.name


def place_of(budget: PgBudget) -> Address | None:
    """Where a ledger's server is, if that is named by host and port."""
    server = budget.spec.server
    return address_of(server.host, server.port) if server.host is not None else None


def allowed(budget: PgBudget) -> tuple[str, ...]:
    """The namespaces whose pools may draw on a ledger, its own first. A cluster is of one namespace."""
    others = budget.spec.allowed_namespaces if place_of(budget) is not None else ()
    return tuple(dict.fromkeys((budget.metadata.namespace, *others)))


def _by_age(pools: Iterable[PoolFacts]) -> tuple[PoolFacts, ...]:
    return tuple(sorted(pools, key=lambda facts: (facts.raw["metadata"]["creationTimestamp"], facts.key)))
