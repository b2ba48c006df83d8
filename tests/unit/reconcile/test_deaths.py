"""What counts as proof that a pod is dead, as the store, the nodes and their Leases tell it."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from pgpool_operator.api import GrantRecord, GrantState
from pgpool_operator.budget import Life
from pgpool_operator.cluster.api import ApiError
from pgpool_operator.cluster.kinds import LEASE, NODE, PGBUDGET, POD
from pgpool_operator.cluster.queue import LONGEST_DELAY_SECONDS
from pgpool_operator.cluster.store import Change
from pgpool_operator.reconcile.deaths import (
    KEEP_SECONDS,
    LEASE_GAP_SECONDS,
    LEASE_PAUSE_SECONDS,
    LOOK_SECONDS,
    Deaths,
)
from pgpool_operator.reconcile.pods import pooler
from pgpool_operator.watching import slim
from pgpool_pooler.contract import GRANT_ANNOTATION, Endpoint, Grant, ServerGrant
from tests.support.shop import LEDGER, Shop, pod_manifest, report_end

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
PROOF_SECONDS = 60.0 + 120.0
"""The pod's grace period, and a margin."""
RENEW_SECONDS = 10.0
LONG_SECONDS = PROOF_SECONDS + 3 * RENEW_SECONDS
"""Until a pod should have ended, as whoever looks now and then sees it."""


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
    """The kubelet reports that the pod has ended after its deletion."""
    pod = shop.server.there(POD, "app-1")
    report_end(pod)
    shop.server.save(POD, pod)
    shop.watch()


def report(shop: Shop, **status: Any) -> None:
    pod = shop.server.there(POD, "app-1")
    pod["status"] |= status
    shop.server.save(POD, pod)
    shop.watch()


def crash(shop: Shop) -> None:
    """The container ends, and the kubelet is about to start it again."""
    report(shop, containerStatuses=[{"name": "pooler", "state": {"terminated": {}}}])


def refuse(shop: Shop) -> None:
    """The kubelet does not take the pod, and says nothing of its containers."""
    report(shop, phase="Failed", reason="OutOfcpu")


async def live(shop: Shop, deaths: Deaths, seconds: float) -> None:
    """The kubelet renews its Lease all the time, and the operator looks."""
    for _ in range(round(seconds / LOOK_SECONDS)):
        shop.clock.now += LOOK_SECONDS
        if shop.clock.now % RENEW_SECONDS == 0:
            renew(shop, str(shop.clock.now))
        await verdict(deaths)


async def prove(shop: Shop, deaths: Deaths) -> None:
    """The kubelet lives for long enough, from the first look on that finds its Lease renewed."""
    await verdict(deaths)
    await live(shop, deaths, RENEW_SECONDS + PROOF_SECONDS + RENEW_SECONDS)


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


async def test_a_crash_that_was_reported_before_a_deletion_is_no_end(shop: Shop, deaths: Deaths) -> None:
    """The container may have been started again, and the node cut off before the kubelet could say so."""
    crash(shop)
    assert await verdict(deaths) is Life.ALIVE
    update(shop, deletionTimestamp="2026-11-24T12:00:00Z")
    assert await verdict(deaths) is Life.TERMINATING
    shop.store.put(NODE, node(ready=False, version=2))
    assert await verdict(deaths) is Life.UNKNOWN
    vanish(shop, Change.DELETED)
    assert await verdict(deaths) is Life.UNKNOWN


async def test_the_final_phase_that_the_control_plane_gives_an_orphan_is_no_end(
    shop: Shop, deaths: Deaths
) -> None:
    """Its Node object is gone, the node may run."""
    crash(shop)
    shop.store.remove(NODE, node())
    orphaned = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC"}
    report(shop, phase="Failed", conditions=[orphaned])
    assert await verdict(deaths) is Life.UNKNOWN
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


async def test_a_missing_pod_is_dead_once_its_kubelet_lived_on_for_the_grace_period_and_a_margin(
    shop: Shop, deaths: Deaths
) -> None:
    vanish(shop)
    assert await verdict(deaths) is Life.UNKNOWN
    await live(shop, deaths, RENEW_SECONDS + PROOF_SECONDS)
    assert await verdict(deaths) is Life.UNKNOWN
    await live(shop, deaths, RENEW_SECONDS)
    assert await verdict(deaths) is Life.DEAD_INFERRED


async def test_one_renewal_after_a_long_cut_proves_nothing(shop: Shop, deaths: Deaths) -> None:
    """The kubelet is only just back, and has not looked which pods are left."""
    vanish(shop)
    await live(shop, deaths, 30)
    for _ in range(120):
        shop.clock.now += LOOK_SECONDS
        await verdict(deaths)
    await live(shop, deaths, 2 * RENEW_SECONDS)
    assert await verdict(deaths) is Life.UNKNOWN
    await live(shop, deaths, PROOF_SECONDS)
    assert await verdict(deaths) is Life.DEAD_INFERRED


async def test_a_cut_that_is_longer_than_tcp_mends_in_time_starts_the_proof_anew(
    shop: Shop, deaths: Deaths
) -> None:
    vanish(shop)
    await live(shop, deaths, PROOF_SECONDS - 20)
    shop.clock.now += LEASE_GAP_SECONDS + LOOK_SECONDS
    await live(shop, deaths, PROOF_SECONDS)
    assert await verdict(deaths) is Life.UNKNOWN


async def test_a_short_cut_does_not(shop: Shop, deaths: Deaths) -> None:
    vanish(shop)
    await live(shop, deaths, PROOF_SECONDS - 20)
    shop.clock.now += RENEW_SECONDS
    await verdict(deaths)
    await live(shop, deaths, 40)
    assert await verdict(deaths) is Life.DEAD_INFERRED


async def test_a_node_that_was_not_ready_meanwhile_starts_the_proof_anew(shop: Shop, deaths: Deaths) -> None:
    vanish(shop)
    await live(shop, deaths, PROOF_SECONDS)
    shop.store.put(NODE, node(ready=False, version=2))
    shop.store.put(NODE, node(version=3))
    await live(shop, deaths, PROOF_SECONDS)
    assert await verdict(deaths) is Life.UNKNOWN


async def test_a_proof_holds_when_nobody_looks_for_a_while_or_the_kubelet_is_silent_then(
    shop: Shop, deaths: Deaths
) -> None:
    vanish(shop)
    await prove(shop, deaths)
    _, dead_for = await deaths.verdict("shop", RECORD)
    shop.clock.now += 3600
    shop.store.put(NODE, node(ready=False, version=2))
    assert await deaths.verdict("shop", RECORD) == (Life.DEAD_INFERRED, dead_for + 3600)
    shop.store.remove(NODE, node())
    assert await verdict(deaths) is Life.DEAD_INFERRED


async def test_a_pod_that_comes_back_to_the_watch_after_its_proof_is_alive_and_needs_another(
    shop: Shop, deaths: Deaths
) -> None:
    pod = shop.server.there(POD, "app-1")
    vanish(shop)
    await prove(shop, deaths)
    shop.server.save(POD, pod)
    shop.watch()
    assert await verdict(deaths) is Life.ALIVE
    vanish(shop)
    assert await verdict(deaths) is Life.UNKNOWN


async def test_the_last_version_of_a_missed_pod_undoes_no_proof(shop: Shop, deaths: Deaths) -> None:
    pod = shop.server.there(POD, "app-1")
    vanish(shop)
    await prove(shop, deaths)
    shop.store.remove(POD, slim(POD, pod), Change.DELETED)
    assert await verdict(deaths) is Life.DEAD_INFERRED


def test_a_ledger_whose_reconcile_fails_is_looked_at_often_enough_to_see_a_lease_renewed_without_a_gap() -> (
    None
):
    assert LONGEST_DELAY_SECONDS + RENEW_SECONDS <= LEASE_GAP_SECONDS


@pytest.mark.parametrize("shortened", [0, 30])
async def test_a_kubelet_that_did_not_see_the_deletion_lets_a_pod_go_on_as_the_spec_says(
    shop: Shop, deaths: Deaths, shortened: int
) -> None:
    update(shop, deletionTimestamp="2026-11-24T12:00:00Z", deletionGracePeriodSeconds=shortened)
    vanish(shop, Change.DELETED)
    await verdict(deaths)
    await live(shop, deaths, RENEW_SECONDS + PROOF_SECONDS)
    assert await verdict(deaths) is Life.UNKNOWN


async def test_a_longer_grace_period_that_only_the_ledger_knows_of_counts(shop: Shop, deaths: Deaths) -> None:
    vanish(shop, Change.DELETED)
    record = RECORD.model_copy(update={"grace_seconds": 600.0})
    await deaths.verdict("shop", record)
    for _ in range(100):
        shop.clock.now += LOOK_SECONDS
        renew(shop, str(shop.clock.now))
        await deaths.verdict("shop", record)
    assert await deaths.verdict("shop", record) == (Life.UNKNOWN, 0.0)


async def test_a_renewal_counts_from_when_it_was_not_there_yet(shop: Shop, deaths: Deaths) -> None:
    """It may have come right after the last look, and the kubelet may have been cut off since."""
    vanish(shop)
    await verdict(deaths)
    await live(shop, deaths, RENEW_SECONDS + PROOF_SECONDS - LOOK_SECONDS)
    renew(shop, "the last")
    shop.clock.now += LOOK_SECONDS
    assert await verdict(deaths) is Life.UNKNOWN


async def test_a_look_that_is_answered_late_is_no_renewal(
    shop: Shop, deaths: Deaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It tells of what another look, which began later, has found out of date."""
    vanish(shop)
    await verdict(deaths)
    answer, read = asyncio.Event(), deaths.api.get

    async def late(*where: Any) -> dict[str, Any] | None:
        found = await read(*where)
        await answer.wait()
        return found

    shop.clock.now += LOOK_SECONDS
    with monkeypatch.context() as patch:
        patch.setattr(deaths.api, "get", late)
        look = asyncio.create_task(verdict(deaths))
        await asyncio.sleep(0)
    renew(shop, "2")
    shop.clock.now += LEASE_PAUSE_SECONDS
    await verdict(deaths)
    answer.set()
    await look
    assert deaths._leases["w1"].renew_time == "2"


async def test_a_lease_that_is_gone_was_not_renewed(shop: Shop, deaths: Deaths) -> None:
    vanish(shop)
    await verdict(deaths)
    await live(shop, deaths, RENEW_SECONDS + PROOF_SECONDS)
    del shop.server.objects[LEASE.path("kube-node-lease", "w1")]
    shop.clock.now += LOOK_SECONDS
    assert await verdict(deaths) is Life.UNKNOWN


async def test_the_first_sight_of_a_lease_is_no_renewal(shop: Shop, deaths: Deaths) -> None:
    """The kubelet may have been cut off then, and be back only since the first renewal that was seen."""
    vanish(shop)
    shop.clock.now += 3600
    assert await verdict(deaths) is Life.UNKNOWN
    shop.clock.now += LEASE_GAP_SECONDS - RENEW_SECONDS
    await live(shop, deaths, PROOF_SECONDS - LOOK_SECONDS)
    assert await verdict(deaths) is Life.UNKNOWN


async def hang(shop: Shop, deaths: Deaths, seconds: float = LONG_SECONDS) -> None:
    """The pod is deleted, and its kubelet cannot end it."""
    update(shop, deletionTimestamp="2026-11-24T12:00:00Z")
    await live(shop, deaths, seconds)


async def test_a_pod_that_its_living_kubelet_should_have_ended_long_ago_is_unknown(
    shop: Shop, deaths: Deaths
) -> None:
    await hang(shop, deaths, PROOF_SECONDS)
    assert await verdict(deaths) is Life.TERMINATING
    await live(shop, deaths, 3 * RENEW_SECONDS)
    assert await verdict(deaths) is Life.UNKNOWN
    end(shop)
    assert await verdict(deaths) is Life.DEAD_REPORTED


async def test_its_reconcile_is_to_look_again_until_that_is_known(shop: Shop, deaths: Deaths) -> None:
    assert not deaths.awaits(RECORD.uid)
    await hang(shop, deaths, PROOF_SECONDS)
    assert deaths.awaits(RECORD.uid)
    await live(shop, deaths, 3 * RENEW_SECONDS)
    assert not deaths.awaits(RECORD.uid)


async def test_a_kubelet_that_could_not_end_a_pod_does_not_prove_that_it_did_once_the_object_was_forced_away(
    shop: Shop, deaths: Deaths
) -> None:
    await hang(shop, deaths)
    vanish(shop, Change.DELETED)
    await prove(shop, deaths)
    assert await verdict(deaths) is Life.UNKNOWN
    taint = {"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}
    shop.store.put(NODE, node(ready=False, version=4, taints=[taint]))
    assert await verdict(deaths) is Life.DEAD_INFERRED


async def test_that_its_absence_was_found_before_the_watch_told_of_its_deletion_changes_nothing(
    shop: Shop, deaths: Deaths
) -> None:
    shop.server.refuse = lambda _method, path: ApiError(0, "no answer") if "pods" in path else None
    await hang(shop, deaths)
    shop.server.refuse = lambda _method, _path: None
    last = slim(POD, shop.server.remove(POD, "app-1"))
    shop.store.remove(POD, last, Change.MISSED)
    shop.store.remove(POD, last, Change.DELETED)
    await prove(shop, deaths)
    assert await verdict(deaths) is Life.UNKNOWN
    assert deaths.overdue(RECORD.uid)


async def test_who_leads_next_knows_that_it_hung_from_the_ledger(shop: Shop, deaths: Deaths) -> None:
    await hang(shop, deaths)
    assert deaths.overdue(RECORD.uid)
    record = RECORD.model_copy(update={"overdue": True})
    vanish(shop, Change.DELETED)
    reserve(shop, record)
    started_later = Deaths(shop.api, shop.store, nodes_visible=True, clock=shop.clock)
    await stand_by(shop, started_later, RENEW_SECONDS + PROOF_SECONDS + RENEW_SECONDS)
    assert await started_later.verdict("shop", record) == (Life.UNKNOWN, 0.0)
    assert started_later.overdue(RECORD.uid)


async def test_one_that_had_no_time_yet_to_end_it_does(shop: Shop, deaths: Deaths) -> None:
    await hang(shop, deaths, PROOF_SECONDS)
    vanish(shop, Change.DELETED)
    await prove(shop, deaths)
    assert await verdict(deaths) is Life.DEAD_INFERRED


async def test_so_does_one_that_was_cut_off_meanwhile_and_could_not_know(shop: Shop, deaths: Deaths) -> None:
    update(shop, deletionTimestamp="2026-11-24T12:00:00Z")
    await live(shop, deaths, 60)
    shop.store.put(NODE, node(ready=False, version=2))
    shop.clock.now += 3600
    shop.store.put(NODE, node(version=3))
    await live(shop, deaths, 60)
    vanish(shop, Change.DELETED)
    await prove(shop, deaths)
    assert await verdict(deaths) is Life.DEAD_INFERRED


async def test_so_does_one_that_ended_it_in_time_while_the_operator_could_not_see_that(
    shop: Shop, deaths: Deaths
) -> None:
    """Its watches were cut off without knowing, and went on from where they were."""
    update(shop, deletionTimestamp="2026-11-24T12:00:00Z")
    await live(shop, deaths, 60)
    shop.server.refuse = lambda _method, _path: ApiError(0, "no answer")
    await live(shop, deaths, 3600)
    shop.server.refuse = lambda _method, _path: None
    await live(shop, deaths, 60)
    vanish(shop, Change.DELETED)
    await prove(shop, deaths)
    assert await verdict(deaths) is Life.DEAD_INFERRED


async def test_so_does_one_whose_pod_went_unseen(shop: Shop, deaths: Deaths) -> None:
    """The watch of pods alone was stuck: nobody knows for how long the object is gone."""
    update(shop, deletionTimestamp="2026-11-24T12:00:00Z")
    shop.server.remove(POD, "app-1")
    await live(shop, deaths, LONG_SECONDS)
    assert not deaths.overdue(RECORD.uid)
    await prove(shop, deaths)
    assert await verdict(deaths) is Life.DEAD_INFERRED


async def test_nobody_is_late_as_long_as_the_api_server_does_not_say_that_the_pod_is_there(
    shop: Shop, deaths: Deaths
) -> None:
    shop.server.refuse = lambda _method, path: ApiError(0, "no answer") if "pods" in path else None
    await hang(shop, deaths)
    assert await verdict(deaths) is Life.TERMINATING
    assert not deaths.overdue(RECORD.uid)


async def test_the_life_of_a_kubelet_is_followed_while_it_ends_a_pod(shop: Shop, deaths: Deaths) -> None:
    reserve(shop, RECORD)
    update(shop, deletionTimestamp="2026-11-24T12:00:00Z")
    await stand_by(shop, deaths, LONG_SECONDS)
    vanish(shop, Change.DELETED)
    await prove(shop, deaths)
    assert await verdict(deaths) is Life.UNKNOWN


async def test_it_is_not_for_a_pod_that_holds_nothing(shop: Shop, deaths: Deaths) -> None:
    pod = pooler(slim(POD, update(shop, deletionTimestamp="2026-11-24T12:00:00Z")))
    assert pod is not None
    assert await deaths.verdict_on(pod) == (Life.TERMINATING, 0.0)
    assert shop.server.reads == []


async def test_what_a_kubelet_reports_late_is_an_end_all_the_same(shop: Shop, deaths: Deaths) -> None:
    update(shop, deletionTimestamp="2026-11-24T12:00:00Z")
    await live(shop, deaths, LONG_SECONDS)
    end(shop)
    vanish(shop, Change.DELETED)
    assert await verdict(deaths) is Life.DEAD_REPORTED


async def test_a_node_that_is_not_ready_proves_nothing(shop: Shop, deaths: Deaths) -> None:
    vanish(shop)
    shop.store.put(NODE, node(ready=False, version=2))
    await prove(shop, deaths)
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


@pytest.mark.parametrize(
    ("known", "found"),
    [("n1", Life.DEAD_INFERRED), ("n0", Life.UNKNOWN), ("", Life.DEAD_INFERRED)],
    ids=["its own node", "another machine by the name of its node", "of an older operator's record"],
)
@pytest.mark.parametrize("off", [False, True], ids=["alive", "out of service"])
async def test_only_the_machine_that_the_pod_ran_on_proves_its_death(
    shop: Shop, deaths: Deaths, known: str, found: Life, off: bool
) -> None:
    record = RECORD.model_copy(update={"node_uid": known})
    vanish(shop)
    taint = {"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}
    shop.store.put(NODE, node(ready=not off, version=2, taints=[taint] if off else []))
    reserve(shop, record)
    await deaths.look()
    await stand_by(shop, deaths, RENEW_SECONDS + PROOF_SECONDS + RENEW_SECONDS)
    verdict, _ = await deaths.verdict("shop", record)
    assert verdict is found


def not_found(*, ran: bool) -> dict[str, Any]:
    """What a kubelet that ends a pod says of a container that it does not find, and that it has seen run or not."""
    terminated = {"terminated": {"reason": "ContainerStatusUnknown", "exitCode": 137}}
    return {"name": "pooler", "restartCount": 0, "state": terminated, "lastState": terminated if ran else {}}


@pytest.mark.parametrize(
    ("known", "found"),
    [("n1", Life.DEAD_REPORTED), ("n0", Life.UNKNOWN)],
    ids=["its own node", "another machine by the name of its node"],
)
@pytest.mark.parametrize("gone", [False, True], ids=["there", "gone"])
async def test_a_deleted_pod_that_never_ran_as_its_own_kubelet_knows_is_dead_at_once(
    shop: Shop, deaths: Deaths, known: str, found: Life, gone: bool
) -> None:
    """Its image is wrong, or a Secret is missing."""
    update(shop, deletionTimestamp="2026-11-24T12:00:00Z")
    report(shop, phase="Failed", containerStatuses=[not_found(ran=False)])
    if gone:
        vanish(shop, Change.DELETED)
    record = RECORD.model_copy(update={"node_uid": known})
    assert await deaths.verdict("shop", record) == (found, 0.0)


async def test_whose_kubelet_does_not_know_of_it_has_to_be_known(shop: Shop, deaths: Deaths) -> None:
    update(shop, deletionTimestamp="2026-11-24T12:00:00Z")
    report(shop, phase="Failed", containerStatuses=[not_found(ran=False)])
    assert await deaths.verdict("shop", RECORD) == (Life.TERMINATING, 0.0)
    shop.store.remove(NODE, node())
    record = RECORD.model_copy(update={"node_uid": "n1"})
    assert await deaths.verdict("shop", record) == (Life.UNKNOWN, 0.0)


@pytest.mark.parametrize(
    ("heard", "found"),
    [(None, Life.DEAD_REPORTED), (True, Life.UNKNOWN), (False, Life.UNKNOWN)],
    ids=["its agent was never heard", "its agent was heard", "its agent was heard to know nothing"],
)
async def test_where_nodes_are_not_seen_only_its_own_agent_speaks_against_that_it_never_ran(
    shop: Shop, heard: bool | None, found: Life
) -> None:
    deaths = Deaths(shop.api, shop.store, nodes_visible=False, clock=shop.clock)
    update(shop, deletionTimestamp="2026-11-24T12:00:00Z")
    report(shop, phase="Failed", containerStatuses=[not_found(ran=False)])
    record = RECORD.model_copy(update={"detects_dead_clients": heard})
    assert await deaths.verdict("shop", record) == (found, 0.0)


async def test_who_saw_its_pooler_end_knows_what_else_of_it_never_ran(shop: Shop) -> None:
    """A sidecar's image is wrong."""
    deaths = Deaths(shop.api, shop.store, nodes_visible=False, clock=shop.clock)
    pod = update(shop, deletionTimestamp="2026-11-24T12:00:00Z")
    pod["spec"]["containers"] = [{"name": "pooler"}, {"name": "mesh"}]
    shop.server.save(POD, pod)
    ended = {"name": "pooler", "restartCount": 0, "state": {"terminated": {"reason": "Completed"}}}
    report(shop, phase="Failed", containerStatuses=[ended, not_found(ran=False) | {"name": "mesh"}])
    record = RECORD.model_copy(update={"detects_dead_clients": True})
    assert await deaths.verdict("shop", record) == (Life.DEAD_REPORTED, 0.0)


async def test_what_another_machine_by_the_name_of_its_node_does_not_find_has_not_ended(
    shop: Shop, deaths: Deaths
) -> None:
    report(shop, phase="Failed", containerStatuses=[not_found(ran=True)])
    record = RECORD.model_copy(update={"node_uid": "n0"})
    reserve(shop, record)
    await stand_by(shop, deaths, RENEW_SECONDS + PROOF_SECONDS + RENEW_SECONDS)
    assert await deaths.verdict("shop", record) == (Life.UNKNOWN, 0.0)


async def test_that_machine_proves_nothing_either_for_a_ledger_that_does_not_know_it(
    shop: Shop, deaths: Deaths
) -> None:
    """The pod is of a pool with two servers: the ledger of the other one has no reservation of it."""
    server = ServerGrant(host="10.0.0.7", port=5432, cap=12, shares={"app": 12})
    grant = Grant(uid=RECORD.uid, generation=4, servers=(server,), peer_id=1)
    update(shop, annotations={GRANT_ANNOTATION: grant.model_dump_json()})
    report(shop, phase="Failed", containerStatuses=[not_found(ran=True)])
    pod = pooler(slim(POD, shop.server.there(POD, "app-1")))
    assert pod is not None
    record = RECORD.model_copy(update={"node_uid": "n0"})
    for _ in range(round((RENEW_SECONDS + PROOF_SECONDS + RENEW_SECONDS) / LOOK_SECONDS)):
        shop.clock.now += LOOK_SECONDS
        if shop.clock.now % RENEW_SECONDS == 0:
            renew(shop, str(shop.clock.now))
        await deaths.verdict_on(pod)
        assert await deaths.verdict("shop", record) == (Life.UNKNOWN, 0.0)


async def test_what_its_own_kubelet_does_not_find_has_ended_once_it_must_have_killed_it(
    shop: Shop, deaths: Deaths
) -> None:
    report(shop, phase="Failed", containerStatuses=[not_found(ran=True)])
    assert await verdict(deaths) is Life.TERMINATING
    await prove(shop, deaths)
    assert await verdict(deaths) is Life.DEAD_INFERRED


async def test_another_taint_proves_nothing(shop: Shop, deaths: Deaths) -> None:
    vanish(shop)
    taint = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}
    shop.store.put(NODE, node(ready=False, version=2, taints=[taint]))
    assert await verdict(deaths) is Life.UNKNOWN


async def test_the_lease_is_read_only_for_lost_pods_and_not_for_each_of_them(
    shop: Shop, deaths: Deaths
) -> None:
    await verdict(deaths)
    assert shop.server.reads == []
    vanish(shop)
    for uid in "abc":
        await deaths.verdict("shop", RECORD.model_copy(update={"uid": uid}))
    assert leases_read(shop) == 1
    shop.clock.now += LEASE_PAUSE_SECONDS
    await verdict(deaths)
    assert leases_read(shop) == 2


def leases_read(shop: Shop) -> int:
    return sum("leases" in path for path in shop.server.reads)


async def test_a_refused_pod_is_waited_for_until_its_kubelet_must_have_killed_it(
    shop: Shop, deaths: Deaths
) -> None:
    """It may run: a kubelet that restarts can refuse what it ran before, and kills what has a final phase."""
    refuse(shop)
    assert await verdict(deaths) is Life.TERMINATING
    assert deaths.awaits(RECORD.uid)
    await live(shop, deaths, RENEW_SECONDS + PROOF_SECONDS)
    assert await verdict(deaths) is Life.TERMINATING
    await live(shop, deaths, RENEW_SECONDS)
    assert await verdict(deaths) is Life.DEAD_INFERRED
    assert not deaths.awaits(RECORD.uid)


async def test_a_refused_pod_without_its_labels_is_no_exception(shop: Shop, deaths: Deaths) -> None:
    update(shop, labels={})
    refuse(shop)
    await prove(shop, deaths)
    assert await verdict(deaths) is Life.DEAD_INFERRED


async def test_a_refused_pod_on_a_silent_node_is_unknown(shop: Shop, deaths: Deaths) -> None:
    refuse(shop)
    shop.store.put(NODE, node(ready=False, version=2))
    await prove(shop, deaths)
    assert await verdict(deaths) is Life.UNKNOWN


async def test_a_refused_pod_where_nodes_are_not_seen_is_unknown(shop: Shop) -> None:
    deaths = Deaths(shop.api, shop.store, nodes_visible=False, clock=shop.clock)
    refuse(shop)
    assert await verdict(deaths) is Life.UNKNOWN


async def test_a_refused_pod_on_a_node_out_of_service_is_dead(shop: Shop, deaths: Deaths) -> None:
    refuse(shop)
    taint = {"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}
    shop.store.put(NODE, node(ready=False, version=2, taints=[taint]))
    assert await verdict(deaths) is Life.DEAD_INFERRED


@pytest.mark.parametrize("change", [Change.DELETED, Change.MISSED])
async def test_the_wait_for_a_refused_pod_goes_on_when_its_object_goes(
    shop: Shop, deaths: Deaths, change: Change
) -> None:
    refuse(shop)
    await verdict(deaths)
    await live(shop, deaths, PROOF_SECONDS)
    vanish(shop, change)
    assert not deaths.awaits(RECORD.uid)
    assert await verdict(deaths) is Life.UNKNOWN
    await live(shop, deaths, 2 * RENEW_SECONDS)
    assert await verdict(deaths) is Life.DEAD_INFERRED


async def test_a_refused_pod_that_was_never_granted_anything_is_not_waited_for(
    shop: Shop, deaths: Deaths
) -> None:
    refuse(shop)
    pod = pooler(slim(POD, shop.server.there(POD, "app-1")))
    assert pod is not None
    assert await deaths.verdict_on(pod) == (Life.TERMINATING, 0.0)
    assert not deaths.awaits(pod.uid)
    assert shop.server.reads == []


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


def reserve(shop: Shop, *records: GrantRecord) -> None:
    """A ledger has these reservations."""
    status = {"grants": [record.model_dump(mode="json", exclude_none=True) for record in records]}
    spec = {"server": {"host": "10.0.0.7", "port": 5432}}
    shop.server.save(PGBUDGET, {"metadata": {"name": LEDGER}, "spec": spec, "status": status})
    shop.watch()


async def stand_by(shop: Shop, deaths: Deaths, seconds: float) -> None:
    """The kubelet renews its Lease all the time; no ledger is reconciled."""
    for _ in range(round(seconds / LOOK_SECONDS)):
        shop.clock.now += LOOK_SECONDS
        if shop.clock.now % RENEW_SECONDS == 0:
            renew(shop, str(shop.clock.now))
        await deaths.look()


@pytest.mark.parametrize("lost", [vanish, refuse], ids=["vanished", "refused"])
async def test_who_leads_next_goes_on_with_the_proof_that_it_has_followed(
    shop: Shop, deaths: Deaths, lost: Callable[[Shop], None]
) -> None:
    reserve(shop, RECORD)
    lost(shop)
    await deaths.look()
    await stand_by(shop, deaths, RENEW_SECONDS + PROOF_SECONDS + RENEW_SECONDS)
    assert await verdict(deaths) is Life.DEAD_INFERRED


async def test_a_pod_that_was_gone_before_the_operator_looked_is_followed_from_the_start(
    shop: Shop, deaths: Deaths
) -> None:
    reserve(shop, RECORD.model_copy(update={"uid": "never-seen", "pod": "app-9"}))
    await deaths.look()
    await stand_by(shop, deaths, RENEW_SECONDS + PROOF_SECONDS + RENEW_SECONDS)
    found, _ = await deaths.verdict("shop", RECORD.model_copy(update={"uid": "never-seen", "pod": "app-9"}))
    assert found is Life.DEAD_INFERRED


async def follow_a_pod_that_no_watch_told_of(shop: Shop, deaths: Deaths) -> GrantRecord:
    """The watch of pods is stuck, those of ledgers and nodes are not; for long enough to prove a death."""
    shop.server.save(POD, pod_manifest("app-2"))
    record = RECORD.model_copy(update={"uid": "uid-app-2", "pod": "app-2"})
    reserve_unseen(shop, record)
    await deaths.look()
    await stand_by(shop, deaths, RENEW_SECONDS + PROOF_SECONDS + RENEW_SECONDS)
    return record


def reserve_unseen(shop: Shop, record: GrantRecord) -> None:
    """Only the watch of ledgers tells."""
    status = {"grants": [record.model_dump(mode="json", exclude_none=True)]}
    ledger = {"metadata": {"name": LEDGER}, "spec": {"server": {"host": "10.0.0.7"}}, "status": status}
    shop.store.put(PGBUDGET, shop.server.save(PGBUDGET, ledger))


async def test_a_pod_that_no_watch_told_of_is_looked_for_and_found_alive(shop: Shop, deaths: Deaths) -> None:
    record = await follow_a_pod_that_no_watch_told_of(shop, deaths)
    assert await deaths.verdict("shop", record) == (Life.ALIVE, 0.0)
    assert deaths._gone == {}


async def test_one_that_nobody_can_look_for_is_not_proven_dead(shop: Shop, deaths: Deaths) -> None:
    shop.server.refuse = lambda _method, path: ApiError(403, "not yours") if "pods" in path else None
    record = await follow_a_pod_that_no_watch_told_of(shop, deaths)
    assert await deaths.verdict("shop", record) == (Life.UNKNOWN, 0.0)


async def test_one_whose_name_another_pod_has_is_gone_since_that_was_found(
    shop: Shop, deaths: Deaths
) -> None:
    record = RECORD.model_copy(update={"uid": "the one before"})
    reserve_unseen(shop, record)
    await deaths.look()
    await stand_by(shop, deaths, RENEW_SECONDS + PROOF_SECONDS)
    assert await deaths.verdict("shop", record) == (Life.UNKNOWN, 0.0)
    await stand_by(shop, deaths, RENEW_SECONDS)
    found, _ = await deaths.verdict("shop", record)
    assert found is Life.DEAD_INFERRED


async def test_a_pod_that_comes_back_to_the_watch_is_held_anew_when_it_ends(
    shop: Shop, deaths: Deaths
) -> None:
    pod = shop.server.there(POD, "app-1")
    vanish(shop)
    await prove(shop, deaths)
    shop.clock.now += 60
    shop.server.save(POD, pod)
    shop.watch()
    end(shop)
    assert await deaths.verdict("shop", RECORD) == (Life.DEAD_REPORTED, 0.0)


async def test_no_lease_is_read_while_no_pod_is_missing(shop: Shop, deaths: Deaths) -> None:
    reserve(shop, RECORD)
    await stand_by(shop, deaths, 60)
    assert shop.server.reads == []
    assert deaths._gone == {}


async def test_no_lease_is_read_of_a_pod_that_is_proven_dead(shop: Shop, deaths: Deaths) -> None:
    """It may be held for long: until a person releases it, where the server does not look for its clients."""
    reserve(shop, RECORD)
    vanish(shop)
    await deaths.look()
    await stand_by(shop, deaths, RENEW_SECONDS + PROOF_SECONDS + RENEW_SECONDS)
    shop.server.reads.clear()
    await stand_by(shop, deaths, 60)
    assert shop.server.reads == []


async def test_a_pod_of_a_pool_in_another_namespace_is_not_missing(shop: Shop, deaths: Deaths) -> None:
    pod = pod_manifest("pay-1")
    pod["metadata"] |= {"namespace": "bank", "uid": "pay-1"}
    shop.store.put(POD, {**pod, "metadata": pod["metadata"] | {"resourceVersion": "1"}})
    reserve(shop, RECORD.model_copy(update={"uid": "pay-1", "pod": "pay-1", "pool": ""}))
    await deaths.look()
    assert deaths._gone == {}


async def test_a_ledger_that_cannot_be_read_keeps_no_other_from_being_followed(
    shop: Shop, deaths: Deaths
) -> None:
    unreadable = {"metadata": {"name": "10.0.0.1-5432"}, "status": {"grants": [{"uid": "x", "pool": "y"}]}}
    shop.server.save(PGBUDGET, unreadable)
    reserve(shop, RECORD)
    vanish(shop)
    await deaths.look()
    assert set(deaths._gone) == {RECORD.uid}
    assert len(shop.server.reads) == 1


async def test_a_look_that_fails_is_no_look_and_is_not_repeated_for_each_pod(
    shop: Shop, deaths: Deaths
) -> None:
    reserve(shop, *(RECORD.model_copy(update={"uid": uid, "pod": uid}) for uid in "abc"))
    asked: list[str] = []

    def refuse_leases(_method: str, path: str) -> ApiError | None:
        if "leases" not in path:
            return None
        asked.append(path)
        return ApiError(0, "no answer")

    shop.server.refuse = refuse_leases
    await deaths.look()
    assert len(asked) == 1
    shop.clock.now += LEASE_PAUSE_SECONDS
    await deaths.look()
    assert len(asked) == 2


async def test_a_look_that_fails_neither_ends_a_proof_nor_is_one(shop: Shop, deaths: Deaths) -> None:
    vanish(shop)
    await verdict(deaths)
    await live(shop, deaths, PROOF_SECONDS)
    shop.server.refuse = lambda _method, _path: ApiError(503, "not now")
    shop.clock.now += RENEW_SECONDS
    assert await verdict(deaths) is Life.UNKNOWN
    shop.server.refuse = lambda _method, _path: None
    await live(shop, deaths, RENEW_SECONDS)
    assert await verdict(deaths) is Life.DEAD_INFERRED


async def test_looks_that_fail_for_long_start_the_proof_anew(shop: Shop, deaths: Deaths) -> None:
    vanish(shop)
    await verdict(deaths)
    await live(shop, deaths, PROOF_SECONDS)
    shop.server.refuse = lambda _method, _path: ApiError(0, "no answer")
    await live(shop, deaths, LEASE_GAP_SECONDS)
    shop.server.refuse = lambda _method, _path: None
    await live(shop, deaths, PROOF_SECONDS)
    assert await verdict(deaths) is Life.UNKNOWN
    await live(shop, deaths, 2 * RENEW_SECONDS)
    assert await verdict(deaths) is Life.DEAD_INFERRED
