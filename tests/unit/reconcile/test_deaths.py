"""What counts as proof that a pod is dead, as the store, the nodes and their Leases tell it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from pgpool_operator.api import GrantRecord, GrantState
from pgpool_operator.budget import Life
from pgpool_operator.cluster.kinds import LEASE, NODE, PGBUDGET, POD
from pgpool_operator.cluster.store import Change
from pgpool_operator.reconcile.deaths import KEEP_SECONDS, LEASE_PAUSE_SECONDS, Deaths
from pgpool_operator.watching import slim
from pgpool_pooler.contract import Endpoint
from tests.support.shop import LEDGER, Shop, pod_manifest

RECORD = GrantRecord(
    uid="uid-app-1",
    pod="app-1",
    pool="shop/app",
    endpoint=Endpoint.WRITE,
    node="w1",
    grace_seconds=60.0,
    cap=12,
    reserved=12,
    generation=4,
    state=GrantState.ACTIVE,
    since=datetime(2026, 11, 24, tzinfo=UTC),
)
PROOF_SECONDS = 60.0 + 30.0
"""The pod's grace period, and a margin."""


@pytest.fixture
def shop() -> Shop:
    shop = Shop()
    shop.server.save(POD, pod_manifest("app-1"))
    shop.watch()
    shop.store.put(NODE, node())
    renew(shop, "1")
    return shop


@pytest.fixture
def deaths(shop: Shop) -> Deaths:
    return Deaths(shop.api, shop.store, nodes_visible=True, clock=shop.clock)


def node(*, ready: bool = True, version: int = 1, **spec: Any) -> dict[str, Any]:
    metadata = {"name": "w1", "uid": "n1", "resourceVersion": str(version)}
    return {
        "metadata": metadata,
        "spec": spec,
        "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
    }


def renew(shop: Shop, time: str) -> None:
    """The kubelet renews its Lease."""
    metadata = {"name": "w1", "namespace": "kube-node-lease"}
    shop.server.save(LEASE, {"metadata": metadata, "spec": {"renewTime": time}})


def vanish(shop: Shop, change: Change = Change.MISSED) -> None:
    shop.store.remove(POD, slim(POD, shop.server.remove(POD, "app-1")), change)


def update(shop: Shop, **metadata: Any) -> dict[str, Any]:
    pod = shop.server.there(POD, "app-1")
    pod["metadata"] |= metadata
    shop.server.save(POD, pod)
    shop.watch()
    return pod


def end(shop: Shop) -> None:
    """The kubelet reports that the pod's containers have ended after its deletion."""
    pod = update(shop, deletionTimestamp="2026-11-24T12:00:00Z")
    pod["status"]["containerStatuses"] = [{"name": "pooler", "state": {"terminated": {}}}]
    shop.server.save(POD, pod)
    shop.watch()


async def verdict(deaths: Deaths) -> Life:
    found, _ = await deaths.verdict("shop", RECORD)
    return found


async def test_a_pod_that_is_there_is_alive(deaths: Deaths) -> None:
    assert await deaths.verdict("shop", RECORD) == (Life.ALIVE, 0.0)


async def test_a_deleted_pod_goes_until_the_kubelet_reports_its_end(shop: Shop, deaths: Deaths) -> None:
    update(shop, deletionTimestamp="2026-11-24T12:00:00Z")
    assert await verdict(deaths) is Life.TERMINATING
    end(shop)
    assert await verdict(deaths) is Life.DEAD_REPORTED


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param({"pgpool.dev/endpoint": "write"}, id="pool taken off"),
        pytest.param({"pgpool.dev/pool": "app"}, id="endpoint taken off"),
        pytest.param({"pgpool.dev/pool": "app", "pgpool.dev/endpoint": "x"}, id="endpoint changed"),
    ],
)
async def test_a_pod_that_lost_its_labels_is_as_alive_as_it_is(
    shop: Shop, deaths: Deaths, labels: dict[str, str]
) -> None:
    update(shop, labels=labels)
    assert await verdict(deaths) is Life.ALIVE
    update(shop, deletionTimestamp="2026-11-24T12:00:00Z")
    assert await verdict(deaths) is Life.TERMINATING
    vanish(shop, Change.DELETED)
    assert await verdict(deaths) is Life.UNKNOWN


async def test_a_pod_is_dead_since_it_was_first_found_so(shop: Shop, deaths: Deaths) -> None:
    end(shop)
    assert await deaths.verdict("shop", RECORD) == (Life.DEAD_REPORTED, 0.0)
    shop.clock.now += 2.5
    assert await deaths.verdict("shop", RECORD) == (Life.DEAD_REPORTED, 2.5)


async def test_the_last_version_of_a_deleted_object_counts(shop: Shop, deaths: Deaths) -> None:
    end(shop)
    vanish(shop, Change.DELETED)
    assert await verdict(deaths) is Life.DEAD_REPORTED


async def test_a_version_that_may_not_be_the_last_proves_nothing(shop: Shop, deaths: Deaths) -> None:
    end(shop)
    vanish(shop, Change.MISSED)
    assert await verdict(deaths) is Life.UNKNOWN


async def test_a_namesake_is_not_the_pod(shop: Shop, deaths: Deaths) -> None:
    vanish(shop)
    shop.server.save(
        POD, pod_manifest("app-1") | {"metadata": {**pod_manifest("app-1")["metadata"], "uid": "x"}}
    )
    shop.watch()
    assert await verdict(deaths) is Life.UNKNOWN


async def test_a_missing_pod_is_dead_once_its_kubelet_renewed_its_lease_after_the_grace_period(
    shop: Shop, deaths: Deaths
) -> None:
    vanish(shop)
    assert await verdict(deaths) is Life.UNKNOWN
    shop.clock.now += PROOF_SECONDS
    assert await verdict(deaths) is Life.UNKNOWN
    renew(shop, "2")
    shop.clock.now += LEASE_PAUSE_SECONDS
    assert await verdict(deaths) is Life.DEAD_INFERRED


async def test_a_renewal_counts_from_when_it_was_not_there_yet(shop: Shop, deaths: Deaths) -> None:
    """It may have come right after the last look, and the kubelet may have been cut off since."""
    vanish(shop)
    await verdict(deaths)
    renew(shop, "2")
    shop.clock.now += PROOF_SECONDS + 10
    assert await verdict(deaths) is Life.UNKNOWN


async def test_the_first_sight_of_a_lease_is_no_renewal(shop: Shop, deaths: Deaths) -> None:
    vanish(shop)
    shop.clock.now += 3600
    assert await verdict(deaths) is Life.UNKNOWN


async def test_a_node_that_is_not_ready_proves_nothing(shop: Shop, deaths: Deaths) -> None:
    vanish(shop)
    await verdict(deaths)
    shop.clock.now += PROOF_SECONDS
    await verdict(deaths)
    renew(shop, "2")
    shop.clock.now += LEASE_PAUSE_SECONDS
    shop.store.put(NODE, node(ready=False, version=2))
    assert await verdict(deaths) is Life.UNKNOWN


async def test_a_missing_node_proves_nothing(shop: Shop, deaths: Deaths) -> None:
    vanish(shop)
    shop.store.remove(NODE, node())
    shop.clock.now += 3600
    assert await verdict(deaths) is Life.UNKNOWN


async def test_a_node_out_of_service_is_proof(shop: Shop, deaths: Deaths) -> None:
    vanish(shop)
    taint = {"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}
    shop.store.put(NODE, node(ready=False, version=2, taints=[taint]))
    assert await verdict(deaths) is Life.DEAD_INFERRED


async def test_another_taint_proves_nothing(shop: Shop, deaths: Deaths) -> None:
    vanish(shop)
    taint = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}
    shop.store.put(NODE, node(ready=False, version=2, taints=[taint]))
    assert await verdict(deaths) is Life.UNKNOWN


async def test_the_lease_is_read_only_for_missing_pods_and_not_for_each_of_them(
    shop: Shop, deaths: Deaths
) -> None:
    await verdict(deaths)
    assert shop.server.reads == []
    vanish(shop)
    for uid in "abc":
        await deaths.verdict("shop", RECORD.model_copy(update={"uid": uid}))
    assert len(shop.server.reads) == 1
    shop.clock.now += LEASE_PAUSE_SECONDS
    await verdict(deaths)
    assert len(shop.server.reads) == 2


async def test_without_a_view_of_nodes_no_lease_is_read(shop: Shop) -> None:
    deaths = Deaths(shop.api, shop.store, nodes_visible=False, clock=shop.clock)
    vanish(shop)
    assert await verdict(deaths) is Life.UNKNOWN
    assert shop.server.reads == []


def test_the_ends_of_pods_that_no_ledger_names_are_not_kept_for_ever(shop: Shop, deaths: Deaths) -> None:
    for number in range(50):
        churn(shop, f"old-{number}")
    shop.clock.now += KEEP_SECONDS + 1
    churn(shop, "new-1")
    assert set(deaths._gone) == {"uid-new-1"}


async def test_the_end_of_a_pod_that_a_ledger_names_is_kept(shop: Shop, deaths: Deaths) -> None:
    end(shop)
    vanish(shop, Change.DELETED)
    ledger = {"metadata": {"name": LEDGER}, "status": {"grants": [{"uid": RECORD.uid}]}}
    shop.server.save(PGBUDGET, ledger)
    shop.watch()
    shop.clock.now += KEEP_SECONDS + 1
    churn(shop, "new-1")
    assert await verdict(deaths) is Life.DEAD_REPORTED


def churn(shop: Shop, name: str) -> None:
    """A pod comes and goes."""
    shop.server.save(POD, pod_manifest(name))
    shop.watch()
    shop.store.remove(POD, slim(POD, shop.server.remove(POD, name)))
