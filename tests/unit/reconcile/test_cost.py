"""What one reconcile looks at: its own pool and server, however many others the namespace has."""

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import pytest

from pgpool_operator.cluster.index import Index, Reading
from pgpool_operator.cluster.kinds import PGBUDGET, PGPOOL, POD, Kind
from pgpool_operator.cluster.store import Object, Store
from pgpool_operator.reconcile.budget import BudgetReconciler
from pgpool_operator.reconcile.deaths import Deaths
from pgpool_operator.reconcile.pokes import Pokes
from pgpool_operator.reconcile.pool import PoolReconciler
from pgpool_pooler.contract import GRANT_ANNOTATION
from tests.support.shop import PORT, Shop, pod_manifest, pool_manifest, state_of
from tests.support.town import Town

M = TypeVar("M")


class CountingStore(Store):
    """A store that counts the objects that it hands out."""

    handed_out = 0

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        self.handed_out += 1
        return super().get(kind, namespace, name)

    def all(self, kind: Kind, namespace: str | None = None) -> Iterator[Object]:
        for obj in super().all(kind, namespace):
            self.handed_out += 1
            yield obj

    def read(self, reading: Reading[M], namespace: str | None) -> Index[M]:
        return CountingIndex(super().read(reading, namespace), self)


class CountingIndex(Index[M]):
    """An index of a counting store."""

    def __init__(self, index: Index[M], store: CountingStore) -> None:
        self._index = index
        self._store = store

    def find(self, key: Hashable) -> tuple[M, ...]:
        found = self._index.find(key)
        self._store.handed_out += len(found)
        return found

    def __getitem__(self, name: str) -> M:
        self._store.handed_out += 1
        return self._index[name]

    def __iter__(self) -> Iterator[str]:
        self._store.handed_out += len(self._index)
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)


class Reconciler(Protocol):
    async def reconcile(self, namespace: str, name: str) -> float | None: ...


@dataclass(frozen=True)
class Fleet:
    """Pools in one namespace, each with two pods and a server of its own, and nothing left to do."""

    shop: Shop
    reconcilers: Mapping[str, Reconciler]
    keys: Mapping[str, list[str]]


def database(number: int, *, static: bool) -> Mapping[str, Any]:
    if static:
        return {"servers": [{"host": f"10.1.0.{number}", "port": PORT, "cpu": 8}]}
    return {"cluster": {"provider": "patroni", "name": f"db-{number}"}}


def primary(number: int) -> Object:
    containers = [{"name": "postgres", "resources": {"limits": {"cpu": "8"}}}]
    return {
        "metadata": {"name": f"db-{number}-0", "labels": {"cluster-name": f"db-{number}", "role": "primary"}},
        "spec": {"containers": containers, "nodeName": "w1"},
        "status": {"phase": "Running", "podIP": f"10.1.0.{number}"},
    }


def answer(shop: Shop) -> None:
    """Every pod with a grant says that it has taken it in, on the server that it was granted."""
    shop.watch()
    shop.answer()
    for pod in shop.pods():
        if GRANT_ANNOTATION in pod["metadata"].get("annotations", {}):
            said, granted = state_of(pod), shop.grant(pod["metadata"]["name"])
            assert granted is not None
            [here] = said.servers
            host = granted.servers[0].host
            assert here.identity is not None
            itself = here.identity.model_copy(update={"address": host})
            there = here.model_copy(update={"host": host, "identity": itself})
            shop.agents.states[said.uid] = said.model_copy(update={"servers": (there,)})


async def settled_fleet(pools: int, *, static: bool) -> Fleet:
    shop = Shop(store=CountingStore())
    names = [f"pool-{number}" for number in range(pools)]
    for number, name in enumerate(names):
        shop.server.save(PGPOOL, pool_manifest(name, database=database(number, static=static)))
        shop.server.save(POD, primary(number))
        for pod in (1, 2):
            shop.server.save(POD, pod_manifest(f"{name}-x{pod}", name))
    shop.watch()
    pokes = Pokes(shop.clock)
    deaths = Deaths(shop.api, shop.store, nodes_visible=True, clock=shop.clock)
    fleet = Fleet(
        shop,
        reconcilers={
            "pool": PoolReconciler(shop.api, shop.store, shop.agents, pokes, "pooler:1"),
            "ledger": BudgetReconciler(shop.api, shop.store, shop.agents, pokes, deaths),
        },
        keys={
            "pool": names,
            "ledger": [f"10.1.0.{n}-{PORT}" if static else f"db-{n}-0" for n in range(pools)],
        },
    )
    for _ in range(10):
        before = len(shop.server.writes)
        for kind, reconciler in fleet.reconcilers.items():
            for name in fleet.keys[kind]:
                await reconciler.reconcile("shop", name)
        if len(shop.server.writes) == before:
            return fleet
        answer(shop)
    raise AssertionError("it does not settle")


async def looked_at(fleet: Fleet, kind: str) -> int:
    """The objects that one more reconcile of the first key asks the store for."""
    store = fleet.shop.store
    assert isinstance(store, CountingStore)
    before = store.handed_out
    await fleet.reconcilers[kind].reconcile("shop", fleet.keys[kind][0])
    return store.handed_out - before


@pytest.mark.parametrize("kind", ["ledger", "pool"])
@pytest.mark.parametrize("static", [True, False], ids=["servers", "clusters"])
async def test_a_reconcile_looks_at_no_more_objects_where_there_are_more_pools(
    kind: str, static: bool
) -> None:
    alone, among_others = [await settled_fleet(pools, static=static) for pools in (1, 30)]
    assert await looked_at(among_others, kind) == await looked_at(alone, kind) > 0


async def shared_town(strangers: int) -> Town:
    """A server that two namespaces share, and others that share theirs or may not."""
    town = Town(kind_of_store=CountingStore)
    for number in range(strangers + 1):
        host = f"10.1.0.{number}"
        town.pool(f"shop-{number}/app-{number}", host)
        town.ledger(f"shop-{number}", host, created=CREATED_FIRST, allowedNamespaces=[f"bank-{number}"])
        town.pool(f"bank-{number}/pay-{number}", host)
        town.pool(f"farm-{number}/eggs-{number}", host)
    await town.settle()
    return town


CREATED_FIRST = "2026-11-01T00:00:00Z"
SHARED = [
    (PGBUDGET, "shop-0", f"10.1.0.0-{PORT}"),
    (PGPOOL, "shop-0", "app-0"),
    (PGPOOL, "bank-0", "pay-0"),
    (PGPOOL, "farm-0", "eggs-0"),
]


@pytest.mark.parametrize("key", SHARED, ids=["ledger", "owner's pool", "allowed pool", "claimed pool"])
async def test_it_looks_at_no_more_objects_where_more_namespaces_share_other_servers(
    key: tuple[Kind, str, str],
) -> None:
    counts = []
    for strangers in (0, 6):
        town = await shared_town(strangers)
        assert isinstance(town.store, CountingStore)
        before = town.store.handed_out
        reconcile = town.pools.reconcile if key[0] is PGPOOL else town.budgets.reconcile
        await reconcile(key[1], key[2])
        counts.append(town.store.handed_out - before)
    assert counts[0] == counts[1] > 0
