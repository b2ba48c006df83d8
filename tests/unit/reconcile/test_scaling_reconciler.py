"""Autoscaling through the whole reconcile: from the load that pods report to Deployment, status and events."""

from dataclasses import replace
from typing import Any

import pytest

from pgpool_operator.cluster.kinds import DEPLOYMENT, PGPOOL, POD
from pgpool_operator.reconcile.pokes import Pokes
from pgpool_operator.reconcile.pool import PoolReconciler
from pgpool_operator.reconcile.scaler import LOOK_SECONDS
from pgpool_operator.scaling import PodLoad
from pgpool_operator.scaling.settle import SETTLE_SECONDS
from tests.support.fake_api import Object
from tests.support.loads import BUSY, FULL, QUIET, backends
from tests.support.shop import open_shop, pod_manifest

AT_ONCE = {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 9, "periodSeconds": 1}]}
QUICK = {"maxReplicas": 4, "behavior": {"scaleUp": AT_ONCE, "scaleDown": AT_ONCE}}
COST = "controller.kubernetes.io/pod-deletion-cost"


class Scaled:
    """A pool that scales, with pods that say what the test says."""

    def __init__(self, *pods: str, **spec: Any) -> None:
        self.shop = open_shop(*pods, **({"write": {"autoscaling": QUICK}} | spec))
        shop = self.shop
        for number, pod in enumerate(pods, start=1):
            shop.give_grant(pod, number)
        self.restart_operator()

    def restart_operator(self) -> None:
        """Nothing is remembered, and no load is known yet."""
        shop = self.shop
        shop.answer()
        shop.agents.loads = dict.fromkeys(shop.agents.states)
        self.reconciler = PoolReconciler(
            shop.api, shop.store, shop.agents, Pokes(shop.clock), "pooler:1", shop.clock
        )

    async def look(self, load: PodLoad | None, seconds: float = 5.0) -> float | None:
        """All pods are under a load; then the pool is reconciled."""
        self.shop.clock.now += seconds
        self.shop.answer()
        for pod in self.shop.pods():
            if load is not None:
                self.shop.agents.loads[pod["metadata"]["uid"]] = load
        pause = await self.reconciler.reconcile("shop", "app")
        self.shop.watch()
        return pause

    @property
    def replicas(self) -> int:
        return int(self.shop.server.there(DEPLOYMENT, "app-rw")["spec"]["replicas"])

    @property
    def status(self) -> Object:
        return dict(self.shop.server.there(PGPOOL, "app")["status"])

    def condition(self, kind: str) -> tuple[str, str]:
        [found] = [c for c in self.status["conditions"] if c["type"] == kind]
        return found["status"], found["reason"]

    def events(self, *reasons: str) -> list[str]:
        return [e["message"] for e in self.shop.server.events if e["reason"] in reasons]


async def test_a_pool_that_scales_begins_with_its_minimum() -> None:
    scaled = Scaled()
    await scaled.look(None)
    assert scaled.replicas == 2
    assert scaled.status["write"]["desiredReplicas"] == 2


async def test_busy_poolers_get_more_pods_and_the_event_says_why() -> None:
    scaled = Scaled("app-1", "app-2")
    await scaled.look(QUIET)
    await scaled.look(BUSY)
    assert scaled.replicas == 3
    assert scaled.status["write"]["desiredReplicas"] == 3
    assert "lastScaleTime" in scaled.status["write"]
    assert scaled.events("ScalingUp") == ["write 2 -> 3 pods: pooler CPU 95% (target 75%)"]


async def test_the_spec_is_not_written_when_the_operator_scales() -> None:
    scaled = Scaled("app-1", "app-2")
    before = scaled.shop.server.there(PGPOOL, "app")["spec"]
    await scaled.look(BUSY)
    assert scaled.shop.server.there(PGPOOL, "app")["spec"] == before


async def test_the_decision_outlives_the_operator() -> None:
    scaled = Scaled("app-1", "app-2")
    await scaled.look(QUIET)
    await scaled.look(BUSY)
    await scaled.look(BUSY)
    scaled.restart_operator()
    scaled.shop.server.writes.clear()
    await scaled.look(None)
    assert scaled.replicas == 3
    assert scaled.shop.server.writes == []


async def test_the_reason_is_in_the_status_once_it_has_held() -> None:
    scaled = Scaled("app-1", "app-2")
    await scaled.look(QUIET)
    assert scaled.status["write"]["scalingReason"] == "Steady"
    await scaled.look(FULL)
    assert scaled.status["write"]["scalingReason"] == "Steady"
    await scaled.look(FULL, SETTLE_SECONDS)
    assert scaled.status["write"]["scalingReason"] == "BudgetExhausted"


async def test_a_pod_that_is_not_missed_goes_first() -> None:
    scaled = Scaled("app-1", "app-2", "app-3")
    await scaled.look(replace(QUIET, cpu=0.5))
    await scaled.look(BUSY)
    assert scaled.replicas == 4
    scaled.shop.server.save(POD, pod_manifest("app-4"))
    scaled.shop.watch()
    loads = {"uid-app-1": 0.3, "uid-app-2": 0.1, "uid-app-3": 0.2, "uid-app-4": 0.3}
    for uid, clients in loads.items():
        scaled.shop.agents.loads[uid] = replace(QUIET, cpu=0.01, clients=clients)
    await scaled.look(None)
    assert scaled.replicas == 3
    marked = [pod["metadata"]["name"] for pod in scaled.shop.pods() if COST in pod["metadata"]["annotations"]]
    assert marked == ["app-2"]
    assert scaled.events("ScalingDown") == [
        "write 4 -> 3 pods: pooler CPU 1%, clients at 23% of max_client_conn: fewer suffice"
    ]


async def test_clients_that_wait_for_the_database_are_a_condition_and_no_pod() -> None:
    scaled = Scaled("app-1", "app-2")
    await scaled.look(QUIET)
    assert scaled.condition("DatabaseSaturated") == ("False", "HasRoom")
    await scaled.look(FULL)
    await scaled.look(FULL, SETTLE_SECONDS)
    assert scaled.replicas == 2
    assert scaled.condition("DatabaseSaturated") == ("True", "BudgetExhausted")
    assert scaled.condition("Ready") != ("True", "Serving")
    [said] = scaled.events("DatabaseSaturated")
    assert "24 of 24 connections busy, 60 clients wait up to 0.5 s, pooler CPU 20%" in said
    await scaled.look(QUIET)
    await scaled.look(QUIET, SETTLE_SECONDS)
    assert scaled.condition("DatabaseSaturated") == ("False", "HasRoom")


async def test_the_cause_is_told_by_the_servers_own_backends() -> None:
    scaled = Scaled("app-1", "app-2")
    await scaled.look(QUIET)
    locked = replace(FULL, backends=backends(lock=22, cpu=2))
    await scaled.look(locked)
    await scaled.look(locked, SETTLE_SECONDS)
    assert scaled.condition("DatabaseSaturated") == ("True", "LockContention")


async def test_saturation_is_said_without_autoscaling_too() -> None:
    scaled = Scaled("app-1", "app-2", write={"replicas": 2})
    await scaled.look(QUIET)
    await scaled.look(FULL)
    await scaled.look(FULL, SETTLE_SECONDS)
    assert scaled.condition("DatabaseSaturated") == ("True", "BudgetExhausted")
    assert scaled.condition("ScalingLimited") == ("False", "DesiredWithinRange")
    assert "scalingReason" not in scaled.status["write"] or scaled.status["write"]["scalingReason"] == ""


async def test_what_was_said_holds_until_an_operator_that_starts_knows_better() -> None:
    scaled = Scaled("app-1", "app-2")
    await scaled.look(FULL)
    assert scaled.condition("DatabaseSaturated") == ("True", "BudgetExhausted")
    scaled.restart_operator()
    await scaled.look(None)
    assert scaled.condition("DatabaseSaturated") == ("True", "BudgetExhausted")


async def test_a_load_above_the_maximum_is_said() -> None:
    scaled = Scaled("app-1", "app-2", write={"autoscaling": QUICK | {"maxReplicas": 2}})
    await scaled.look(BUSY)
    assert scaled.replicas == 2
    assert scaled.condition("ScalingLimited") == ("True", "TooManyReplicas")


async def test_a_load_that_the_budget_has_no_room_for_is_said() -> None:
    databases = [{"name": f"db{number}"} for number in range(12)]
    scaled = Scaled("app-1", databases=databases, write={"autoscaling": QUICK | {"minReplicas": 1}})
    await scaled.look(BUSY)
    assert scaled.replicas == 1
    assert scaled.condition("ScalingLimited") == ("True", "BudgetFloor")


@pytest.mark.parametrize(("load", "pause"), [(FULL, LOOK_SECONDS), (QUIET, None)], ids=["full", "quiet"])
async def test_a_pool_under_load_is_looked_at_again_and_a_quiet_one_is_left_alone(
    load: PodLoad, pause: float | None
) -> None:
    scaled = Scaled("app-1", "app-2", write={"replicas": 2})
    await scaled.look(load)
    await scaled.look(load)
    assert await scaled.look(load) == pause


async def test_a_deployment_that_was_scaled_by_hand_is_no_decision() -> None:
    scaled = Scaled("app-1", "app-2")
    await scaled.look(QUIET)
    live = scaled.shop.server.there(DEPLOYMENT, "app-rw")
    scaled.shop.server.save(DEPLOYMENT, {**live, "spec": {**live["spec"], "replicas": 9}})
    scaled.shop.watch()
    await scaled.look(QUIET)
    assert scaled.replicas == 2
    assert scaled.events("ReplicasReverted")


async def test_a_pod_that_is_silent_does_not_say_that_the_database_is_down() -> None:
    scaled = Scaled("app-1", "app-2", "app-3", write={"autoscaling": QUICK | {"minReplicas": 3}})
    await scaled.look(BUSY)
    down = scaled.shop.agents.states["uid-app-3"]
    servers = tuple(server.model_copy(update={"reachable": False}) for server in down.servers)
    scaled.shop.agents.loads["uid-app-3"] = None
    scaled.shop.answer = lambda: scaled.shop.agents.states.update(  # type: ignore[method-assign]
        {"uid-app-3": down.model_copy(update={"servers": servers})}
    )
    await scaled.look(None)
    assert scaled.status["write"]["scalingReason"] != "Frozen"
    assert scaled.condition("ScalingLimited")[1] != "Frozen"


async def test_an_evicted_pod_is_none_of_those_that_may_go() -> None:
    scaled = Scaled("app-1", "app-2", write={"replicas": 2})
    await scaled.look(QUIET)
    evicted = pod_manifest("app-0", phase="Failed")
    scaled.shop.server.save(POD, evicted)
    pool = scaled.shop.server.there(PGPOOL, "app")
    scaled.shop.server.save(PGPOOL, {**pool, "spec": pool["spec"] | {"write": {"replicas": 1}}})
    scaled.shop.watch()
    await scaled.look(QUIET)
    marked = {pod["metadata"]["name"]: pod["metadata"]["annotations"].get(COST) for pod in scaled.shop.pods()}
    assert marked == {"app-0": None, "app-1": "-1", "app-2": None}


async def test_a_pod_that_was_to_go_and_stayed_is_like_the_others_again() -> None:
    scaled = Scaled("app-1", "app-2", "app-3", write={"replicas": 3})
    await scaled.look(QUIET)
    pod = scaled.shop.server.there(POD, "app-1")
    pod["metadata"]["annotations"][COST] = "-1"
    scaled.shop.server.save(POD, pod)
    pool = scaled.shop.server.there(PGPOOL, "app")
    scaled.shop.server.save(PGPOOL, {**pool, "spec": pool["spec"] | {"write": {"replicas": 2}}})
    scaled.shop.watch()
    scaled.shop.agents.loads["uid-app-1"] = replace(QUIET, clients=0.9)
    scaled.shop.agents.loads["uid-app-2"] = QUIET
    scaled.shop.agents.loads["uid-app-3"] = replace(QUIET, clients=0.9)
    await scaled.look(None)
    costs = [pod["metadata"]["annotations"].get(COST, "0") for pod in scaled.shop.pods()]
    assert costs == ["0", "-1", "0"]
