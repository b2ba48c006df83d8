"""Pools in session mode beside others on one server of 8 CPU (B = 24)."""

from typing import Any

import pytest

from pgpool_operator.cluster.kinds import PGBUDGET, PGPOOL, POD
from pgpool_pooler.contract import LEFT_NOTHING
from tests.support.shop import PORT, report_end
from tests.support.town import Backend, Town

HOST = "10.0.0.7"


async def town_of(*pools: tuple[str, int, dict[str, Any]]) -> Town:
    """Pools (name, pods, spec), all settled."""
    town = Town()
    for name, pods, spec in pools:
        town.pool(f"shop/{name}", HOST, pods, write={"replicas": pods}, **spec)
    await town.settle()
    return town


SESSION = {"poolMode": "session"}


async def test_a_pool_in_session_mode_rolls_out_beside_one_in_transaction_mode() -> None:
    town = await town_of(("s", 2, SESSION), ("t", 2, {}))
    assert [town.caps()[pod] for pod in ("s-1", "s-2")] == [7, 7]
    town.pod("shop/s", 3)
    await town.settle()
    caps = town.caps()
    assert [caps[pod] for pod in ("s-1", "s-2", "s-3")] == [7, 7, 7]
    assert min(caps["t-1"], caps["t-2"]) >= 1


async def test_a_pool_in_transaction_mode_rolls_out_beside_one_in_session_mode() -> None:
    town = await town_of(("s", 2, SESSION), ("t", 2, {}))
    town.pod("shop/t", 3)
    await town.settle()
    assert town.caps()["t-3"] >= 1


async def test_two_pools_in_session_mode_have_all_their_pods() -> None:
    town = await town_of(("s", 2, SESSION), ("u", 2, SESSION))
    assert town.caps() == dict.fromkeys(("s-1", "s-2", "u-1", "u-2"), 4)


async def test_where_fewer_pods_in_session_mode_are_wanted_nobody_loses_its_share() -> None:
    town = await town_of(("s", 5, SESSION))
    town.pool("shop/s", HOST, 0, write={"replicas": 2}, **SESSION)
    await town.settle()
    assert town.caps() == {f"s-{number}": 4 for number in range(1, 6)}


async def test_when_a_pod_in_session_mode_has_ended_the_others_keep_theirs_until_its_share_is_free() -> None:
    town = await town_of(("s", 4, SESSION))
    town.pool("shop/s", HOST, 0, write={"replicas": 2}, **SESSION)
    await town.settle()
    before, staying = town.caps(), ("s-1", "s-2", "s-3")
    last = town.server.there(POD, "s-4")
    report_end(last)
    town.server.save(POD, last)
    town.watch()
    await town.settle()
    assert town.reserved("shop", HOST)["s-4"] == before["s-4"], "it has ended, its backends may be there"
    assert [town.caps()[pod] for pod in staying] == [before[pod] for pod in staying]


@pytest.mark.parametrize(("last_word", "left"), [(LEFT_NOTHING, 0), ("", 8)])
async def test_a_pod_in_session_mode_that_says_it_left_nothing_is_freed_where_postgresql_notices_no_end(
    last_word: str, left: int
) -> None:
    town = Town(behind={HOST: (Backend(HOST, detects_dead_clients=False),)})
    town.pool("shop/s", HOST, write={"replicas": 2}, poolMode="session")
    await town.settle()
    last = town.server.there(POD, "s-2")
    report_end(last, last_word)
    town.server.save(POD, last)
    town.watch()
    await town.settle()
    town.clock.now += 60
    await town.settle()
    assert town.reserved("shop", HOST).get("s-2", 0) == left


async def test_pods_that_a_kubelet_refused_take_no_part_in_shares() -> None:
    town = await town_of(("s", 2, SESSION))
    for number in range(3, 12):
        town.pod("shop/s", number)
        refused = town.server.there(POD, f"s-{number}")
        refused["status"] = {"phase": "Failed", "reason": "NodeShutdown"}
        town.server.save(POD, refused)
    town.watch()
    await town.settle()
    assert [town.caps()[pod] for pod in ("s-1", "s-2")] == [8, 8]


async def test_new_pods_in_session_mode_share_what_pods_that_vanished_do_not_hold() -> None:
    town = await town_of(("s", 3, SESSION))
    for name in ("s-2", "s-3"):
        town.delete(POD, "shop", name)
    for number in (4, 5):
        town.pod("shop/s", number)
    await town.settle()
    assert [town.reserved("shop", HOST)[pod] for pod in ("s-2", "s-3")] == [6, 6]
    assert [town.caps()[pod] for pod in ("s-1", "s-4", "s-5")] == [3, 3, 3]


async def test_what_pods_of_a_deleted_pool_have_is_shared_only_after_they_have_given_it_back() -> None:
    town = await town_of(("s", 2, SESSION), ("u", 4, SESSION))
    town.delete(PGPOOL, "shop", "u")
    await town.settle()
    assert [town.caps()[pod] for pod in ("s-1", "s-2")] == [4, 4]
    assert len(town.objects(POD)) == 6, "the deleted pool's pods are there"


async def test_before_max_connections_is_known_pods_in_session_mode_get_floors() -> None:
    town = Town()
    town.pool("shop/s", HOST, 2, poolMode="session", databases=[{"name": "app"}, {"name": "reports"}])
    for _ in range(2):
        await town.round()
    assert town.caps() == {"s-1": 2, "s-2": 2}
    town.answer()
    await town.settle()
    assert town.caps() == {"s-1": 8, "s-2": 8}


async def test_pods_in_session_mode_keep_their_shares_when_the_ledger_is_lost() -> None:
    """With it goes what max_connections is."""
    town = await town_of(("s", 2, SESSION), ("t", 2, {}))
    before = town.caps()
    town.delete(PGBUDGET, "shop", f"{HOST}-{PORT}")
    seen = []
    for _ in range(6):
        await town.round()
        seen.append([town.caps()[pod] for pod in ("s-1", "s-2")])
        town.answer()
    assert seen == [[7, 7]] * len(seen)
    assert town.caps() == before


async def test_where_several_servers_have_one_name_pods_in_session_mode_do_not_grow_beyond_floors() -> None:
    town = Town(behind={HOST: (Backend(HOST), Backend("10.0.0.8"))})
    town.pool("shop/s", HOST, 2, **SESSION)
    await town.settle()
    assert town.caps() == {"s-1": 1, "s-2": 1}


async def test_of_two_names_of_a_server_the_younger_gives_pods_in_session_mode_floors_only() -> None:
    one = (Backend(HOST),)
    town = Town(behind={"db1": one, HOST: one})
    town.pool("shop/s", "db1", 2, **SESSION)
    await town.settle()
    town.pool("shop/u", HOST, 2, created="2026-11-21T10:00:00Z", **SESSION)
    town.ledger("shop", HOST, created="2026-11-21T10:00:00Z")
    await town.settle()
    assert town.caps() == {"s-1": 8, "s-2": 8, "u-1": 1, "u-2": 1}
