"""A PgBudget's reconcile against an API server in memory: what is written, in which order, and what is not."""

from typing import Any

import pytest

from pgpool_operator import metrics
from pgpool_operator.cluster.api import ApiError
from pgpool_operator.cluster.kinds import LEASE, NODE, PGBUDGET, PGPOOL, POD
from pgpool_operator.cluster.store import Change
from pgpool_operator.reconcile.budget import BudgetReconciler
from pgpool_operator.watching import slim
from pgpool_pooler.contract import GRANT_ANNOTATION, POKE_ANNOTATION, DatabaseState, Grant, Problem
from tests.support.ledgers import reconciler_of, save_ledger, settle, settled_shop
from tests.support.shop import HOST, LEDGER, PORT, Shop, open_shop, pod_manifest, report_end, state_of


async def test_pods_share_the_whole_budget() -> None:
    shop, _ = await settled_shop("app-1", "app-2")
    assert [shop.ledger()[name]["reserved"] for name in ("app-1", "app-2")] == [12, 12]
    assert shop.server.there(PGBUDGET, LEDGER)["status"]["connections"] == 24


async def test_the_ledger_is_committed_before_any_grant_is_written() -> None:
    shop = open_shop("app-1", "app-2")
    save_ledger(shop)
    await reconciler_of(shop).reconcile("shop", LEDGER)
    assert [write.verb for write in shop.server.writes] == ["status", "annotate", "annotate"]
    for name, record in shop.ledger().items():
        grant = shop.grant(name)
        assert grant is not None
        assert (grant.generation, grant.servers[0].cap) == (record["generation"], record["cap"])


async def test_a_pod_that_lost_its_labels_keeps_its_reservation_and_the_others_are_served() -> None:
    shop, reconciler = await settled_shop("app-1", "app-2")
    pod = shop.server.there(POD, "app-1")
    del pod["metadata"]["labels"]["pgpool.dev/pool"]
    shop.server.save(POD, pod)
    shop.server.save(POD, pod_manifest("app-3"))
    shop.watch()
    shop.agents.states.pop("uid-app-1")
    await settle(shop, reconciler)
    assert shop.ledger()["app-1"]["reserved"] == 12
    assert shop.grant("app-3") is not None
    assert sum(record["reserved"] for record in shop.ledger().values()) == 24


async def test_a_conflict_on_the_ledger_sends_no_grant() -> None:
    shop = open_shop("app-1")
    save_ledger(shop)
    shop.server.save(PGBUDGET, {**shop.server.there(PGBUDGET, LEDGER), "status": {"connections": 3}})
    with pytest.raises(ApiError) as raised:
        await reconciler_of(shop).reconcile("shop", LEDGER)
    assert raised.value.conflict
    assert shop.server.writes == []


async def test_a_ledger_that_the_api_server_does_not_take_sends_no_grant() -> None:
    shop = open_shop("app-1")
    save_ledger(shop)
    shop.server.refuse = lambda method, _path: ApiError(0, "no answer") if method == "put" else None
    with pytest.raises(ApiError):
        await reconciler_of(shop).reconcile("shop", LEDGER)
    assert shop.grant("app-1") is None


async def test_an_unchanged_world_writes_nothing() -> None:
    shop, reconciler = await settled_shop("app-1", "app-2")
    for _ in range(3):
        await reconciler.reconcile("shop", LEDGER)
    assert shop.server.writes == []
    assert shop.server.events == []


async def test_an_operator_that_starts_anew_writes_nothing() -> None:
    shop, _ = await settled_shop("app-1", "app-2")
    await reconciler_of(shop).reconcile("shop", LEDGER)
    assert shop.server.writes == []


async def test_a_pod_is_granted_its_share_when_it_comes_to_a_node() -> None:
    shop = open_shop("app-1")
    unscheduled = pod_manifest("app-2", phase="Pending")
    del unscheduled["spec"]["nodeName"], unscheduled["status"]["podIP"]
    shop.server.save(POD, unscheduled)
    shop.watch()
    save_ledger(shop)
    reconciler = reconciler_of(shop)
    await settle(shop, reconciler)
    assert {name: record["reserved"] for name, record in shop.ledger().items()} == {"app-1": 24}
    shop.server.save(POD, pod_manifest("app-2"))
    shop.watch()
    await settle(shop, reconciler)
    assert {name: record["reserved"] for name, record in shop.ledger().items()} == {"app-1": 12, "app-2": 12}


async def test_a_pod_that_changed_since_it_was_seen_is_granted_in_the_next_round() -> None:
    shop = open_shop("app-1", "app-2")
    save_ledger(shop)
    shop.server.save(POD, pod_manifest("app-1", phase="Pending"))
    reconciler = reconciler_of(shop)
    with pytest.raises(ApiError) as raised:
        await reconciler.reconcile("shop", LEDGER)
    assert raised.value.conflict
    assert shop.grant("app-1") is None
    assert shop.grant("app-2") is not None, "one pod's conflict keeps no other from its grant"
    shop.watch()
    await reconciler.reconcile("shop", LEDGER)
    assert shop.grant("app-1") is not None


async def test_a_pod_whose_change_no_watch_told_of_is_granted_in_the_next_round() -> None:
    shop = open_shop("app-1")
    save_ledger(shop)
    shop.server.save(POD, pod_manifest("app-1", phase="Pending"))
    reconciler = reconciler_of(shop)
    with pytest.raises(ApiError):
        await reconciler.reconcile("shop", LEDGER)
    await reconciler.reconcile("shop", LEDGER)
    assert shop.grant("app-1") is not None


async def test_a_pod_whose_end_no_watch_told_of_is_missed_and_keeps_its_connections() -> None:
    shop, reconciler, _ = await shop_that_missed_an_end()
    await settle(shop, reconciler)
    assert shop.ledger()["app-1"]["state"] == "Unknown"
    assert shop.ledger()["app-1"]["reserved"] == 12
    grant = shop.grant("app-2")
    assert grant is not None
    assert grant.mode == "pause"


async def test_the_last_version_of_a_missed_pod_counts_when_the_watch_brings_it_after_all() -> None:
    shop, reconciler, gone = await shop_that_missed_an_end()
    report_end(gone)
    shop.store.remove(POD, slim(POD, gone))
    await settle(shop, reconciler)
    assert shop.ledger()["app-1"]["state"] == "Draining"


async def shop_that_missed_an_end() -> tuple[Shop, BudgetReconciler, dict[str, Any]]:
    """app-1 is gone, no watch has told of it, and a write to it was refused."""
    shop, reconciler = await settled_shop("app-1", "app-2")
    shop.server.save(PGPOOL, {**shop.server.there(PGPOOL, "app"), "spec": paused_spec(shop)})
    shop.watch()
    gone = shop.server.remove(POD, "app-1")
    shop.agents.states.pop("uid-app-1")
    with pytest.raises(ApiError) as raised:
        await reconciler.reconcile("shop", LEDGER)
    assert raised.value.not_found
    assert shop.store.get(POD, "shop", "app-1") is None
    return shop, reconciler, gone


@pytest.mark.parametrize("status", [0, 409, 429, 500])
async def test_a_pod_that_cannot_be_written_keeps_no_other_from_its_grant(status: int) -> None:
    shop = open_shop("app-1", "app-2", "app-3")
    save_ledger(shop)
    reconciler = reconciler_of(shop)
    refusal = ApiError(status, "not now")
    shop.server.refuse = lambda method, path: refusal if method == "patch" and "app-2" in path else None
    with pytest.raises(ApiError) as raised:
        await reconciler.reconcile("shop", LEDGER)
    assert raised.value is refusal
    assert [shop.grant(name) is not None for name in ("app-1", "app-2", "app-3")] == [True, False, True]
    shop.server.refuse = lambda _method, _path: None
    await reconciler.reconcile("shop", LEDGER)
    assert shop.grant("app-2") is not None


async def test_a_pod_that_cannot_be_told_for_whatever_reason_keeps_no_other_from_its_grant() -> None:
    """The ledger is committed: what is not sent now would be reserved and never granted."""
    shop = open_shop("app-1", "app-2", "app-3")
    save_ledger(shop)

    def break_down(method: str, path: str) -> None:
        if method == "patch" and "app-2" in path:
            raise OverflowError("too large")

    shop.server.refuse = break_down
    with pytest.raises(OverflowError):
        await reconciler_of(shop).reconcile("shop", LEDGER)
    assert [shop.grant(name) is not None for name in ("app-1", "app-2", "app-3")] == [True, False, True]


async def test_a_grant_is_never_written_over_one_of_the_same_generation_or_a_higher_one() -> None:
    shop, reconciler = await settled_shop("app-1", "app-2")
    before = {name: shop.grant(name) for name in ("app-1", "app-2")}
    shop.server.save(PGPOOL, {**shop.server.there(PGPOOL, "app"), "spec": paused_spec(shop)})
    shop.watch()
    await settle(shop, reconciler)
    for write in shop.server.written("pods"):
        assert GRANT_ANNOTATION in write.annotations
    for name, old in before.items():
        new = shop.grant(name)
        assert old is not None
        assert new is not None
        assert new.mode == "pause"
        assert new.generation > old.generation


async def test_a_grant_that_somebody_took_off_its_pod_comes_back_as_a_newer_one() -> None:
    shop, reconciler = await settled_shop("app-1", databases=[{"name": "app"}, {"name": "reports"}])
    old = shop.grant("app-1")
    pod = shop.server.there(POD, "app-1")
    del pod["metadata"]["annotations"][GRANT_ANNOTATION]
    shop.server.save(POD, pod)
    shop.watch()
    await settle(shop, reconciler)
    new = shop.grant("app-1")
    assert old is not None
    assert new is not None
    assert new.generation == old.generation + 1
    assert shop.ledger()["app-1"]["reserved"] == 24


def put(shop: Shop, name: str, grant: Grant) -> None:
    """Somebody writes a grant on a pod."""
    pod = shop.server.there(POD, name)
    pod["metadata"]["annotations"][GRANT_ANNOTATION] = grant.model_dump_json()
    shop.server.save(POD, pod)
    shop.watch()


async def test_an_older_grant_that_somebody_put_on_a_pod_is_replaced_by_a_newer_one() -> None:
    """Of the same generation, it would say something else: the pod's shares are not what they were."""
    shop, reconciler = await settled_shop("app-1", databases=[{"name": "app"}, {"name": "reports"}])
    older = shop.grant("app-1")
    shop.server.save(POD, pod_manifest("app-2"))
    shop.watch()
    await settle(shop, reconciler)
    newest = shop.grant("app-1")
    assert older is not None
    assert newest is not None
    put(shop, "app-1", older)
    await settle(shop, reconciler)
    found = shop.grant("app-1")
    assert found is not None
    assert found.generation == newest.generation + 1
    assert found.servers[0].cap == newest.servers[0].cap


async def test_a_grant_that_its_pod_refuses_is_replaced_by_a_newer_one_once() -> None:
    """The operator wrote it over an older one that somebody had put there, before the pod was heard."""
    shop, reconciler = await settled_shop("app-1", databases=[{"name": "app"}, {"name": "reports"}])
    refused = shop.grant("app-1")
    assert refused is not None
    altered = Problem(field="grant", text="altered after it was accepted", reason="GrantRefused")
    pod = shop.server.there(POD, "app-1")
    shop.agents.states["uid-app-1"] = state_of(pod, problems=(altered,))
    for _ in range(3):
        await reconciler.reconcile("shop", LEDGER)
    found = shop.grant("app-1")
    assert found is not None
    assert found.generation == refused.generation + 1


def paused_spec(shop: Shop) -> dict[str, Any]:
    return {**shop.server.there(PGPOOL, "app")["spec"], "paused": True}


async def test_the_generation_of_a_lost_ledger_does_not_start_again() -> None:
    shop, _ = await settled_shop("app-1")
    old = shop.grant("app-1")
    assert old is not None
    shop.store.remove(PGBUDGET, shop.server.remove(PGBUDGET, LEDGER))
    save_ledger(shop)
    await settle(shop, reconciler_of(shop))
    new = shop.grant("app-1")
    assert new is not None
    assert new.generation >= old.generation
    assert new == old or new.generation > old.generation
    assert shop.ledger()["app-1"]["reserved"] == old.servers[0].cap


async def test_a_pod_that_does_not_notice_its_grant_is_poked_after_a_second_and_a_half() -> None:
    shop = open_shop("app-1")
    save_ledger(shop)
    reconciler = reconciler_of(shop)
    await reconciler.reconcile("shop", LEDGER)
    [pod] = shop.pods()
    shop.agents.states["uid-app-1"] = state_of(pod, generation=0, acknowledged=0)
    shop.server.writes.clear()
    assert await reconciler.reconcile("shop", LEDGER) == 1.5
    shop.clock.now += 1.4
    await reconciler.reconcile("shop", LEDGER)
    assert shop.server.written("pods") == []
    shop.clock.now += 0.2
    assert await reconciler.reconcile("shop", LEDGER) == 3.0
    [poke] = shop.server.written("pods")
    assert list(poke.annotations) == [POKE_ANNOTATION]


async def test_a_pod_that_was_never_heard_is_not_poked() -> None:
    shop = open_shop("app-1")
    save_ledger(shop)
    reconciler = reconciler_of(shop)
    await reconciler.reconcile("shop", LEDGER)
    shop.clock.now += 3600
    assert await reconciler.reconcile("shop", LEDGER) is None
    assert [write.annotations.keys() for write in shop.server.written("pods")] == [{GRANT_ANNOTATION}]


async def test_demand_moves_connections_by_shrinking_first() -> None:
    shop, reconciler = await settled_shop("app-1", "app-2")
    busy = DatabaseState(
        name="app", limit=12, open=12, active=12, clients=50, waiting=30, max_wait_seconds=0.1
    )
    for pod in shop.pods():
        name = pod["metadata"]["name"]
        shop.agents.states[f"uid-{name}"] = state_of(pod, databases=(busy,) if name == "app-1" else ())
    await reconciler.reconcile("shop", LEDGER)
    ledger = shop.ledger()
    assert ledger["app-2"]["cap"] < ledger["app-2"]["reserved"] == 12
    assert ledger["app-1"]["reserved"] == 12, "it grows when the other one has acknowledged"
    ready = shop.server.there(PGBUDGET, LEDGER)["status"]["conditions"][0]
    assert (ready["type"], ready["status"], ready["reason"]) == ("Ready", "True", "Moving")


async def test_a_ledger_of_no_pool_and_no_pod_is_deleted() -> None:
    shop, reconciler = await settled_shop()
    shop.store.remove(PGPOOL, shop.server.remove(PGPOOL, "app"))
    await reconciler.reconcile("shop", LEDGER)
    assert shop.server.get(PGBUDGET, LEDGER) is None


async def test_a_ledger_that_still_holds_connections_is_kept() -> None:
    shop, reconciler = await settled_shop("app-1")
    shop.store.remove(PGPOOL, shop.server.remove(PGPOOL, "app"))
    await reconciler.reconcile("shop", LEDGER)
    assert shop.ledger()["app-1"]["reserved"] == 24


async def test_a_ledger_with_a_limit_that_somebody_set_is_kept() -> None:
    shop, reconciler = await settled_shop()
    save_ledger(shop, limit=10)
    shop.store.remove(PGPOOL, shop.server.remove(PGPOOL, "app"))
    await reconciler.reconcile("shop", LEDGER)
    assert shop.server.get(PGBUDGET, LEDGER) is not None


async def test_the_gauges_of_a_deleted_ledger_are_gone() -> None:
    shop, reconciler = await settled_shop()
    assert ("shop", LEDGER) in gauges()
    shop.store.remove(PGBUDGET, shop.server.remove(PGBUDGET, LEDGER))
    await reconciler.reconcile("shop", LEDGER)
    assert ("shop", LEDGER) not in gauges()


def gauges() -> set[tuple[str, str]]:
    return {
        (sample.labels["namespace"], sample.labels["budget"])
        for gauge in (metrics.BUDGET, metrics.RESERVED, metrics.UNKNOWN)
        for family in gauge.collect()
        for sample in family.samples
    }


async def test_an_event_that_cannot_be_posted_holds_up_no_grant() -> None:
    shop = open_shop("app-1", database={"servers": [{"host": HOST, "port": PORT, "cpu": 8}]})
    save_ledger(shop)
    reconciler = reconciler_of(shop)
    await settle(shop, reconciler)
    shop.server.refuse = lambda method, _path: ApiError(403, "no events") if method == "post" else None
    spec = shop.server.there(PGPOOL, "app")["spec"] | {"budget": {"connectionsPerCpu": 2}}
    shop.server.save(PGPOOL, {**shop.server.there(PGPOOL, "app"), "spec": spec})
    shop.watch()
    await settle(shop, reconciler)
    grant = shop.grant("app-1")
    assert grant is not None
    assert grant.servers[0].cap == 16


async def test_a_pod_without_a_word_keeps_its_connections_and_is_looked_at_again() -> None:
    shop, reconciler = await settled_shop("app-1", "app-2")
    shop.store.remove(POD, shop.server.remove(POD, "app-2"), Change.MISSED)
    assert await reconciler.reconcile("shop", LEDGER) == 5.0
    assert shop.ledger()["app-2"]["state"] == "Unknown"
    assert shop.ledger()["app-2"]["reserved"] == 12
    shop.clock.now += 3600
    await reconciler.reconcile("shop", LEDGER)
    assert shop.ledger()["app-2"]["reserved"] == 12


def renew(shop: Shop) -> None:
    """The kubelet of the pods' node, which is Ready, renews its Lease."""
    metadata = {"name": "w1", "namespace": "kube-node-lease"}
    shop.server.save(LEASE, {"metadata": metadata, "spec": {"renewTime": str(shop.clock.now)}})


def see_node(shop: Shop, status: str) -> None:
    node = {"metadata": {"name": "w1", "uid": "n1", "resourceVersion": "1"}, "spec": {}}
    shop.store.put(NODE, node | {"status": {"conditions": [{"type": "Ready", "status": status}]}})


async def test_the_ledger_keeps_which_machine_a_pod_ran_on() -> None:
    shop, reconciler = await settled_shop("app-1", "app-2")
    assert shop.ledger()["app-1"]["nodeUid"] == ""
    see_node(shop, "True")
    await reconciler.reconcile("shop", LEDGER)
    assert shop.ledger()["app-1"]["nodeUid"] == "n1"


async def test_and_does_not_change_it_when_another_machine_comes_by_that_name() -> None:
    shop, reconciler = await settled_shop("app-1", "app-2")
    see_node(shop, "True")
    await reconciler.reconcile("shop", LEDGER)
    other = {"metadata": {"name": "w1", "uid": "n2", "resourceVersion": "2"}, "spec": {}}
    shop.store.put(NODE, other | {"status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    await reconciler.reconcile("shop", LEDGER)
    assert shop.ledger()["app-1"]["nodeUid"] == "n1"


async def test_nor_is_a_node_noted_for_a_pod_that_is_not_known_to_be_alive_on_it() -> None:
    shop, reconciler = await settled_shop("app-1", "app-2")
    pod = shop.server.there(POD, "app-1")
    pod["metadata"]["deletionTimestamp"] = "2026-11-24T12:00:00Z"
    shop.server.save(POD, pod)
    shop.watch()
    see_node(shop, "True")
    await reconciler.reconcile("shop", LEDGER)
    assert shop.ledger()["app-1"]["nodeUid"] == ""


async def hang(shop: Shop, reconciler: BudgetReconciler, name: str) -> None:
    """The pod is deleted, and its kubelet, alive, does not end it."""
    see_node(shop, "True")
    pod = shop.server.there(POD, name)
    pod["metadata"]["deletionTimestamp"] = "2026-11-24T12:00:00Z"
    shop.server.save(POD, pod)
    shop.watch()
    for _ in range(60):
        renew(shop)
        pause = await reconciler.reconcile("shop", LEDGER)
        assert pause is not None
        shop.clock.now += 5.0


async def test_a_pod_that_its_living_kubelet_does_not_end_is_unknown_and_the_ledger_keeps_that() -> None:
    shop, reconciler = await settled_shop("app-1", "app-2")
    await hang(shop, reconciler, "app-1")
    found = shop.ledger()["app-1"]
    assert (found["state"], found["overdue"], found["reserved"]) == ("Unknown", True, 12)
    await reconciler_of(shop).reconcile("shop", LEDGER)
    assert shop.ledger()["app-1"]["overdue"]


@pytest.mark.parametrize("restarted", [False, True], ids=["the same operator", "one that started later"])
async def test_one_that_a_person_released_is_not_taken_in_again_while_its_object_is_there(
    restarted: bool,
) -> None:
    shop, reconciler = await settled_shop("app-1", "app-2")
    await hang(shop, reconciler, "app-1")
    ledger = shop.server.there(PGBUDGET, LEDGER)
    shop.server.save(PGBUDGET, {**ledger, "spec": ledger["spec"] | {"release": ["app-1"]}})
    shop.watch()
    await settle(shop, reconciler)
    assert set(shop.ledger()) == {"app-2"}
    reconciler = reconciler_of(shop) if restarted else reconciler
    shop.server.writes.clear()
    await settle(shop, reconciler)
    assert shop.server.writes == []
    assert set(shop.ledger()) == {"app-2"}


def refuse(shop: Shop, name: str) -> None:
    """The kubelet does not take the pod, and says nothing of its containers."""
    pod = shop.server.there(POD, name)
    pod["status"] |= {"phase": "Failed", "reason": "OutOfcpu"}
    shop.server.save(POD, pod)
    shop.watch()
    shop.agents.states.pop(f"uid-{name}", None)


async def look_on(shop: Shop, reconciler: BudgetReconciler, seconds: float) -> None:
    """The ledger is looked at whenever it asks for that, while the kubelet lives and the other pods answer."""
    until = shop.clock.now + seconds
    while shop.clock.now < until:
        pause = await reconciler.reconcile("shop", LEDGER)
        shop.watch()
        for uid in shop.agents.states:
            shop.agents.states[uid] = state_of(shop.server.there(POD, uid.removeprefix("uid-")))
        shop.clock.now = until if pause is None else shop.clock.now + pause
        renew(shop)


async def test_a_refused_pod_gives_its_connections_back_once_its_kubelet_must_have_killed_it() -> None:
    """By itself: no object changes, so the ledger has to be looked at again and again."""
    shop, reconciler = await settled_shop("app-1", "app-2")
    see_node(shop, "True")
    refuse(shop, "app-2")
    await look_on(shop, reconciler, 180)
    assert shop.ledger()["app-2"]["reserved"] > 0
    await look_on(shop, reconciler, 60)
    assert [(name, record["reserved"]) for name, record in shop.ledger().items()] == [("app-1", 24)]
    assert await reconciler.reconcile("shop", LEDGER) is None


async def test_what_a_refused_pod_gave_back_is_not_counted_again_by_the_next_operator() -> None:
    shop, reconciler = await settled_shop("app-1", "app-2")
    see_node(shop, "True")
    refuse(shop, "app-2")
    await look_on(shop, reconciler, 240)
    shop.server.writes.clear()
    await reconciler_of(shop).reconcile("shop", LEDGER)
    assert shop.server.writes == []


async def test_a_refused_pod_on_a_silent_node_is_held_until_a_person_releases_it() -> None:
    shop, reconciler = await settled_shop("app-1", "app-2")
    see_node(shop, "Unknown")
    refuse(shop, "app-2")
    assert await reconciler.reconcile("shop", LEDGER) == 5.0
    assert shop.ledger()["app-2"]["state"] == "Unknown"
    ledger = shop.server.there(PGBUDGET, LEDGER)
    ledger["spec"]["release"] = ["app-2"]
    shop.server.save(PGBUDGET, ledger)
    shop.watch()
    await look_on(shop, reconciler, 10)
    assert [(name, record["reserved"]) for name, record in shop.ledger().items()] == [("app-1", 24)]


async def test_a_pod_that_the_kubelet_reported_ended_gives_its_connections_back_after_the_hold() -> None:
    shop, reconciler = await settled_shop("app-1", "app-2")
    ended = shop.server.there(POD, "app-2")
    report_end(ended)
    shop.server.save(POD, ended)
    shop.watch()
    assert await reconciler.reconcile("shop", LEDGER) == 2.0
    assert shop.ledger()["app-2"]["reserved"] == 12
    shop.store.remove(POD, slim(POD, shop.server.remove(POD, "app-2")))
    shop.clock.now += 2.1
    await settle(shop, reconciler)
    assert [(name, record["reserved"]) for name, record in shop.ledger().items()] == [("app-1", 24)]
