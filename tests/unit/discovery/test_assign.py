from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgpool_operator.api import BudgetServer, ServerRole
from pgpool_operator.discovery import Server, assign
from pgpool_pooler.contract import Endpoint

WRITE, READ = Endpoint.WRITE, Endpoint.READ


def server(name: str, role: ServerRole) -> Server:
    return Server(
        name=name,
        host="10.0.0.1",
        port=5432,
        role=role,
        cpu=None,
        cpu_source=None,
        cpu_problem="",
        ref=BudgetServer(host="10.0.0.1"),
    )


PRIMARY = server("main-1", ServerRole.PRIMARY)
REPLICAS = [server(f"main-{number}", ServerRole.REPLICA) for number in (2, 3, 4)]


def readers(*uids: str) -> dict[str, Endpoint]:
    return dict.fromkeys(uids, READ)


def test_write_pods_go_to_the_primary() -> None:
    placed = assign({"a": WRITE, "b": WRITE}, [PRIMARY, *REPLICAS], {"a": "main-2"})
    assert placed == {"a": "main-1", "b": "main-1"}


def test_while_there_is_no_primary_a_write_pod_keeps_its_server_and_a_new_one_has_none() -> None:
    assert assign({"a": WRITE, "b": WRITE}, REPLICAS, {"a": "main-1"}) == {"a": "main-1"}


def test_read_pods_are_spread_evenly_over_the_replicas() -> None:
    placed = assign(readers("a", "b", "c"), [PRIMARY, *REPLICAS], {})
    assert sorted(placed.values()) == ["main-2", "main-3", "main-4"]


def test_a_new_replica_takes_only_the_pods_that_it_needs() -> None:
    current = {"a": "main-2", "b": "main-2", "c": "main-3", "d": "main-3"}
    placed = assign(readers(*current), [PRIMARY, *REPLICAS], current)
    assert Counter(placed.values()) == {"main-2": 2, "main-3": 1, "main-4": 1}
    assert sum(placed[uid] != current[uid] for uid in current) == 1


def test_the_pods_of_a_replica_that_left_are_spread_and_the_others_stay() -> None:
    current = {"a": "main-2", "b": "main-3", "c": "gone"}
    placed = assign(readers(*current), [PRIMARY, *REPLICAS[:2]], current)
    assert placed["a"] == "main-2"
    assert placed["b"] == "main-3"
    assert placed["c"] in ("main-2", "main-3")


def test_the_primary_serves_reads_only_where_there_is_no_replica() -> None:
    assert assign(readers("a"), [PRIMARY], {}) == {"a": "main-1"}
    assert assign(readers("a"), [PRIMARY, *REPLICAS], {"a": "main-1"})["a"] != "main-1"


def test_standby_never_reads_from_the_primary() -> None:
    assert assign(readers("a"), [PRIMARY], {}, "standby") == {}
    assert assign(readers("a"), [PRIMARY], {"a": "main-1"}, "standby") == {}


def test_while_no_server_is_known_a_read_pod_keeps_the_one_it_has() -> None:
    assert assign(readers("a", "b"), [], {"a": "main-2"}) == {"a": "main-2"}


def test_any_reads_from_the_primary_too() -> None:
    placed = assign(readers("a", "b", "c", "d"), [PRIMARY, *REPLICAS], {}, "any")
    assert Counter(placed.values()) == {"main-1": 1, "main-2": 1, "main-3": 1, "main-4": 1}


names = st.sampled_from(["main-2", "main-3", "main-4", "gone"])
situations = st.dictionaries(st.text("abcdefgh", min_size=1, max_size=3), st.none() | names, max_size=12)


@given(situations, st.integers(1, 3))
def test_reads_are_even_with_the_fewest_moves_and_then_stay(held: dict[str, str | None], count: int) -> None:
    servers = REPLICAS[:count]
    current = {uid: name for uid, name in held.items() if name is not None}
    placed = assign(readers(*held), servers, current)
    load = [Counter(placed.values())[found.name] for found in servers]
    assert sum(load) == len(held)
    assert max(load) - min(load) <= 1
    assert assign(readers(*held), servers, placed) == placed

    present = sorted((Counter(current.values())[found.name] for found in servers), reverse=True)
    share, extra = divmod(len(held), count)
    most_that_can_stay = sum(min(has, share + (rank < extra)) for rank, has in enumerate(present))
    assert sum(placed[uid] == current.get(uid) for uid in held) == most_that_can_stay


@pytest.mark.parametrize("order", [("a", "b", "c"), ("c", "b", "a")])
def test_the_result_does_not_depend_on_the_order_of_the_pods(order: tuple[str, ...]) -> None:
    expected = {"a": "main-2", "b": "main-3", "c": "main-4"}
    assert assign(readers(*order), [PRIMARY, *REPLICAS], {}) == expected
