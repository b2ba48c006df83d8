"""What a pod's grant says beyond generation and cap."""

from typing import Any

import pytest

from pgpool_operator.api import BudgetServer, PgPool, ServerRole, parse_pgpool
from pgpool_operator.budget import Order
from pgpool_operator.discovery import Server
from pgpool_operator.reconcile.grants import PeerIds, compose, held_shares, shares
from pgpool_operator.reconcile.pods import PoolerPod, read_pod
from pgpool_pooler.contract import GRANT_ANNOTATION, MONITOR_DATABASE, Grant, Mode, ServerGrant
from tests.support.shop import HOST, PORT, pod_manifest, pool_manifest

SERVER = Server(
    name="db1",
    host=HOST,
    port=PORT,
    role=ServerRole.PRIMARY,
    cpu=None,
    cpu_source=None,
    cpu_problem="",
    ref=BudgetServer(host=HOST),
)


def pool(**spec: Any) -> PgPool:
    manifest = pool_manifest(**spec)
    return parse_pgpool({**manifest, "metadata": {"name": "app", "namespace": "shop", "uid": "u"}})


def pod(name: str, grant: Grant | None = None) -> PoolerPod:
    raw = pod_manifest(name)
    raw["metadata"] |= {"namespace": "shop", "uid": name}
    if grant is not None:
        raw["metadata"]["annotations"][GRANT_ANNOTATION] = grant.model_dump_json()
    return read_pod(raw)


def grant(uid: str, peer_id: int, host: str = HOST, **held: int) -> Grant:
    server = ServerGrant(host=host, port=PORT, cap=sum(held.values()), shares=held)
    return Grant(uid=uid, generation=4, servers=(server,), peer_id=peer_id)


TWO = {"databases": [{"name": "app"}, {"name": "reports"}]}


def test_a_grant_is_the_ledgers_order_for_this_pod_and_this_server() -> None:
    composed = compose(pod("a"), pool(), SERVER, Order(generation=7, cap=12), {}, 3)
    server = ServerGrant(host=HOST, port=PORT, cap=12, shares={"app": 12})
    assert composed == Grant(uid="a", generation=7, servers=(server,), mode=Mode.SERVE, peer_id=3)


def test_the_grant_of_a_paused_pool_pauses() -> None:
    assert compose(pod("a"), pool(paused=True), SERVER, Order(7, 12), {}, 3).mode is Mode.PAUSE


def test_shares_use_up_the_cap_and_no_more() -> None:
    assert sum(shares(pool(**TWO), 13, {}, {}).values()) == 13


def test_every_database_has_one_connection_before_any_has_its_demand() -> None:
    found = shares(pool(**TWO), 5, {"app": 100.0}, {})
    assert found == {"app": 4, "reports": 1}


def test_a_database_has_no_more_than_its_percentage_rounded_up() -> None:
    limited = pool(databases=[{"name": "app"}, {"name": "reports", "maxPercent": 30}])
    assert shares(limited, 5, {"reports": 100.0}, {})["reports"] == 2


MONITORED = TWO | {"auth": {"userSecrets": [{"name": "a"}], "monitor": {"secretRef": {"name": "m"}}}}


@pytest.mark.parametrize("cap", [3, 4, 24])
def test_a_monitor_has_exactly_one_connection_of_the_cap(cap: int) -> None:
    found = shares(pool(**MONITORED), cap, {"app": 100.0}, {})
    assert (found[MONITOR_DATABASE], found["reports"]) == (1, 1)
    assert sum(found.values()) == cap


def test_a_monitor_has_its_connection_without_anybody_asking_for_more() -> None:
    assert shares(pool(**MONITORED), 5, {}, {}) == {"app": 2, "reports": 2, MONITOR_DATABASE: 1}


def test_shares_beside_a_monitor_stay_where_nothing_changes_much() -> None:
    held = {"app": 6, "reports": 6, MONITOR_DATABASE: 1}
    assert shares(pool(**MONITORED), 13, {"app": 6.5, "reports": 5.5}, held) == held


def test_databases_come_before_the_monitor_while_a_cap_has_no_room_for_all() -> None:
    assert shares(pool(**MONITORED), 2, {}, {}) == {"app": 1, "reports": 1, MONITOR_DATABASE: 0}


def test_no_monitor_has_no_share() -> None:
    assert MONITOR_DATABASE not in shares(pool(**TWO), 5, {}, {})


def test_small_changes_of_demand_move_no_share() -> None:
    held = {"app": 6, "reports": 6}
    assert shares(pool(**TWO), 12, {"app": 6.5, "reports": 5.5}, held) == held


def test_held_shares_are_those_on_the_same_server() -> None:
    assert held_shares(pod("a", grant("a", 1, app=5)), SERVER) == {"app": 5}
    assert held_shares(pod("a", grant("a", 1, host="10.0.0.8", app=5)), SERVER) == {}
    assert held_shares(pod("a"), SERVER) == {}


def test_each_pod_of_a_pool_has_its_own_peer_id_and_keeps_it() -> None:
    peers, pods = PeerIds(), [pod("a"), pod("b"), pod("c")]
    given = {one.uid: peers.of(one.uid, "shop/app", pods) for one in pods}
    assert sorted(given.values()) == [1, 2, 3]
    assert {one.uid: peers.of(one.uid, "shop/app", pods) for one in reversed(pods)} == given


def test_a_peer_id_that_is_in_a_grant_is_kept_by_an_operator_that_starts_anew() -> None:
    pods = [pod("a"), pod("b", grant("b", 1, app=1)), pod("c", grant("c", 9, app=1))]
    peers = PeerIds()
    assert [peers.of(uid, "shop/app", pods) for uid in ("a", "b", "c")] == [2, 1, 9]


def test_the_peer_id_of_a_pod_that_is_gone_is_free_again() -> None:
    peers = PeerIds()
    for uid in ("a", "b"):
        peers.of(uid, "shop/app", [pod("a"), pod("b")])
    assert peers.of("c", "shop/app", [pod("b"), pod("c")]) == 1


def test_pools_number_their_pods_apart() -> None:
    peers = PeerIds()
    assert peers.of("a", "shop/app", [pod("a")]) == peers.of("b", "shop/batch", [pod("b")]) == 1
