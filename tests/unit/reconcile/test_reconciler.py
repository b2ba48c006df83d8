"""What an object's reconcile makes of an API server that knows better."""

import pytest

from pgpool_operator.cluster.api import ApiError
from pgpool_operator.cluster.kinds import PGBUDGET, PGPOOL
from pgpool_operator.cluster.queue import WorkQueue
from pgpool_operator.reconcile import Deaths, Reconciler
from pgpool_operator.watching import Key
from tests.support.ledgers import save_ledger
from tests.support.shop import LEDGER, Shop, open_shop

THE_LEDGER = Key(PGBUDGET, "shop", LEDGER)
THE_POOL = Key(PGPOOL, "shop", "app")


@pytest.fixture
def shop() -> Shop:
    shop = open_shop("app-1")
    save_ledger(shop)
    return shop


@pytest.fixture
def reconciler(shop: Shop) -> Reconciler:
    deaths = Deaths(shop.api, shop.store, nodes_visible=True, clock=shop.clock)
    return Reconciler(shop.api, shop.store, shop.agents, WorkQueue(), deaths, "pooler:1")


@pytest.mark.parametrize("key", [THE_LEDGER, THE_POOL], ids=lambda key: key.kind.name)
async def test_one_whose_change_no_watch_told_of_is_reconciled_in_the_next_round(
    shop: Shop, reconciler: Reconciler, key: Key
) -> None:
    labelled = shop.server.there(key.kind, key.name)
    labelled["metadata"]["labels"] = {"by": "hand"}
    shop.server.save(key.kind, labelled)
    with pytest.raises(ApiError) as raised:
        await reconciler.reconcile(key)
    assert raised.value.conflict
    await reconciler.reconcile(key)
    assert shop.server.there(key.kind, key.name).get("status")


@pytest.mark.parametrize("key", [THE_LEDGER, THE_POOL], ids=lambda key: key.kind.name)
async def test_one_whose_end_no_watch_told_of_is_known_to_be_gone(
    shop: Shop, reconciler: Reconciler, key: Key
) -> None:
    shop.server.remove(key.kind, key.name)
    with pytest.raises(ApiError) as raised:
        await reconciler.reconcile(key)
    assert raised.value.not_found
    assert shop.store.get(key.kind, "shop", key.name) is None
