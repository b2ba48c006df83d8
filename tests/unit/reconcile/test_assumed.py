"""Pods that died before they could say whether the server notices dead clients."""

import pytest

from pgpool_operator.cluster.kinds import PGBUDGET, PGPOOL, POD
from tests.support.ledgers import reconciler_of, save_ledger
from tests.support.shop import LEDGER, open_shop, report_end, state_of
from tests.support.town import Town

HOST = "10.0.0.7"


def die(town: Town, name: str) -> None:
    pod = town.server.there(POD, name)
    report_end(pod)
    town.server.save(POD, pod)
    town.watch()


async def held_by_pods_of_a_deleted_pool(mode: str) -> int:
    """Another pool has logged in to the server; of this one nobody could, as its Secret is wrong."""
    town = Town()
    town.pool("shop/good", HOST)
    await town.settle()
    town.pool("shop/wrong", HOST, poolMode=mode)
    for _ in range(4):
        await town.round()
        town.answer("good-1", "good-2")
    assert town.reserved("shop", HOST)["wrong-1"] > 0
    town.delete(PGPOOL, "shop", "wrong")
    for name in ("wrong-1", "wrong-2"):
        die(town, name)
    for _ in range(3):
        await town.round()
        town.clock.now += 60
    return sum(held for pod, held in town.reserved("shop", HOST).items() if pod.startswith("wrong"))


async def test_what_pods_hold_that_never_logged_in_is_freed_although_their_pool_is_deleted() -> None:
    assert await held_by_pods_of_a_deleted_pool("transaction") == 0


async def test_what_they_hold_is_kept_where_they_may_have_had_sessions() -> None:
    assert await held_by_pods_of_a_deleted_pool("session") > 0


async def held_after_a_minute(*, active: int, ledger_lost: bool = False) -> int:
    """What is held for a pod that has died; its pool has verifiers only, so no agent can ask the server."""
    shop = open_shop("app-1")
    save_ledger(shop)
    for number in range(4):
        await reconciler_of(shop).reconcile("shop", LEDGER)
        said = state_of(pod := shop.server.there(POD, "app-1"))
        [here] = said.servers
        unasked = here.model_copy(
            update={"identity": None, "open": 1, "active": active if number == 1 else 0}
        )
        shop.agents.states["uid-app-1"] = said.model_copy(update={"servers": (unasked,)})
    if ledger_lost:
        shop.store.remove(PGBUDGET, shop.server.remove(PGBUDGET, LEDGER))
        save_ledger(shop)
        await reconciler_of(shop).reconcile("shop", LEDGER)
    report_end(pod)
    shop.server.save(POD, pod)
    shop.watch()
    shop.agents.states.clear()
    reconciler = reconciler_of(shop)
    await reconciler.reconcile("shop", LEDGER)
    shop.clock.now += 60
    await reconciler.reconcile("shop", LEDGER)
    return sum(record["reserved"] for record in shop.ledger().values())


@pytest.mark.parametrize("ledger_lost", [False, True])
async def test_a_server_that_has_served_clients_is_not_one_that_nobody_ever_reached(
    ledger_lost: bool,
) -> None:
    """It is remembered: nobody is active any more when the pod dies."""
    assert await held_after_a_minute(active=1, ledger_lost=ledger_lost) > 0


async def test_of_a_lost_ledger_nobody_knows_that_the_server_was_never_reached() -> None:
    assert await held_after_a_minute(active=0, ledger_lost=True) > 0


async def test_a_connection_whose_login_may_fail_is_no_sign_that_the_server_was_reached() -> None:
    assert await held_after_a_minute(active=0) == 0
