"""A ledger that is reconciled until it is at rest."""

from typing import Any

from pgpool_operator.cluster.kinds import PGBUDGET
from pgpool_operator.reconcile.budget import BudgetReconciler
from pgpool_operator.reconcile.deaths import Deaths
from pgpool_operator.reconcile.pokes import Pokes

from .shop import HOST, LEDGER, PORT, Shop, open_shop


def save_ledger(shop: Shop, **more: Any) -> None:
    spec = {"server": {"host": HOST, "port": PORT}} | more
    shop.server.save(PGBUDGET, {"metadata": {"name": LEDGER}, "spec": spec})
    shop.watch()


def reconciler_of(shop: Shop) -> BudgetReconciler:
    deaths = Deaths(shop.api, shop.store, nodes_visible=True, clock=shop.clock)
    return BudgetReconciler(shop.api, shop.store, shop.agents, Pokes(shop.clock), deaths)


async def settle(shop: Shop, reconciler: BudgetReconciler) -> float | None:
    """Reconcile and let the pods answer until nothing is written any more."""
    for _ in range(20):
        before = len(shop.server.writes)
        pause = await reconciler.reconcile("shop", LEDGER)
        if len(shop.server.writes) == before:
            return pause
        shop.answer()
    raise AssertionError("it does not settle")


async def settled_shop(*pods: str, **spec: Any) -> tuple[Shop, BudgetReconciler]:
    """A shop in which all pods have what they shall have."""
    shop = open_shop(*pods, **spec)
    save_ledger(shop)
    reconciler = reconciler_of(shop)
    await settle(shop, reconciler)
    shop.server.writes.clear()
    shop.server.events.clear()
    return shop, reconciler
