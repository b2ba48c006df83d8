"""A ledger that somebody deleted or emptied: whoever may still hold connections of the server is found again."""

from collections.abc import Callable
from typing import Any

import pytest

from pgpool_operator.api import GrantRecord
from pgpool_operator.cluster.kinds import NODE, PGBUDGET, PGPOOL, POD
from pgpool_operator.cluster.store import Change
from pgpool_operator.reconcile.bookkeeping import seal_of
from pgpool_operator.reconcile.budget import BudgetReconciler
from pgpool_operator.status.problems import GRANT_REFUSED
from pgpool_operator.watching import slim
from pgpool_pooler.contract import GRANT_ANNOTATION, Grant, Problem, ServerGrant
from tests.support.ledgers import reconciler_of, save_ledger, settle, settled_shop
from tests.support.shop import HOST, LEDGER, PORT, Shop, pod_manifest, pool_manifest, report_end, state_of
from tests.support.town import Town

ELSEWHERE = "10.0.0.8"


def lose(shop: Shop) -> None:
    """The ledger is deleted, and made anew by a pool that uses the server."""
    shop.store.remove(PGBUDGET, shop.server.remove(PGBUDGET, LEDGER))
    save_ledger(shop)


def empty(shop: Shop) -> None:
    shop.server.save(PGBUDGET, shop.server.there(PGBUDGET, LEDGER) | {"status": {}})
    shop.watch()


def newcomer(shop: Shop) -> None:
    """Another pool on the server, with a pod that has nothing yet."""
    shop.server.save(PGPOOL, pool_manifest("new"))
    shop.server.save(POD, pod_manifest("new-1", "new"))
    shop.watch()


def deleted(shop: Shop) -> None:
    shop.store.remove(PGPOOL, shop.server.remove(PGPOOL, "app"))


def unreadable(shop: Shop) -> None:
    shop.server.save(PGPOOL, shop.server.there(PGPOOL, "app") | {"spec": {"databases": []}})
    shop.watch()


def moved(shop: Shop) -> None:
    """Its pods have not been granted the other server yet."""
    servers = {"servers": [{"host": ELSEWHERE, "port": PORT, "cpu": 8}]}
    spec = shop.server.there(PGPOOL, "app")["spec"] | {"database": servers}
    shop.server.save(PGPOOL, shop.server.there(PGPOOL, "app") | {"spec": spec})
    shop.watch()


def unlabelled(shop: Shop) -> None:
    deleted(shop)
    for name in ("app-1", "app-2"):
        pod = shop.server.there(POD, name)
        pod["metadata"]["labels"] = {}
        shop.server.save(POD, pod)
    shop.watch()


def mute(shop: Shop) -> None:
    shop.agents.states.clear()


def reserved(shop: Shop) -> dict[str, int]:
    return {name: record["reserved"] for name, record in shop.ledger().items()}


def recovering(shop: Shop) -> str:
    """What the condition says; empty if the ledger is sound."""
    status = shop.server.there(PGBUDGET, LEDGER)["status"]
    [ready] = [condition for condition in status["conditions"] if condition["type"] == "Ready"]
    assert status["recovering"] is (ready["reason"] == "LedgerRecovering")
    return str(ready["message"]) if status["recovering"] else ""


FATES = pytest.mark.parametrize("fate", [deleted, unreadable, moved, unlabelled])
LOSSES = pytest.mark.parametrize("loss", [lose, empty])
Act = Callable[[Shop], None]


@FATES
@LOSSES
async def test_pods_count_whatever_became_of_their_pool(fate: Act, loss: Act) -> None:
    shop, reconciler = await settled_shop("app-1", "app-2")
    fate(shop)
    newcomer(shop)
    loss(shop)
    await settle(shop, reconciler)
    assert reserved(shop).keys() >= {"app-1", "app-2"}
    assert sum(reserved(shop).values()) == 24
    assert recovering(shop) == ""


@FATES
@LOSSES
async def test_nothing_grows_until_they_are_heard(fate: Act, loss: Act) -> None:
    shop, reconciler = await settled_shop("app-1", "app-2")
    assert sum(reserved(shop).values()) == 24
    fate(shop)
    newcomer(shop)
    mute(shop)
    loss(shop)
    for _ in range(3):
        await reconciler.reconcile("shop", LEDGER)
    assert "app-1, app-2" in recovering(shop)
    assert shop.grant("new-1") is None
    assert reserved(shop) == {"app-1": 12, "app-2": 12}


async def test_the_connections_of_a_pod_without_a_pool_come_back_when_it_is_dead() -> None:
    shop, reconciler = await settled_shop("app-1", "app-2")
    deleted(shop)
    newcomer(shop)
    lose(shop)
    await settle(shop, reconciler)
    end(shop, "app-2")
    await reconciler.reconcile("shop", LEDGER)
    assert reserved(shop) == {"app-1": 12, "app-2": 12}
    shop.clock.now += 2.1
    await settle(shop, reconciler)
    assert reserved(shop) == {"app-1": 12, "new-1": 12}


async def test_a_pod_that_still_has_connections_here_counts_although_its_grant_is_for_elsewhere() -> None:
    shop, reconciler = await settled_shop("app-1")
    moved(shop)
    newcomer(shop)
    pod = shop.server.there(POD, "app-1")
    server = ServerGrant(host=ELSEWHERE, port=PORT, cap=6, shares={"app": 6})
    grant = Grant(uid="uid-app-1", generation=9, servers=(server,), peer_id=1)
    shop.agents.states["uid-app-1"] = state_of(pod, generation=1, acknowledged=1)
    pod["metadata"]["annotations"][GRANT_ANNOTATION] = grant.model_dump_json()
    shop.server.save(POD, pod)
    lose(shop)
    await reconciler.reconcile("shop", LEDGER)
    assert reserved(shop) == {"app-1": 24}
    assert "app-1" in recovering(shop)


async def test_a_ledger_that_nobody_uses_is_kept_while_a_pod_is_granted_its_server() -> None:
    shop, reconciler = await settled_shop("app-1")
    deleted(shop)
    empty(shop)
    await settle(shop, reconciler)
    assert reserved(shop) == {"app-1": 24}


# A ledger that was edited by hand

Edit = Callable[[dict[str, Any]], None]


def cap_lowered(status: dict[str, Any]) -> None:
    status["grants"][0] |= {"cap": 4, "reserved": 4}


def reserved_lowered(status: dict[str, Any]) -> None:
    status["grants"][0] |= {"reserved": 4}


def cap_raised(status: dict[str, Any]) -> None:
    status["grants"][0] |= {"cap": 20, "reserved": 20}


def generation_lowered(status: dict[str, Any]) -> None:
    status["grants"][0] |= {"generation": 0}


def grant_removed(status: dict[str, Any]) -> None:
    del status["grants"][0]


def connections_raised(status: dict[str, Any]) -> None:
    status["connections"] = 100


EDITS = pytest.mark.parametrize(
    "change",
    [cap_lowered, reserved_lowered, cap_raised, generation_lowered, grant_removed, connections_raised],
)


def edit(shop: Shop, change: Edit) -> None:
    ledger = shop.server.there(PGBUDGET, LEDGER)
    change(ledger["status"])
    shop.server.save(PGBUDGET, ledger)
    shop.watch()


def held(shop: Shop) -> int:
    """What the pods' newest grants, none of which is acknowledged, allow."""
    grants = [shop.grant(pod["metadata"]["name"]) for pod in shop.pods()]
    return sum(grant.servers[0].cap for grant in grants if grant is not None)


@EDITS
async def test_an_edited_ledger_lets_nothing_grow_until_its_pods_are_heard(change: Edit) -> None:
    shop, reconciler = await settled_shop("app-1", "app-2")
    newcomer(shop)
    mute(shop)
    edit(shop, change)
    for _ in range(3):
        await reconciler.reconcile("shop", LEDGER)
        assert held(shop) <= 24
    assert "app-1, app-2" in recovering(shop)
    assert shop.grant("new-1") is None
    assert shop.server.there(PGBUDGET, LEDGER)["status"]["connections"] == sum(reserved(shop).values())
    shop.answer()
    await settle(shop, reconciler)
    assert recovering(shop) == ""
    assert reserved(shop).keys() == {"app-1", "app-2", "new-1"}
    assert sum(reserved(shop).values()) == held(shop) == 24


async def test_a_pod_that_still_drains_counts_for_what_it_has_whatever_was_written_into_the_ledger() -> None:
    shop, reconciler = await settled_shop("app-1")
    newcomer(shop)
    await reconciler.reconcile("shop", LEDGER)
    record = shop.ledger()["app-1"]
    assert record["cap"] < record["reserved"] == 24
    old = shop.agents.states["uid-app-1"]
    mute(shop)
    edit(shop, lambda status: status["grants"][0].update(reserved=record["cap"]))
    await reconciler.reconcile("shop", LEDGER)
    assert "app-1" in recovering(shop)
    assert shop.grant("new-1") is None
    shop.agents.states["uid-app-1"] = old
    await reconciler.reconcile("shop", LEDGER)
    assert reserved(shop) == {"app-1": 24}
    shop.answer()
    await settle(shop, reconciler)
    assert sum(reserved(shop).values()) == held(shop) == 24
    assert recovering(shop) == ""


async def test_a_made_up_pod_counts_until_a_person_releases_it() -> None:
    shop, reconciler = await settled_shop("app-1", "app-2")

    def add(status: dict[str, Any]) -> None:
        status["grants"].append(status["grants"][0] | {"uid": "x", "pod": "made-up", "reserved": 12})

    edit(shop, add)
    await settle(shop, reconciler)
    assert recovering(shop).endswith("made-up")
    assert reserved(shop) == {"app-1": 6, "app-2": 6, "made-up": 12}
    ledger = shop.server.there(PGBUDGET, LEDGER)
    ledger["spec"]["release"] = ["made-up"]
    shop.server.save(PGBUDGET, ledger)
    shop.watch()
    await settle(shop, reconciler)
    assert recovering(shop) == ""
    assert reserved(shop) == {"app-1": 12, "app-2": 12}


async def test_a_ledger_that_an_older_operator_wrote_without_a_seal_is_sound() -> None:
    shop, reconciler = await settled_shop("app-1", "app-2")
    mute(shop)
    edit(shop, lambda status: status.pop("seal"))
    await reconciler.reconcile("shop", LEDGER)
    assert recovering(shop) == ""


# A ledger that was rolled back


def status_of(shop: Shop) -> dict[str, Any]:
    return dict(shop.server.there(PGBUDGET, LEDGER)["status"])


def roll_back(shop: Shop, status: dict[str, Any]) -> None:
    """A backup is restored: every word of it was the operator's."""
    shop.server.save(PGBUDGET, shop.server.there(PGBUDGET, LEDGER) | {"status": status})
    shop.watch()


def without(status: dict[str, Any], pod: str) -> dict[str, Any]:
    """As the operator wrote it before it knew of a pod."""
    grants = [grant for grant in status["grants"] if grant["pod"] != pod]
    seal = seal_of(status["connections"], [GrantRecord.model_validate(grant) for grant in grants])
    return status | {"grants": grants, "seal": seal}


async def shop_that_grew() -> tuple[Shop, dict[str, Any]]:
    """A second pod has come, been granted its half and become Ready; and the ledger from before that."""
    shop, reconciler = await settled_shop("app-1")
    before = status_of(shop)
    shop.server.save(POD, pod_manifest("app-2"))
    shop.watch()
    await settle(shop, reconciler)
    assert reserved(shop) == {"app-1": 12, "app-2": 12}
    shop.server.save(POD, pod_manifest("app-3"))
    for name in ("app-1", "app-2"):
        pod = shop.server.there(POD, name)
        pod["status"] |= {
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "pooler", "state": {"running": {}}}],
        }
        shop.server.save(POD, pod)
    shop.watch()
    return shop, before


async def test_a_pod_that_died_before_anybody_looked_at_a_rolled_back_ledger_counts_for_its_hold() -> None:
    shop, before = await shop_that_grew()
    shop.agents.states["uid-app-1"] = state_of(shop.server.there(POD, "app-1"))
    del shop.agents.states["uid-app-2"]
    roll_back(shop, before)
    end(shop, "app-2")
    reconciler = reconciler_of(shop)
    await reconciler.reconcile("shop", LEDGER)
    assert reserved(shop)["app-2"] == 12
    assert "app-2" in recovering(shop)
    assert held(shop) <= 24
    shop.clock.now += 2.1
    await settle(shop, reconciler)
    assert recovering(shop) == ""
    assert reserved(shop) == {"app-1": 12, "app-3": 12}


async def test_nothing_grows_in_a_rolled_back_ledger_while_a_pod_without_its_grant_is_silent() -> None:
    """And the grants of the others are as this ledger knows them."""
    shop, _ = await shop_that_grew()
    roll_back(shop, without(status_of(shop), "app-2"))
    pod = shop.server.there(POD, "app-2")
    followed = shop.agents.states.pop("uid-app-2")
    del pod["metadata"]["annotations"][GRANT_ANNOTATION]
    shop.server.save(POD, pod)
    shop.watch()
    reconciler = reconciler_of(shop)
    await settle_all(shop, reconciler)
    assert "app-2" in recovering(shop)
    assert shop.grant("app-2") is None
    assert shop.grant("app-3") is None
    shop.agents.states["uid-app-2"] = followed
    await settle(shop, reconciler)
    assert recovering(shop) == ""
    assert sum(reserved(shop).values()) == held(shop) == 24


async def test_a_pod_that_refuses_a_generation_that_was_granted_twice_keeps_what_it_has() -> None:
    """The ledger of before it shrank, and the grant taken off it while nobody hears it: what that ledger grants
    next has the generation of what the pod follows."""
    shop, before = await shop_that_grew()
    pod, followed = shop.server.there(POD, "app-1"), shop.agents.states.pop("uid-app-1")
    del pod["metadata"]["annotations"][GRANT_ANNOTATION]
    shop.server.save(POD, pod)
    roll_back(shop, before)
    reconciler = reconciler_of(shop)
    await reconciler.reconcile("shop", LEDGER)
    sent = shop.grant("app-1")
    assert sent is not None
    assert (sent.generation, sent.servers[0].cap) == (followed.generation, 0)
    refused = Problem(field="", text="altered", reason=GRANT_REFUSED)
    shop.agents.states["uid-app-1"] = followed.model_copy(update={"problems": (refused,)})
    await reconciler.reconcile("shop", LEDGER)
    assert reserved(shop)["app-1"] >= followed.servers[0].cap == 12
    shop.answer()
    await settle(shop, reconciler)
    assert recovering(shop) == ""
    assert sum(reserved(shop).values()) == held(shop) == 24


async def test_a_lost_ledger_waits_for_a_pod_that_runs_without_a_grant() -> None:
    shop, _ = await shop_that_grew()
    pod = shop.server.there(POD, "app-2")
    del pod["metadata"]["annotations"][GRANT_ANNOTATION], pod["status"]["conditions"]
    del shop.agents.states["uid-app-2"]
    shop.server.save(POD, pod)
    lose(shop)
    await settle(shop, reconciler_of(shop))
    assert recovering(shop).endswith(": app-2")
    assert shop.grant("app-3") is None


# What was freed once does not come back


def end(shop: Shop, name: str) -> None:
    pod = shop.server.there(POD, name)
    report_end(pod)
    shop.server.save(POD, pod)
    shop.watch()


def evict(shop: Shop, name: str) -> None:
    pod = shop.server.there(POD, name)
    pod["status"] |= {
        "phase": "Failed",
        "containerStatuses": [{"name": "pooler", "state": {"terminated": {}}}],
    }
    shop.server.save(POD, pod)
    shop.watch()


def put_out_of_service(shop: Shop, name: str) -> None:
    silence(shop, name, taints=[{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}])


def release(shop: Shop, name: str) -> None:
    silence(shop, name)
    ledger = shop.server.there(PGBUDGET, LEDGER)
    ledger["spec"]["release"] = [name]
    shop.server.save(PGBUDGET, ledger)
    shop.watch()


def silence(shop: Shop, name: str, **spec: Any) -> None:
    """It is deleted, and its node does not answer."""
    node = {"metadata": {"name": "w1", "uid": "n1", "resourceVersion": "1"}, "spec": spec}
    shop.store.put(NODE, node | {"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}})
    pod = shop.server.there(POD, name)
    pod["metadata"]["deletionTimestamp"] = "2026-11-24T12:00:00Z"
    shop.server.save(POD, pod)
    shop.watch()
    del shop.agents.states[f"uid-{name}"]


@pytest.mark.parametrize("gone", [end, evict, put_out_of_service, release])
async def test_a_pod_whose_connections_were_freed_is_not_counted_again_while_its_object_stays(
    gone: Callable[[Shop, str], None],
) -> None:
    shop, reconciler = await settled_shop("app-1", "app-2")
    gone(shop, "app-2")
    await settle_all(shop, reconciler)
    assert reserved(shop) == {"app-1": 24}
    shop.server.writes.clear()
    await reconciler.reconcile("shop", LEDGER)
    await reconciler_of(shop).reconcile("shop", LEDGER)
    assert shop.server.writes == []


async def settle_all(shop: Shop, reconciler: BudgetReconciler) -> None:
    """Let all holds pass; the silent stay silent."""
    for _ in range(6):
        await reconciler.reconcile("shop", LEDGER)
        shop.clock.now += 11
        for pod in shop.pods():
            if pod["metadata"]["uid"] in shop.agents.states:
                shop.agents.states[pod["metadata"]["uid"]] = state_of(pod)


async def test_a_ledger_of_nobody_goes_when_the_last_pod_that_it_granted_has_gone() -> None:
    shop, reconciler = await settled_shop("app-1")
    deleted(shop)
    end(shop, "app-1")
    await settle_all(shop, reconciler)
    assert shop.ledger() == {}
    shop.store.remove(POD, slim(POD, shop.server.remove(POD, "app-1")), Change.DELETED)
    await reconciler.reconcile("shop", LEDGER)
    assert shop.server.get(PGBUDGET, LEDGER) is None


async def test_a_pod_of_another_namespace_that_has_lost_all_that_tells_of_its_pool_is_found_there() -> None:
    """First its label, then its ledger, then its grant."""
    town = Town()
    town.pool("shop/app", HOST)
    town.ledger("shop", HOST, allowedNamespaces=["bank"])
    town.pool("bank/pay", HOST, pods=1)
    await town.settle()
    pod = town.server.get(POD, "pay-1", "bank")
    assert pod is not None
    pod["metadata"]["labels"] = {}
    town.server.save(POD, pod)
    town.delete(PGBUDGET, "shop", LEDGER)
    town.ledger("shop", HOST, allowedNamespaces=["bank"])
    await town.round()
    [record] = [grant for grant in town.status("shop", HOST)["grants"] if grant["pod"] == "pay-1"]
    assert record["pool"] == "bank/"
    del pod["metadata"]["annotations"][GRANT_ANNOTATION]
    town.server.save(POD, pod)
    town.watch()
    del town.agents.states["uid-bank-pay-1"]
    await town.round()
    [record] = [grant for grant in town.status("shop", HOST)["grants"] if grant["pod"] == "pay-1"]
    assert record["state"] != "Unknown"


# Two ledgers at one address


async def test_a_ledger_never_grants_a_pod_whose_grant_for_its_address_another_ledger_made() -> None:
    shop, _ = await settled_shop("app-1")
    record = shop.ledger()["app-1"]
    other = {"spec": {"server": {"host": ELSEWHERE, "port": PORT}}, "status": {"grants": [record]}}
    shop.server.save(PGBUDGET, {"metadata": {"name": "other"}} | other)
    moved(shop)
    newcomer(shop)
    lose(shop)
    before = shop.grant("app-1")
    reconciler = reconciler_of(shop)
    for _ in range(4):
        await reconciler.reconcile("shop", LEDGER)
        shop.answer()
    assert shop.grant("app-1") == before
    assert reserved(shop)["app-1"] == 24
