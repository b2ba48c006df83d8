"""A PgPool's reconcile against an API server in memory: what is applied, what is left alone, what is said."""

from typing import Any

import pytest

from pgpool_operator.cluster.api import ApiError
from pgpool_operator.cluster.kinds import (
    CONFIGMAP,
    DEPLOYMENT,
    PDB,
    PGBUDGET,
    PGPOOL,
    POD,
    SERVICE,
    SERVICEACCOUNT,
)
from pgpool_operator.reconcile.pokes import Pokes
from pgpool_operator.reconcile.pool import REFUSED_SECONDS, PoolReconciler
from pgpool_pooler.contract import (
    CONFIG_HASH_ANNOTATION,
    POKE_ANNOTATION,
    Problem,
)
from tests.support.shop import HOST, LEDGER, PORT, Shop, open_shop, state_of

IMAGE = "pooler:1"
CHILDREN = ["serviceaccounts", "configmaps", "services", "poddisruptionbudgets", "deployments"]


def reconciler_of(shop: Shop) -> PoolReconciler:
    return PoolReconciler(shop.api, shop.store, shop.agents, Pokes(shop.clock), IMAGE)


async def settled_shop(*pods: str, **spec: Any) -> tuple[Shop, PoolReconciler]:
    """A shop whose children are applied, and whose pods have grants and configuration."""
    shop = open_shop(*pods, **spec)
    for number, pod in enumerate(pods, start=1):
        shop.give_grant(pod, number)
    reconciler = reconciler_of(shop)
    for _ in range(20):
        before = len(shop.server.writes)
        await reconciler.reconcile("shop", "app")
        if len(shop.server.writes) == before:
            break
        shop.answer()
    else:
        raise AssertionError("it does not settle")
    shop.server.writes.clear()
    shop.server.events.clear()
    shop.server.reads.clear()
    return shop, reconciler


def change_spec(shop: Shop, **spec: Any) -> None:
    pool = shop.server.there(PGPOOL, "app")
    shop.server.save(PGPOOL, {**pool, "spec": pool["spec"] | spec})
    shop.watch()


def conditions(shop: Shop) -> dict[str, dict[str, Any]]:
    status = shop.server.there(PGPOOL, "app")["status"]
    return {said["type"]: said for said in status["conditions"]}


async def test_a_new_pool_gets_its_ledger_then_its_children_then_its_status() -> None:
    shop = open_shop()
    await reconciler_of(shop).reconcile("shop", "app")
    assert [(write.verb, write.plural) for write in shop.server.writes] == [
        ("apply", "pgbudgets"),
        *[("apply", plural) for plural in CHILDREN],
        ("status", "pgpools"),
    ]
    assert shop.server.there(PGBUDGET, LEDGER)["spec"] == {"server": {"host": HOST, "port": PORT}}
    assert shop.server.there(DEPLOYMENT, "app-rw")["spec"]["replicas"] == 2


async def test_the_ledger_has_no_owner() -> None:
    shop = open_shop()
    await reconciler_of(shop).reconcile("shop", "app")
    assert "ownerReferences" not in shop.server.there(PGBUDGET, LEDGER)["metadata"]


async def test_the_spec_and_its_annotations_are_never_written() -> None:
    shop = open_shop()
    before = shop.server.there(PGPOOL, "app")
    await reconciler_of(shop).reconcile("shop", "app")
    after = shop.server.there(PGPOOL, "app")
    assert after["spec"] == before["spec"]
    assert {**after["metadata"], "resourceVersion": ""} == {**before["metadata"], "resourceVersion": ""}


async def test_an_unchanged_world_writes_nothing_and_asks_nothing() -> None:
    shop, reconciler = await settled_shop("app-1", "app-2")
    for _ in range(3):
        assert await reconciler.reconcile("shop", "app") is None
    assert (shop.server.writes, shop.server.events, shop.server.reads) == ([], [], [])


async def test_an_operator_that_starts_anew_writes_nothing() -> None:
    shop, _ = await settled_shop("app-1", "app-2")
    await reconciler_of(shop).reconcile("shop", "app")
    assert (shop.server.writes, shop.server.events) == ([], [])


async def test_only_the_child_that_somebody_changed_is_applied_again() -> None:
    shop, reconciler = await settled_shop()
    service = shop.server.there(SERVICE, "app-rw")
    service["spec"]["selector"] = {"app": "other"}
    shop.server.save(SERVICE, service)
    shop.watch()
    await reconciler.reconcile("shop", "app")
    assert [(write.verb, write.plural) for write in shop.server.writes] == [("apply", "services")]


async def test_a_deleted_child_is_applied_again() -> None:
    shop, reconciler = await settled_shop()
    shop.store.remove(PDB, shop.server.remove(PDB, "app-rw"))
    await reconciler.reconcile("shop", "app")
    assert [(write.verb, write.plural) for write in shop.server.writes] == [("apply", "poddisruptionbudgets")]


@pytest.mark.parametrize("kind", [SERVICEACCOUNT, SERVICE], ids=lambda kind: kind.name)
async def test_a_foreign_object_is_not_overwritten_and_a_person_is_told(kind: Any) -> None:
    shop = open_shop()
    name = "app" if kind is SERVICEACCOUNT else "app-rw"
    theirs = shop.server.save(kind, {"metadata": {"name": name}, "spec": {"theirs": True}})
    pause = await reconciler_of(shop).reconcile("shop", "app")
    assert shop.server.there(kind, name) == theirs
    assert pause == REFUSED_SECONDS
    assert conditions(shop)["Stalled"]["status"] == "True"
    assert f"{kind.name} {name} is there already" in conditions(shop)["Stalled"]["message"]


async def test_a_child_that_lost_its_label_looks_deleted_and_is_applied_again() -> None:
    shop, reconciler = await settled_shop()
    service = shop.server.there(SERVICE, "app-rw")
    del service["metadata"]["labels"]["app.kubernetes.io/managed-by"]
    shop.store.remove(SERVICE, shop.server.save(SERVICE, service))
    await reconciler.reconcile("shop", "app")
    assert [(write.verb, write.plural) for write in shop.server.writes] == [("apply", "services")]
    assert shop.server.there(SERVICE, "app-rw")["metadata"]["labels"]["app.kubernetes.io/managed-by"]


@pytest.mark.parametrize("status", [403, 422], ids=["forbidden", "invalid"])
async def test_a_child_that_the_api_server_refuses_is_told_in_its_own_words(status: int) -> None:
    shop = open_shop()
    words = 'Service "app-rw" is not what we want'

    def refuse(method: str, path: str) -> ApiError | None:
        return ApiError(status, words) if method == "patch" and path.endswith("/services/app-rw") else None

    shop.server.refuse = refuse
    assert await reconciler_of(shop).reconcile("shop", "app") == REFUSED_SECONDS
    assert words in conditions(shop)["Stalled"]["message"]
    shop.server.refuse = lambda _method, _path: None
    shop.watch()
    await reconciler_of(shop).reconcile("shop", "app")
    assert conditions(shop)["Stalled"]["status"] == "False"


async def test_an_endpoint_that_the_spec_drops_is_deleted_and_the_other_stays() -> None:
    shop, reconciler = await settled_shop(read={"replicas": 1, "targetSessionAttrs": "any"})
    assert shop.server.get(SERVICE, "app-ro")
    change_spec(shop, read=None)
    await reconciler.reconcile("shop", "app")
    for kind in (SERVICE, DEPLOYMENT, PDB):
        assert shop.server.get(kind, "app-ro") is None
        assert shop.server.get(kind, "app-rw") is not None


async def test_no_deployment_is_made_before_the_budget_is_known() -> None:
    shop = open_shop(database={"cluster": {"provider": "patroni", "name": "main"}})
    await reconciler_of(shop).reconcile("shop", "app")
    assert shop.server.get(SERVICE, "app-rw") is not None
    assert shop.server.get(DEPLOYMENT, "app-rw") is None


async def test_every_pod_is_told_the_hash_of_the_configuration() -> None:
    shop, _ = await settled_shop("app-1", "app-2")
    told = {pod["metadata"]["annotations"][CONFIG_HASH_ANNOTATION] for pod in shop.pods()}
    assert told == {shop.server.there(PGPOOL, "app")["status"]["configHash"]}


async def test_a_new_parameter_changes_the_configuration_and_its_hash_but_no_deployment() -> None:
    shop, reconciler = await settled_shop("app-1")
    before = shop.server.there(PGPOOL, "app")["status"]["configHash"]
    change_spec(shop, timeouts={"queueSeconds": 60})
    await reconciler.reconcile("shop", "app")
    assert [(w.verb, w.plural) for w in shop.server.writes] == [
        ("apply", "configmaps"),
        ("annotate", "pods"),
        ("status", "pgpools"),
    ]
    assert shop.server.written("pods")[0].annotations[CONFIG_HASH_ANNOTATION] != before


async def test_peers_are_those_that_have_a_grant_and_an_address() -> None:
    shop, _ = await settled_shop("app-1", "app-2")
    peers = shop.server.there(CONFIGMAP, "app")["data"]["peers.json"]
    assert '"1": "10.0.2.1"' in peers
    assert '"2": "10.0.2.2"' in peers


async def test_a_pod_that_does_not_notice_its_configuration_is_poked_after_a_second_and_a_half() -> None:
    shop, reconciler = await settled_shop("app-1")
    [pod] = shop.pods()
    shop.agents.states["uid-app-1"] = state_of(pod, config_hash="old")
    assert await reconciler.reconcile("shop", "app") == 1.5
    shop.clock.now += 1.4
    await reconciler.reconcile("shop", "app")
    assert shop.server.written("pods") == []
    shop.clock.now += 0.2
    assert await reconciler.reconcile("shop", "app") == 3.0
    assert [list(write.annotations) for write in shop.server.written("pods")] == [[POKE_ANNOTATION]]


async def test_a_pod_whose_engine_refuses_the_configuration_is_not_poked() -> None:
    shop, reconciler = await settled_shop("app-1")
    [pod] = shop.pods()
    refused = Problem(field="pgbouncer", text="no such thing", reason="EngineRejected")
    shop.agents.states["uid-app-1"] = state_of(pod, config_hash="old", problems=(refused,))
    await reconciler.reconcile("shop", "app")
    shop.clock.now += 3600
    assert await reconciler.reconcile("shop", "app") is None
    assert shop.server.written("pods") == []


async def test_the_pods_that_have_old_secrets_are_poked() -> None:
    shop, reconciler = await settled_shop("app-1", "app-2")
    for pod in shop.pods():
        shop.agents.states[pod["metadata"]["uid"]] = state_of(pod, secrets_version="old")
    await reconciler.reconcile("shop", "app")
    shop.agents.states["uid-app-2"] = state_of(shop.server.there(POD, "app-2"), secrets_version="new")
    await reconciler.reconcile("shop", "app")
    shop.clock.now += 1.5
    await reconciler.reconcile("shop", "app")
    assert [write.name for write in shop.server.written("pods")] == ["app-1"]


async def test_a_status_that_somebody_else_changed_meanwhile_is_not_overwritten() -> None:
    shop = open_shop()
    pool = shop.server.there(PGPOOL, "app")
    shop.server.save(PGPOOL, {**pool, "spec": pool["spec"] | {"paused": True}})
    with pytest.raises(ApiError) as raised:
        await reconciler_of(shop).reconcile("shop", "app")
    assert raised.value.conflict
    assert "status" not in shop.server.there(PGPOOL, "app")


async def test_a_pool_that_is_gone_or_going_is_left_alone() -> None:
    shop = open_shop()
    assert await reconciler_of(shop).reconcile("shop", "other") is None
    pool = shop.server.there(PGPOOL, "app")
    pool["metadata"]["deletionTimestamp"] = "2026-11-24T12:00:00Z"
    shop.server.save(PGPOOL, pool)
    shop.watch()
    assert await reconciler_of(shop).reconcile("shop", "app") is None
    assert shop.server.writes == []


async def test_events_are_posted_once() -> None:
    shop = open_shop()
    reconciler = reconciler_of(shop)
    await reconciler.reconcile("shop", "app")
    first = len(shop.server.events)
    assert first > 0
    await reconciler.reconcile("shop", "app")
    assert len(shop.server.events) == first


def scale_deployment(shop: Shop, replicas: int) -> None:
    live = shop.server.there(DEPLOYMENT, "app-rw")
    shop.server.save(DEPLOYMENT, {**live, "spec": live["spec"] | {"replicas": replicas}})
    shop.watch()


def reverted(shop: Shop) -> list[str]:
    return [event["message"] for event in shop.server.events if event["reason"] == "ReplicasReverted"]


async def test_a_number_of_pods_that_was_set_at_the_deployment_is_set_back_and_said_once() -> None:
    shop, reconciler = await settled_shop("app-rw-1")
    for _ in range(3):
        scale_deployment(shop, 7)
        await reconciler.reconcile("shop", "app")
        assert shop.server.there(DEPLOYMENT, "app-rw")["spec"]["replicas"] == 2
        shop.watch()
    assert reverted(shop) == ["the number of pods was set back: scale PgPool app, not its Deployments"]


async def test_scaling_the_pool_itself_is_not_called_a_reversal() -> None:
    shop, reconciler = await settled_shop("app-rw-1")
    change_spec(shop, write={"replicas": 3})
    await reconciler.reconcile("shop", "app")
    assert shop.server.there(DEPLOYMENT, "app-rw")["spec"]["replicas"] == 3
    assert reverted(shop) == []


async def test_a_pod_that_was_changed_meanwhile_keeps_no_other_from_its_configuration() -> None:
    shop, reconciler = await settled_shop("app-rw-1", "app-rw-2")
    change_spec(shop, pgbouncer={"parameters": {"server_idle_timeout": 60}})
    touched = shop.server.there(POD, "app-rw-1")
    touched["metadata"]["labels"]["touched"] = "yes"
    shop.server.save(POD, touched)
    await reconciler.reconcile("shop", "app")
    hashes = {
        name: shop.server.there(POD, name)["metadata"]["annotations"][CONFIG_HASH_ANNOTATION]
        for name in ("app-rw-1", "app-rw-2")
    }
    assert hashes["app-rw-1"] != hashes["app-rw-2"]


@pytest.mark.parametrize("failure", [ApiError(500, "not now"), OverflowError("too large")], ids=repr)
async def test_a_pod_that_cannot_be_told_keeps_no_other_from_its_configuration_nor_the_status_from_being_said(
    failure: Exception,
) -> None:
    shop, reconciler = await settled_shop("app-rw-1", "app-rw-2")
    old = shop.server.there(POD, "app-rw-2")["metadata"]["annotations"][CONFIG_HASH_ANNOTATION]
    before = shop.server.there(PGPOOL, "app")["status"]["observedGeneration"]
    change_spec(shop, pgbouncer={"parameters": {"server_idle_timeout": 60}})

    def break_down(method: str, path: str) -> None:
        if method == "patch" and "app-rw-1" in path:
            raise failure

    shop.server.refuse = break_down
    with pytest.raises(type(failure)):
        await reconciler.reconcile("shop", "app")
    assert shop.server.there(POD, "app-rw-2")["metadata"]["annotations"][CONFIG_HASH_ANNOTATION] != old
    assert shop.server.there(PGPOOL, "app")["status"]["observedGeneration"] == before + 1
