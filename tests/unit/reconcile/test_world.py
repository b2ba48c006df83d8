"""A namespace as the reconciles see it: pools, ledgers, and which pod belongs to which server."""

from fractions import Fraction
from typing import Any

import pytest

from pgpool_operator.api import GrantRecord
from pgpool_operator.budget import Life, Order
from pgpool_operator.cluster.kinds import PGBUDGET, PGPOOL, POD
from pgpool_operator.reconcile.bookkeeping import ledger_of, with_given_up
from pgpool_operator.reconcile.capacity import plans, session_share, wanted, why_no_more
from pgpool_operator.reconcile.grants import PeerIds
from pgpool_operator.reconcile.scene import Heard, Scene, observe
from pgpool_operator.reconcile.sizing import size_of
from pgpool_operator.reconcile.world import PoolFacts, World
from pgpool_pooler.contract import GRANT_ANNOTATION, Endpoint, Grant, Mode, ServerGrant, State
from tests.support.shop import HOST, LEDGER, PORT, Shop, open_shop, pod_manifest, pool_manifest, state_of

ELSEWHERE = "10.0.0.8"
SINCE = "2026-11-24T12:00:00Z"
PATRONI = {"cluster": {"provider": "patroni", "name": "main"}}


def record(name: str = "app-1", **changes: Any) -> dict[str, Any]:
    said = {
        "uid": f"uid-{name}",
        "pod": name,
        "pool": "shop/app",
        "endpoint": "write",
        "node": "w1",
        "cap": 12,
        "reserved": 12,
        "generation": 4,
        "state": "Active",
        "since": SINCE,
    }
    return said | changes


def keep_ledger(shop: Shop, *grants: dict[str, Any], host: str = HOST, **status: Any) -> None:
    said = {"observedGeneration": 1, "connections": 24, "grants": list(grants)} | status
    spec = {"server": {"host": host, "port": PORT}}
    shop.server.save(PGBUDGET, {"metadata": {"name": f"{host}-{PORT}"}, "spec": spec, "status": said})
    shop.watch()


def save_pod(shop: Shop, name: str, pool: str = "app", grant: Grant | None = None, **metadata: Any) -> None:
    pod = pod_manifest(name, pool)
    pod["metadata"] |= metadata
    if grant is not None:
        pod["metadata"]["annotations"][GRANT_ANNOTATION] = grant.model_dump_json()
    shop.server.save(POD, pod)
    shop.watch()


def grant(name: str = "app-1", host: str = HOST, generation: int = 4, cap: int = 12, **more: Any) -> Grant:
    server = ServerGrant(host=host, port=PORT, cap=cap, shares={"app": cap})
    return Grant(uid=f"uid-{name}", generation=generation, servers=(server,), **{"peer_id": 1} | more)


def save_database(shop: Shop, name: str = "main-1", role: str = "primary", cpu: str | None = "8") -> None:
    limits = {"cpu": cpu} if cpu else {}
    shop.server.save(
        POD,
        {
            "metadata": {"name": name, "labels": {"cluster-name": "main", "role": role}},
            "spec": {"containers": [{"name": "postgres", "resources": {"limits": limits}}], "nodeName": "w1"},
            "status": {"phase": "Running", "podIP": f"10.0.1.{name[-1]}"},
        },
    )
    shop.watch()


def world(shop: Shop) -> World:
    return World(shop.store, "shop")


def facts(shop: Shop, name: str = "app") -> PoolFacts:
    return world(shop).pools[name]


def scene(shop: Shop, *states: State, ledger: str = LEDGER) -> Scene:
    raw = shop.store.get(PGBUDGET, "shop", ledger)
    assert raw is not None
    said = {state.uid: state for state in states}

    def heard(uid: str) -> Heard:
        return Heard(said.get(uid), {})

    return observe(raw, world(shop), heard, PeerIds())


# The world


def test_a_pool_that_cannot_be_read_or_is_going_is_none() -> None:
    shop = open_shop()
    shop.server.save(PGPOOL, {"metadata": {"name": "broken"}, "spec": {"databases": []}})
    going = pool_manifest("going")
    going["metadata"]["deletionTimestamp"] = SINCE
    shop.server.save(PGPOOL, going)
    shop.watch()
    assert list(world(shop).pools) == ["app"]


def test_an_object_is_read_once_for_each_version_and_forgotten_when_it_is_gone() -> None:
    shop = open_shop()
    first = world(shop).pools["app"].pool
    assert world(shop).pools["app"].pool is first
    shop.server.save(PGPOOL, pool_manifest(paused=True))
    shop.watch()
    assert world(shop).pools["app"].pool.spec.paused
    shop.store.remove(PGPOOL, shop.server.remove(PGPOOL, "app"))
    assert world(shop).pools == {}


def test_pools_are_oldest_first() -> None:
    shop = open_shop()
    for name, created in (("young", "2026-11-23T00:00:00Z"), ("old", "2026-11-01T00:00:00Z")):
        manifest = pool_manifest(name)
        manifest["metadata"]["creationTimestamp"] = created
        shop.server.save(PGPOOL, manifest)
    shop.watch()
    assert list(world(shop).pools) == ["old", "app", "young"]


def test_a_pool_has_its_own_pods_each_placed_on_its_server() -> None:
    shop = open_shop("app-2", "app-1")
    save_pod(shop, "batch-1", "batch")
    assert [pod.name for pod in facts(shop).pods] == ["app-1", "app-2"]
    assert facts(shop).placement == {"uid-app-1": LEDGER, "uid-app-2": LEDGER}


def test_pools_with_pods_on_a_server_that_is_not_to_be_found_still_use_it() -> None:
    shop = open_shop("app-1", database=PATRONI)
    save_database(shop)
    shop.server.save(
        PGBUDGET,
        {
            "metadata": {"name": "main-1"},
            "spec": {"server": {"cluster": "main", "instance": "main-1"}},
            "status": {"connections": 24, "grants": [record()]},
        },
    )
    shop.watch()
    shop.store.remove(POD, shop.server.remove(POD, "main-1"))
    assert [found.key for found in world(shop).on_server("main-1")] == ["shop/app"]


def test_the_highest_generation_elsewhere_is_that_of_all_other_ledgers() -> None:
    shop = open_shop("app-1")
    keep_ledger(shop, record(generation=9))
    keep_ledger(shop, record(generation=6), record("app-2", generation=7), host=ELSEWHERE)
    ledger = world(shop).budgets[LEDGER]
    assert world(shop).generation_elsewhere("uid-app-1", ledger) == 6
    assert world(shop).generation_elsewhere("uid-app-3", ledger) == 0


def test_a_pool_switches_while_a_write_pod_still_has_connections_elsewhere() -> None:
    shop = open_shop("app-1")
    keep_ledger(shop, record())
    assert facts(shop).switching_to(world(shop)) == ""
    keep_ledger(shop, record(generation=3), host=ELSEWHERE)
    assert facts(shop).switching_to(world(shop)) == LEDGER


# Size and capacity


def test_the_size_is_that_of_the_spec_until_the_server_was_heard() -> None:
    shop = open_shop()
    size = size_of(LEDGER, [facts(shop)], None)
    assert size is not None
    assert (size.connections, size.provisional) == (24, True)


def test_what_the_server_said_and_the_administrators_limit_bound_the_size() -> None:
    shop = open_shop()
    keep_ledger(shop, maxConnections=30, serverReservedConnections=3)
    size = size_of(LEDGER, [facts(shop)], world(shop).budgets[LEDGER])
    assert size is not None
    assert (size.connections, size.provisional) == (30 - 3 - 10, False)


def test_no_pool_no_size() -> None:
    shop = open_shop()
    assert size_of("other", [facts(shop)], None) is None


def test_cpus_that_cannot_be_told_for_a_moment_are_what_they_were() -> None:
    shop = open_shop(database=PATRONI)
    save_database(shop, cpu=None)
    spec = {"server": {"cluster": "main", "instance": "main-1"}}
    status = {"cpu": "4", "cpuSource": "NodeAllocatable", "maxConnections": 100}
    shop.server.save(PGBUDGET, {"metadata": {"name": "main-1"}, "spec": spec, "status": status})
    shop.watch()
    size = size_of("main-1", [facts(shop)], world(shop).budgets["main-1"])
    assert size is not None
    assert (size.connections, size.cpu_source) == (12, "NodeAllocatable")


def test_a_server_that_is_not_to_be_found_keeps_its_size() -> None:
    shop = open_shop("app-1", database=PATRONI)
    keep_ledger(shop, record(), cpu="8", cpuSource="ContainerLimit", maxConnections=100)
    found = scene(shop)
    assert found.server is None
    assert (found.size.connections, found.size.cpu) == (24, Fraction(8))


def test_a_pool_gets_the_pods_it_wants_where_there_is_room() -> None:
    shop = open_shop()
    one = facts(shop)
    [plan] = plans(one, {LEDGER: [one]}, {LEDGER: 24}, {}).values()
    assert (plan.replicas, plan.max_surge, plan.max_unavailable) == (2, 1, 0)


def test_a_pool_that_wants_more_pods_than_fit_is_told_why() -> None:
    shop = open_shop(write={"replicas": 30})
    one = facts(shop)
    [plan] = plans(one, {LEDGER: [one]}, {LEDGER: 24}, {}).values()
    assert plan.replicas == 23
    assert "each needs 1 for 1 database" in why_no_more(one, Endpoint.WRITE, plan, {LEDGER: 24})


def test_an_endpoint_without_a_known_budget_has_no_plan() -> None:
    shop = open_shop()
    one = facts(shop)
    assert plans(one, {LEDGER: [one]}, {}, {}) == {}


def test_read_pods_are_one_for_each_replica_and_at_least_two() -> None:
    shop = open_shop(database=PATRONI, read={})
    save_database(shop)
    assert wanted(facts(shop), Endpoint.READ) == 2
    for number in (2, 3, 4):
        save_database(shop, f"main-{number}", "replica")
    assert wanted(facts(shop), Endpoint.READ) == 3


def test_pools_on_one_server_share_its_room_oldest_first() -> None:
    shop = open_shop(write={"replicas": 30})
    young = pool_manifest("young", write={"replicas": 30})
    young["metadata"]["creationTimestamp"] = "2026-11-23T00:00:00Z"
    shop.server.save(PGPOOL, young)
    shop.watch()
    both = list(world(shop).pools.values())
    got = [plans(one, {LEDGER: both}, {LEDGER: 24}, {})[Endpoint.WRITE].replicas for one in both]
    assert got == [12, 11]


def test_in_session_mode_each_pod_has_a_fixed_share_with_room_for_one_more_pod() -> None:
    session = facts(open_shop(poolMode="session"))
    assert session_share([session], LEDGER, 24) == 24 // 3
    assert session_share([session], LEDGER, 2) == 1


def with_neighbour(**spec: Any) -> list[PoolFacts]:
    """A pool of 2 pods in session mode, and another of 2 pods."""
    shop = open_shop(poolMode="session")
    shop.server.save(PGPOOL, pool_manifest("next", **spec))
    shop.watch()
    return list(world(shop).pools.values())


def test_pods_in_session_mode_leave_the_others_their_floors_and_one_more_for_a_rollout() -> None:
    assert session_share(with_neighbour(), LEDGER, 24) == (24 - 2 - 1) // 3
    two = [{"name": "app"}, {"name": "reports"}]
    assert session_share(with_neighbour(databases=two), LEDGER, 24) == (24 - 2 * 2 - 2) // 3


def test_all_pools_in_session_mode_share_and_one_share_is_kept_for_a_rollout() -> None:
    assert session_share(with_neighbour(poolMode="session"), LEDGER, 24) == 24 // 5


def test_a_pool_that_fits_no_pod_takes_nothing_from_pods_in_session_mode() -> None:
    many = [{"name": f"db{number}"} for number in range(30)]
    assert session_share(with_neighbour(databases=many), LEDGER, 24) == 24 // 3


def test_a_pod_in_session_mode_that_leaves_counts_until_it_has_left_but_one_that_is_replaced_does_not() -> (
    None
):
    names = [f"app-{number}" for number in range(1, 6)]
    assert session_share([facts(open_shop(*names, poolMode="session"))], LEDGER, 24) == 24 // 5
    assert session_share([facts(open_shop(*names[:3], poolMode="session"))], LEDGER, 24) == 24 // 3


# The ledger's status


def test_a_ledger_is_the_same_after_it_was_written_and_read() -> None:
    shop = open_shop()
    keep_ledger(
        shop,
        record(addresses=["10.0.2.1"], detectsDeadClients=True, graceSeconds=75.0),
        record("app-2", state="Shrinking", cap=4),
    )
    budget = world(shop).budgets[LEDGER]
    ledger = ledger_of(budget)
    assert ledger.reserved == 24
    again = [GrantRecord.model_validate(vars(entry)) for entry in ledger.reservations.values()]
    assert tuple(again) == budget.status.grants
    written = budget.status.model_dump(mode="json", exclude_none=True)
    assert type(budget.status).model_validate(written) == budget.status


@pytest.mark.parametrize(
    ("older", "younger", "word"), [(None, False, False), (True, False, True), (None, None, None)]
)
def test_a_pods_word_is_taken_over_from_a_younger_ledger_where_the_older_has_none(
    older: bool | None, younger: bool | None, word: bool | None
) -> None:
    shop = open_shop()
    keep_ledger(shop, record(detectsDeadClients=older))
    keep_ledger(shop, record(detectsDeadClients=younger), host=ELSEWHERE)
    owner, other = (world(shop).budgets[name] for name in (LEDGER, f"{ELSEWHERE}-{PORT}"))
    assert with_given_up(owner, [other])["uid-app-1"].detects_dead_clients is word


@pytest.mark.parametrize(
    ("status", "recovering"),
    [({}, False), ({"recovering": True}, True), ({"observedGeneration": -1}, True)],
    ids=["written", "recovering", "never written"],
)
def test_a_ledger_that_was_never_written_may_be_one_that_was_lost(
    status: dict[str, Any], recovering: bool
) -> None:
    shop = open_shop()
    keep_ledger(shop, **status)
    assert ledger_of(world(shop).budgets[LEDGER]).recovering is recovering


# The scene


def test_a_pod_is_seen_with_its_grant_and_what_it_reports() -> None:
    shop = open_shop()
    save_pod(shop, "app-1", grant=grant())
    keep_ledger(shop, record())
    view = scene(shop, state_of(shop.server.there(POD, "app-1"))).view("uid-app-1", Life.ALIVE, 0.0)
    assert (view.annotated, view.written_generation, view.known_generation) == ((4, 12), 4, 4)
    assert view.report is not None
    assert (view.report.generation, view.report.acknowledged, view.report.cap_here) == (4, 4, 12)
    assert (view.assigned, view.stale, view.floor, view.addresses) == (True, False, 1, ("10.0.2.1",))


def test_a_grant_for_another_server_is_known_but_not_one_for_here() -> None:
    shop = open_shop()
    save_pod(shop, "app-1", grant=grant(host=ELSEWHERE, generation=7))
    keep_ledger(shop, record())
    view = scene(shop, state_of(shop.server.there(POD, "app-1"))).view("uid-app-1", Life.ALIVE, 0.0)
    assert (view.annotated, view.written_generation, view.known_generation) == (None, 7, 7)


def test_what_another_ledger_has_promised_is_known_but_not_written() -> None:
    shop = open_shop()
    save_pod(shop, "app-1", grant=grant())
    keep_ledger(shop, record())
    keep_ledger(shop, record(generation=8), host=ELSEWHERE)
    view = scene(shop).view("uid-app-1", Life.ALIVE, 0.0)
    assert (view.written_generation, view.known_generation) == (4, 8)


@pytest.mark.parametrize(
    ("spec", "on_the_pod"),
    [
        ({"paused": True}, grant()),
        ({"databases": [{"name": "app"}, {"name": "new"}]}, grant()),
    ],
    ids=["mode", "shares"],
)
def test_a_grant_that_must_say_something_else_is_stale(spec: dict[str, Any], on_the_pod: Grant) -> None:
    shop = open_shop(**spec)
    save_pod(shop, "app-1", grant=on_the_pod)
    keep_ledger(shop, record())
    assert scene(shop).view("uid-app-1", Life.ALIVE, 0.0).stale


def test_a_grant_that_says_what_it_shall_is_not_stale() -> None:
    shop = open_shop(paused=True)
    save_pod(shop, "app-1", grant=grant(mode=Mode.PAUSE))
    keep_ledger(shop, record())
    assert not scene(shop).view("uid-app-1", Life.ALIVE, 0.0).stale


def test_a_pod_without_its_object_is_seen_as_the_ledger_remembers_it() -> None:
    shop = open_shop()
    keep_ledger(shop, record())
    view = scene(shop).view("uid-app-1", Life.UNKNOWN, 0.0)
    assert (view.pod, view.pool, view.node, view.assigned) == ("app-1", "shop/app", "w1", False)
    assert (view.annotated, view.report, view.known_generation) == (None, None, 0)


def test_a_pod_of_a_pool_that_is_gone_belongs_to_no_server() -> None:
    shop = open_shop("app-1")
    keep_ledger(shop, record())
    shop.store.remove(PGPOOL, shop.server.remove(PGPOOL, "app"))
    assert not scene(shop).view("uid-app-1", Life.ALIVE, 0.0).assigned


def test_a_pod_that_the_kubelet_gave_up_is_going_although_nobody_deleted_it() -> None:
    shop = open_shop("app-1")
    evicted = shop.server.there(POD, "app-1")
    evicted["status"]["phase"] = "Failed"
    shop.server.save(POD, evicted)
    keep_ledger(shop, record())
    assert scene(shop).view("uid-app-1", Life.ALIVE, 0.0).life is Life.TERMINATING


def test_a_session_pod_has_a_fixed_share_above_its_floor() -> None:
    shop = open_shop("app-1", poolMode="session")
    keep_ledger(shop, record(), maxConnections=100)
    view = scene(shop).view("uid-app-1", Life.ALIVE, 0.0)
    assert (view.floor, view.fixed) == (1, 8)


def test_a_pod_is_released_by_a_person_by_name() -> None:
    shop = open_shop("app-1", "app-2")
    keep_ledger(shop, record(), record("app-2"))
    ledger = shop.server.there(PGBUDGET, LEDGER)
    ledger["spec"]["release"] = ["app-1"]
    shop.server.save(PGBUDGET, ledger)
    shop.watch()
    assert scene(shop).view("uid-app-1", Life.UNKNOWN, 0.0).released
    assert not scene(shop).view("uid-app-2", Life.UNKNOWN, 0.0).released


@pytest.mark.parametrize(
    ("name", "released"),
    [("app-1", False), ("team/app-1", True), ("shop/app-1", False), ("other/app-1", False)],
)
def test_a_pod_of_another_namespace_is_released_with_that(name: str, released: bool) -> None:
    """Several namespaces may have a pod of one name."""
    shop = open_shop()
    keep_ledger(shop, record() | {"pool": "team/app"})
    ledger = shop.server.there(PGBUDGET, LEDGER)
    ledger["spec"]["release"] = [name]
    shop.server.save(PGBUDGET, ledger)
    shop.watch()
    assert scene(shop).view("uid-app-1", Life.UNKNOWN, 0.0).released is released


def test_pods_without_a_reservation_are_the_others() -> None:
    shop = open_shop("app-1", "app-2")
    keep_ledger(shop, record())
    assert [pod.name for pod in scene(shop).others] == ["app-2"]


def test_a_grant_is_composed_for_an_order() -> None:
    shop = open_shop("app-1")
    keep_ledger(shop, record())
    composed = scene(shop).grant("uid-app-1", Order(generation=5, cap=7))
    assert composed == grant(generation=5, cap=7)


# Pods of the server that are of none of its pools


def lone(shop: Shop, name: str, host: str) -> None:
    save_pod(shop, name, "gone", grant=grant(name, host=host))


def test_who_is_granted_the_server_is_in_the_scene_however_its_host_is_spelled() -> None:
    shop = open_shop(database={"servers": [{"host": "db.example", "port": PORT, "cpu": 8}]})
    keep_ledger(shop, host="db.example")
    for number, host in enumerate(("db.example", "DB.Example.", "db2.example")):
        lone(shop, f"old-{number}", host)
    found = scene(shop, ledger=f"db.example-{PORT}")
    assert found.pods.keys() == {"uid-old-0", "uid-old-1"}
    view = found.view("uid-old-1", Life.ALIVE, 0.0)
    assert (view.annotated, view.assigned, view.floor, view.pool) == ((4, 12), False, 0, "shop/gone")


def test_a_grant_for_the_address_that_a_discovered_server_had_before_is_none_for_it() -> None:
    """It cannot be reached there any more; who has the address now is another server."""
    shop = open_shop(database=PATRONI)
    save_database(shop)
    spec = {"server": {"cluster": "main", "instance": "main-1"}}
    shop.server.save(PGBUDGET, {"metadata": {"name": "main-1"}, "spec": spec, "status": {}})
    lone(shop, "old-1", "10.0.1.1")
    lone(shop, "old-2", "10.0.1.99")
    assert scene(shop, ledger="main-1").pods.keys() == {"uid-old-1"}
    shop.store.remove(POD, shop.server.remove(POD, "main-1"))
    assert scene(shop, ledger="main-1").pods == {}


def test_who_reports_the_server_is_in_the_scene() -> None:
    shop = open_shop()
    keep_ledger(shop)
    lone(shop, "old-1", ELSEWHERE)
    raw = shop.store.get(PGBUDGET, "shop", LEDGER)
    assert raw is not None
    silent = lambda _uid: Heard(None, {})  # noqa: E731
    found = observe(raw, world(shop), silent, PeerIds(), {(HOST, PORT): ["uid-old-1", "x"]}.__getitem__)
    assert found.pods.keys() == {"uid-old-1"}
