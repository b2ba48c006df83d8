"""A dead pod's connections come back when somebody who sees all backends of the server sees none of its own."""

from typing import Any

import pytest

from pgpool_operator.cluster.kinds import NODE, PGBUDGET, POD
from pgpool_operator.cluster.store import Change
from pgpool_operator.reconcile.budget import BudgetReconciler
from pgpool_operator.reconcile.counts import CURRENT_SECONDS, Count, complete_counts, counted
from pgpool_operator.reconcile.world import World
from pgpool_pooler.contract import Backends, ServerState, State
from tests.support.ledgers import settled_shop
from tests.support.shop import HOST, LEDGER, PORT, Shop, identity_for, pod_manifest, report_end, state_of

GHOST = "10.0.2.2"
"""The address of app-2, which dies."""


def backends(age: float = 0.0, *, complete: bool = True, **by_address: int) -> Backends:
    return Backends(age_seconds=age, complete=complete, by_address=by_address)


def server(seen: Backends | None, **more: Any) -> ServerState:
    said = {"host": HOST, "port": PORT, "cap": 1, "open": 0, "active": 0, "reachable": True}
    return ServerState(**said | more, backends=seen)


# What is taken for a count


def test_the_age_of_a_count_is_that_of_the_look_and_of_the_word_that_told_of_it() -> None:
    [count] = complete_counts([(server(backends(2.0)), 1.5)])
    assert count == Count(3.5, backends(2.0))


@pytest.mark.parametrize(
    "said",
    [server(None), server(backends(complete=False)), server(backends(), others=(identity_for("x"),))],
    ids=["no monitor", "it does not see all", "several servers answer at the address"],
)
def test_nothing_else_is(said: ServerState) -> None:
    assert complete_counts([(said, 0.0)]) == ()


def test_the_newest_count_tells_how_many_backends_all_addresses_have() -> None:
    old, new = Count(3.0, backends(a=9)), Count(1.0, backends(a=1, b=2, c=4))
    assert counted(["a", "b"], [old, new], dead_for=4.0) == 3
    assert counted(["x"], [old, new], dead_for=4.0) == 0


def test_a_count_from_before_the_proof_of_death_says_nothing() -> None:
    assert counted(["a"], [Count(1.0, backends())], dead_for=1.0) is None
    assert counted(["a"], [Count(1.0, backends())], dead_for=1.1) == 0
    assert counted(["a"], [], dead_for=9.0) is None


def test_a_count_of_some_tells_only_while_it_is_current() -> None:
    assert counted(["a"], [Count(CURRENT_SECONDS, backends(a=7))], dead_for=99.0) == 7
    assert counted(["a"], [Count(CURRENT_SECONDS + 0.1, backends(a=7))], dead_for=99.0) is None
    assert counted(["a"], [Count(CURRENT_SECONDS + 0.1, backends())], dead_for=99.0) == 0


# The ledger


async def blind_shop() -> tuple[Shop, BudgetReconciler]:
    """Two pods on a server that does not look for dead clients; the second pod then dies, and its end is seen."""
    shop, reconciler = await settled_shop("app-1", "app-2")
    ledger = shop.server.there(PGBUDGET, LEDGER)
    for record in ledger["status"]["grants"]:
        record["detectsDeadClients"] = False
    del ledger["status"]["seal"]
    shop.server.save(PGBUDGET, ledger)
    shop.watch()
    for uid, state in shop.agents.states.items():
        shop.agents.states[uid] = blind(state)
    await settle_blind(shop, reconciler)
    end(shop)
    del shop.agents.states["uid-app-2"]
    return shop, reconciler


def blind(state: State, seen: Backends | None = None) -> State:
    [here] = state.servers
    assert here.identity is not None
    identity = here.identity.model_copy(update={"detects_dead_clients": False})
    there = here.model_copy(update={"identity": identity, "backends": seen})
    return state.model_copy(update={"servers": (there,)})


def end(shop: Shop) -> None:
    pod = shop.server.there(POD, "app-2")
    report_end(pod)
    shop.server.save(POD, pod)
    shop.watch()


def see(shop: Shop, seen: Backends | None) -> None:
    """What app-1 says that it has counted; it follows its grants."""
    shop.agents.states["uid-app-1"] = blind(state_of(shop.server.there(POD, "app-1")), seen)


async def settle_blind(
    shop: Shop, reconciler: BudgetReconciler, seen: Backends | None = None
) -> float | None:
    pause = None
    for _ in range(6):
        pause = await reconciler.reconcile("shop", LEDGER)
        see(shop, seen)
    return pause


def ledger(shop: Shop) -> dict[str, tuple[int, str]]:
    return {name: (record["reserved"], record["state"]) for name, record in shop.ledger().items()}


async def test_without_a_count_a_person_has_to_release_it() -> None:
    shop, reconciler = await blind_shop()
    shop.clock.now += 3600
    await settle_blind(shop, reconciler)
    assert ledger(shop)["app-2"] == (12, "Unknown")


async def test_a_count_of_none_frees_it() -> None:
    shop, reconciler = await blind_shop()
    assert await settle_blind(shop, reconciler, backends()) == 2.0
    assert ledger(shop)["app-2"] == (12, "Unknown")
    shop.clock.now += 2.0
    await settle_blind(shop, reconciler, backends())
    assert ledger(shop) == {"app-1": (24, "Active")}


async def test_while_some_are_counted_it_waits_and_is_looked_at_every_2_seconds() -> None:
    shop, reconciler = await blind_shop()
    await settle_blind(shop, reconciler)
    shop.clock.now += 5.0
    assert (
        await settle_blind(shop, reconciler, Backends(age_seconds=1, complete=True, by_address={GHOST: 1}))
        == 2.0
    )
    assert ledger(shop)["app-2"] == (12, "Unknown")


async def shop_with_a_ghost() -> tuple[Shop, BudgetReconciler]:
    """A pod is dead for longer than PostgreSQL needs to notice, and a backend from its address is there."""
    shop, reconciler = await settled_shop("app-1", "app-2")
    end(shop)
    del shop.agents.states["uid-app-2"]
    await look(shop, reconciler)
    shop.clock.now += 60.0
    return shop, reconciler


async def look(shop: Shop, reconciler: BudgetReconciler, ghosts: int = 0) -> float | None:
    """The other pod has counted the backends from the dead one's address."""
    seen = Backends(age_seconds=1.0, complete=True, by_address={GHOST: ghosts} if ghosts else {})
    [here] = (said := state_of(shop.server.there(POD, "app-1"))).servers
    there = here.model_copy(update={"backends": seen})
    shop.agents.states["uid-app-1"] = said.model_copy(update={"servers": (there,)})
    return await reconciler.reconcile("shop", LEDGER)


async def test_a_backend_that_is_still_there_keeps_what_the_dead_pod_held_and_a_person_is_told() -> None:
    shop, reconciler = await shop_with_a_ghost()
    assert await look(shop, reconciler, ghosts=1) == 2.0
    assert ledger(shop)["app-2"] == (12, "Unknown")
    [held] = [c for c in shop.server.there(PGBUDGET, LEDGER)["status"]["conditions"] if c["type"] == "Held"]
    assert held["message"].startswith(
        "app-2 (node w1) has ended and holds 12 of 24 on 10.0.0.7-5432: PostgreSQL still has 1 backend from its "
        "address (10.0.2.2); freed when there are none any more, or by: kubectl"
    )
    await look(shop, reconciler)
    assert "app-2" not in ledger(shop)


async def test_once_nobody_counts_any_more_the_hold_is_what_counts() -> None:
    shop, reconciler = await shop_with_a_ghost()
    await look(shop, reconciler, ghosts=1)
    shop.agents.ages["uid-app-1"] = CURRENT_SECONDS
    await look(shop, reconciler, ghosts=1)
    assert "app-2" not in ledger(shop)


@pytest.mark.parametrize("phase", ["Running", "Succeeded"])
async def test_a_backend_that_may_be_a_strangers_keeps_nothing(phase: str) -> None:
    """A pod of no PgPool has the address now, and logs in by itself."""
    shop, reconciler = await shop_with_a_ghost()
    stranger = pod_manifest("web-2", phase=phase)
    del stranger["metadata"]["labels"]
    shop.server.save(POD, stranger)
    shop.watch()
    await look(shop, reconciler, ghosts=1)
    assert ("app-2" in ledger(shop)) is (phase == "Succeeded")


async def test_a_count_by_one_who_does_not_see_all_frees_nothing() -> None:
    shop, reconciler = await blind_shop()
    await settle_blind(shop, reconciler)
    shop.clock.now += 3600
    await settle_blind(shop, reconciler, backends(complete=False))
    assert ledger(shop)["app-2"] == (12, "Unknown")


async def test_a_count_that_was_asked_for_before_it_was_proven_dead_frees_nothing() -> None:
    shop, reconciler = await blind_shop()
    await settle_blind(shop, reconciler)
    shop.clock.now += 5.0
    shop.agents.ages["uid-app-1"] = 4.0
    await settle_blind(shop, reconciler, backends(1.0))
    assert ledger(shop)["app-2"] == (12, "Unknown")
    shop.agents.ages["uid-app-1"] = 3.9
    await settle_blind(shop, reconciler, backends(1.0))
    assert "app-2" not in ledger(shop)


@pytest.mark.parametrize("crashed", [False, True], ids=["running", "crashed, and deleted"])
async def test_an_address_that_a_living_pod_has_now_tells_nothing(crashed: bool) -> None:
    shop, reconciler = await blind_shop()
    other = pod_manifest("other-2", "other", podIP=GHOST)
    if crashed:
        other["metadata"]["deletionTimestamp"] = "2026-11-24T12:00:00Z"
        other["status"]["containerStatuses"] = [{"name": "pooler", "state": {"terminated": {}}}]
    shop.server.save(POD, other)
    shop.watch()
    await settle_blind(shop, reconciler)
    shop.clock.now += 5.0
    await settle_blind(shop, reconciler, backends())
    assert ledger(shop)["app-2"] == (12, "Unknown")


async def test_an_address_of_either_family_is_the_pods_own() -> None:
    shop, reconciler = await settled_shop("app-1", "app-2")
    pod = shop.server.there(POD, "app-2")
    pod["status"] |= {"podIP": "fd00::2", "podIPs": [{"ip": "fd00::2"}, {"ip": GHOST}]}
    shop.server.save(POD, pod)
    shop.watch()
    shop.agents.states["uid-app-2"] = seen_as(shop, GHOST)
    await reconciler.reconcile("shop", LEDGER)
    assert shop.ledger()["app-2"]["direct"] is True
    assert shop.ledger()["app-2"]["addresses"] == [GHOST, "fd00::2"]


async def test_a_pod_that_the_server_sees_behind_nat_is_never_counted() -> None:
    shop, reconciler = await settled_shop("app-1", "app-2")
    shop.agents.states["uid-app-2"] = seen_as(shop, "192.168.0.1")
    await reconciler.reconcile("shop", LEDGER)
    assert shop.ledger()["app-2"]["direct"] is False
    assert shop.ledger()["app-2"]["addresses"] == [GHOST, "192.168.0.1"]
    shop.agents.states["uid-app-2"] = seen_as(shop, GHOST)
    await reconciler.reconcile("shop", LEDGER)
    assert shop.ledger()["app-2"]["direct"] is False


def seen_as(shop: Shop, address: str) -> State:
    state = state_of(shop.server.there(POD, "app-2"))
    here = state.servers[0].model_copy(update={"identity": identity_for(address)})
    return state.model_copy(update={"servers": (here,)})


@pytest.mark.parametrize("direct", [False, None], ids=["behind NAT", "not known"])
async def test_where_its_address_is_not_the_servers_name_for_it_a_count_of_none_frees_nothing(
    direct: bool | None,
) -> None:
    shop, reconciler = await blind_shop()
    await settle_blind(shop, reconciler)
    before = shop.server.there(PGBUDGET, LEDGER)
    del before["status"]["seal"]
    [dead] = [record for record in before["status"]["grants"] if record["pod"] == "app-2"]
    dead.pop("direct")
    if direct is not None:
        dead["direct"] = direct
    shop.server.save(PGBUDGET, before)
    shop.watch()
    shop.clock.now += 5.0
    await settle_blind(shop, reconciler, backends())
    assert ledger(shop)["app-2"] == (12, "Unknown")


async def test_a_pod_that_was_killed_with_its_node_is_freed_by_a_count_too() -> None:
    shop, reconciler = await blind_shop()
    pod = shop.server.there(POD, "app-2")
    pod["status"].pop("containerStatuses")
    shop.server.save(POD, pod)
    shop.watch()
    taint = {"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}
    node = {"metadata": {"name": "w1", "uid": "n1", "resourceVersion": "1"}, "spec": {"taints": [taint]}}
    shop.store.put(NODE, node | {"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}})
    shop.store.remove(POD, shop.server.remove(POD, "app-2"), Change.MISSED)
    await settle_blind(shop, reconciler)
    shop.clock.now += 5.0
    await settle_blind(shop, reconciler, backends())
    assert ledger(shop) == {"app-1": (24, "Active")}


async def test_a_pod_that_is_not_proven_dead_is_not_freed_by_a_count() -> None:
    shop, reconciler = await settled_shop("app-1", "app-2")
    shop.store.remove(POD, shop.server.remove(POD, "app-2"), Change.MISSED)
    del shop.agents.states["uid-app-2"]
    await settle_blind(shop, reconciler)
    shop.clock.now += 5.0
    await settle_blind(shop, reconciler, backends())
    assert ledger(shop)["app-2"] == (12, "Unknown")


# Versions one apart


def test_an_older_agent_counts_nothing_and_an_older_operator_overlooks_the_count() -> None:
    said = server(backends()).model_dump(mode="json", by_alias=True)
    older = {key: value for key, value in said.items() if key != "backends"}
    assert ServerState.model_validate(older).backends is None
    newer = said | {"backends": said["backends"] | {"byApplication": {}}}
    assert ServerState.model_validate(newer) == server(backends())


async def test_a_ledger_that_an_older_operator_wrote_counts_no_pod() -> None:
    shop, _ = await settled_shop("app-1")
    before = shop.ledger()["app-1"]
    assert before.pop("direct") is True
    ledger_before = shop.server.there(PGBUDGET, LEDGER)
    ledger_before["status"]["grants"] = [before]
    shop.server.save(PGBUDGET, ledger_before)
    shop.watch()
    [record] = World(shop.store, "shop").budgets[LEDGER].status.grants
    assert record.direct is None
