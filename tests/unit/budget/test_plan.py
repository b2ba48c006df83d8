"""One server's ledger, one step at a time. B is 12 and each pod's floor is 1 unless a test says otherwise."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest

from pgpool_operator.api import GrantState
from pgpool_operator.budget import (
    Ledger,
    Life,
    Order,
    Plan,
    PodView,
    Report,
    Reservation,
    Size,
    plan,
)
from pgpool_pooler.contract import Endpoint

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
EARLIER = NOW - timedelta(hours=1)


def size(connections: int = 12, *, provisional: bool = False) -> Size:
    return Size(
        connections=connections,
        cpu=Fraction(4),
        cpu_source="Spec",
        connections_per_cpu=3,
        set_by="shop/app",
        reserved_connections=10,
        max_connections=None if provisional else 100,
        provisional=provisional,
    )


def reservation(
    uid: str,
    cap: int,
    *,
    reserved: int | None = None,
    generation: int = 1,
    state: GrantState = GrantState.ACTIVE,
    detects: bool | None = True,
) -> Reservation:
    return Reservation(
        uid=uid,
        pod=f"app-{uid}",
        pool="shop/app",
        endpoint=Endpoint.WRITE,
        node="w1",
        cap=cap,
        reserved=cap if reserved is None else reserved,
        generation=generation,
        state=state,
        since=EARLIER,
        detects_dead_clients=detects,
    )


def newcomer(uid: str, *, floor: int = 1, demand: float = 0.0) -> PodView:
    return PodView(
        uid=uid,
        pod=f"app-{uid}",
        pool="shop/app",
        endpoint=Endpoint.WRITE,
        node="w1",
        life=Life.ALIVE,
        assigned=True,
        floor=floor,
        demand=demand,
        report=Report(generation=0, acknowledged=0, cap_here=0, open_here=0),
    )


def granted(uid: str, cap: int, generation: int = 1, *, acknowledged: int | None = None) -> PodView:
    """A pod whose annotation says `cap`, and that follows it."""
    return replace(
        newcomer(uid),
        annotated=(generation, cap),
        known_generation=generation,
        report=Report(generation, generation if acknowledged is None else acknowledged, cap, 0),
        detects_dead_clients=True,
    )


def ledger(*reservations: Reservation, connections: int = 12, recovering: bool = False) -> Ledger:
    return Ledger(connections, {entry.uid: entry for entry in reservations}, recovering)


def step(
    before: Ledger, *pods: PodView, connections: int = 12, provisional: bool = False, seen: bool = True
) -> Plan:
    budget = size(connections, provisional=provisional)
    return plan(before, budget, pods, NOW, server_seen=seen)


def caps(decided: Plan) -> dict[str, tuple[int, int]]:
    """(cap, reserved) by uid."""
    return {uid: (entry.cap, entry.reserved) for uid, entry in decided.ledger.reservations.items()}


def gone(pod: PodView, life: Life, dead_for: float = 0.0) -> PodView:
    """The pod's object is gone, and nobody answers."""
    return replace(pod, life=life, dead_for=dead_for, report=None, annotated=None, known_generation=0)


# Growing


def test_a_first_pod_gets_everything() -> None:
    decided = step(ledger(), newcomer("a"))
    assert caps(decided) == {"a": (12, 12)}
    assert decided.orders == {"a": Order(generation=1, cap=12)}
    assert decided.ledger.reservations["a"].state is GrantState.GATED


def test_a_pod_that_is_on_no_node_yet_gets_nothing_and_takes_nothing_from_others() -> None:
    before, pending = ledger(reservation("a", 12)), replace(newcomer("b"), node="", report=None)
    decided = step(before, granted("a", 12), pending)
    assert caps(decided) == {"a": (12, 12)}
    assert not decided.moving
    assert caps(step(before, granted("a", 12), replace(pending, node="w1"))) == {"a": (6, 12)}


def test_what_such_a_pod_has_all_the_same_it_keeps() -> None:
    """An older operator reserved it before the pod was on a node."""
    before = ledger(reservation("a", 6), reservation("b", 6))
    assert caps(step(before, granted("a", 6), replace(granted("b", 6), node="")))["b"] == (6, 6)


def test_what_is_ordered_is_reserved() -> None:
    decided = step(ledger(reservation("a", 4)), granted("a", 4), newcomer("b"), connections=20)
    assert decided.ledger.reserved <= decided.ledger.connections
    assert all(
        order.cap <= decided.ledger.reservations[uid].reserved for uid, order in decided.orders.items()
    )


def test_a_newcomer_waits_until_its_floor_has_room() -> None:
    decided = step(ledger(reservation("a", 12)), granted("a", 12), newcomer("b", floor=3))
    assert "b" not in decided.orders
    assert decided.waiting == ("b",)
    assert decided.moving


def test_a_newcomer_does_not_start_below_its_floor() -> None:
    shrinking = reservation("a", 9, reserved=10, generation=2)
    decided = step(ledger(shrinking), granted("a", 9, 2, acknowledged=1), newcomer("b", floor=3))
    assert decided.waiting == ("b",)


def test_a_newcomer_starts_when_its_floor_has_room_and_grows_later() -> None:
    before = ledger(reservation("a", 6, reserved=9, generation=2))
    decided = step(before, granted("a", 6, 2, acknowledged=1), newcomer("b", floor=3))
    assert caps(decided) == {"a": (5, 9), "b": (3, 3)}


def test_newcomers_come_before_those_who_only_want_more() -> None:
    before = ledger(reservation("a", 2), reservation("z", 9, reserved=9))
    decided = step(before, granted("a", 2), granted("z", 9), newcomer("b"))
    assert "b" in decided.orders
    assert caps(decided)["a"] == (2, 2)


def test_one_grant_at_a_time_is_under_way() -> None:
    before = ledger(reservation("a", 6, generation=2))
    decided = step(before, granted("a", 6, 2, acknowledged=1))
    assert decided.orders == {"a": Order(2, 6)}
    assert step(before, granted("a", 6, 2)).orders == {"a": Order(3, 12)}


def test_a_silent_pod_does_not_grow() -> None:
    decided = step(ledger(reservation("a", 6)), replace(granted("a", 6), report=None))
    assert caps(decided) == {"a": (6, 6)}


def test_a_generation_is_above_every_one_that_anybody_knows() -> None:
    elsewhere = replace(newcomer("a"), known_generation=7)
    reported = replace(newcomer("b"), report=Report(9, 9, 0, 0))
    decided = step(ledger(), elsewhere, reported)
    assert {uid: order.generation for uid, order in decided.orders.items()} == {"a": 8, "b": 10}


def test_without_max_connections_only_floors_are_granted() -> None:
    assert caps(step(ledger(), newcomer("a", floor=2), newcomer("b"), provisional=True)) == {
        "a": (2, 2),
        "b": (1, 1),
    }


@pytest.mark.parametrize(("provisional", "frozen"), [(True, False), (False, True)])
def test_where_nothing_may_grow_a_fixed_share_does_not_either(provisional: bool, frozen: bool) -> None:
    pods = [replace(granted("a", 4), fixed=4), replace(newcomer("b", floor=2), fixed=4)]
    before, known = ledger(reservation("a", 4)), size(provisional=provisional)
    decided = plan(before, known, pods, NOW, server_seen=True, frozen=frozen)
    assert caps(decided) == {"a": (4, 4), "b": (2, 2)}


def test_a_pod_has_its_fixed_share_whatever_its_demand() -> None:
    pods = [replace(newcomer("a", demand=20.0), fixed=4), newcomer("b", demand=20.0)]
    assert caps(step(ledger(), *pods)) == {"a": (4, 4), "b": (8, 8)}
    pods = [replace(newcomer("a"), fixed=10), newcomer("b", demand=20.0)]
    assert caps(step(ledger(), *pods)) == {"a": (10, 10), "b": (2, 2)}


def test_where_not_all_fixed_shares_fit_nobody_loses_what_it_has() -> None:
    pods = [replace(granted(uid, 3), fixed=6) for uid in "abc"]
    before = ledger(*(reservation(uid, 3) for uid in "abc"))
    assert caps(step(before, *pods)) == dict.fromkeys("abc", (4, 4))


def test_where_what_pods_have_of_their_fixed_shares_is_too_much_each_gives_back_a_part() -> None:
    pods = [replace(granted(uid, 8), fixed=8) for uid in "ab"]
    before = ledger(*(reservation(uid, 8) for uid in "ab"))
    assert caps(step(before, *pods)) == dict.fromkeys("ab", (6, 8))


def test_a_pod_starts_with_its_floor_where_the_room_for_its_fixed_share_is_yet_to_be_given_back() -> None:
    pods = [granted("a", 11), replace(newcomer("b"), fixed=4)]
    first = step(ledger(reservation("a", 11)), *pods)
    assert caps(first) == {"a": (8, 11), "b": (1, 1)}


def test_without_max_connections_pods_keep_what_they_have() -> None:
    """The ledger was lost, and max_connections with it: a pod that is in session mode would not come back soon."""
    before = ledger(reservation("a", 8), reservation("b", 2))
    assert caps(step(before, granted("a", 8), granted("b", 2), provisional=True)) == {
        "a": (8, 8),
        "b": (2, 2),
    }


def test_without_max_connections_pods_give_up_what_others_need_for_their_floor() -> None:
    decided = step(ledger(reservation("a", 12)), granted("a", 12), newcomer("b"), provisional=True)
    assert caps(decided) == {"a": (11, 12)}


# Shrinking


def test_to_make_room_caps_shrink_first_and_nothing_grows_yet() -> None:
    decided = step(ledger(reservation("a", 12)), granted("a", 12), newcomer("b"))
    assert caps(decided) == {"a": (6, 12)}
    assert decided.orders == {"a": Order(2, 6)}
    assert decided.ledger.reservations["a"].state is GrantState.SHRINKING
    assert decided.moving


@pytest.mark.parametrize("acknowledged", [0, 1, 3])
def test_nothing_is_released_but_on_the_current_generation(acknowledged: int) -> None:
    before = ledger(reservation("a", 6, reserved=12, generation=2))
    decided = step(before, granted("a", 6, 2, acknowledged=acknowledged), newcomer("b"))
    assert caps(decided) == {"a": (6, 12)}


def test_what_a_pod_acknowledged_to_have_given_back_is_granted_at_once() -> None:
    before = ledger(reservation("a", 6, reserved=12, generation=2))
    decided = step(before, granted("a", 6, 2), newcomer("b"))
    assert caps(decided) == {"a": (6, 6), "b": (6, 6)}
    assert decided.ledger.reservations["a"].state is GrantState.ACTIVE


def test_a_second_shrink_keeps_what_the_first_has_not_given_back() -> None:
    before = ledger(reservation("a", 6, reserved=12, generation=2))
    decided = step(before, granted("a", 6, 2, acknowledged=1), newcomer("b"), newcomer("c"))
    assert caps(decided) == {"a": (4, 12)}


def test_a_silent_pod_keeps_what_it_has_and_takes_nothing_from_others_whatever_it_once_wanted() -> None:
    """Behind a cut network it would be granted what those who can be reached have, and its clients go to them."""
    before = ledger(reservation("a", 6), reservation("b", 6))
    wanting, idle = replace(granted("a", 6), demand=40.0), granted("b", 6)
    assert caps(step(before, wanting, idle)) == {"a": (6, 6), "b": (1, 6)}
    assert caps(step(before, replace(wanting, silent=True), idle)) == {"a": (6, 6), "b": (6, 6)}


def test_what_becomes_free_goes_past_a_silent_pod() -> None:
    before = ledger(reservation("a", 4), reservation("b", 4))
    silent = replace(granted("a", 4), demand=40.0, silent=True)
    assert caps(step(before, silent, granted("b", 4))) == {"a": (4, 4), "b": (8, 8)}


def test_a_terminating_pod_shrinks_to_what_it_needs() -> None:
    before = ledger(reservation("a", 6), reservation("b", 6))
    leaving = replace(granted("a", 6), life=Life.TERMINATING, demand=1.0)
    decided = step(before, leaving, granted("b", 6))
    assert caps(decided) == {"a": (2, 6), "b": (6, 6)}
    assert decided.ledger.reservations["a"].state is GrantState.DRAINING


def test_a_terminating_pod_that_was_never_granted_anything_gets_nothing() -> None:
    decided = step(ledger(), replace(newcomer("a"), life=Life.TERMINATING))
    assert decided.orders == {}
    assert decided.waiting == ()


# B changes


def test_a_lowered_budget_stays_committed_until_it_is_drained() -> None:
    decided = step(ledger(reservation("a", 12)), granted("a", 12), connections=8)
    assert caps(decided) == {"a": (8, 12)}
    assert decided.ledger.connections == 12
    assert decided.draining


def test_a_lowered_budget_is_committed_when_it_is_drained() -> None:
    before = ledger(reservation("a", 8, reserved=12, generation=2))
    decided = step(before, granted("a", 8, 2), connections=8)
    assert (decided.ledger.connections, decided.draining) == (8, False)


def test_a_budget_below_the_floors_pauses_the_last_pods() -> None:
    before = ledger(reservation("a", 6), reservation("b", 6))
    pods = [replace(granted("a", 6), floor=4), replace(granted("b", 6), floor=4)]
    decided = step(before, *pods, connections=5)
    assert caps(decided) == {"a": (5, 6), "b": (0, 6)}
    assert decided.orders["b"] == Order(2, 0)


def test_a_paused_pod_goes_on_when_its_floor_has_room_again() -> None:
    before = ledger(reservation("a", 5), reservation("b", 0), connections=5)
    pods = [replace(granted("a", 5), floor=4), replace(granted("b", 0), floor=4)]
    first = step(before, *pods, connections=8)
    assert caps(first) == {"a": (4, 5), "b": (0, 0)}
    second = step(first.ledger, replace(granted("a", 4, 2), floor=4), pods[1], connections=8)
    assert caps(second) == {"a": (4, 4), "b": (4, 4)}


def test_a_raised_budget_is_committed_at_once() -> None:
    assert step(ledger(reservation("a", 12)), granted("a", 12), connections=20).ledger.connections == 20


# The dead and the unknown


@pytest.mark.parametrize(
    ("life", "held_for"),
    [(Life.NEVER_BOUND, 0.0), (Life.DEAD_REPORTED, 2.0), (Life.DEAD_INFERRED, 25.0)],
)
def test_what_the_dead_held_is_freed_when_their_backends_must_have_ended(life: Life, held_for: float) -> None:
    before = ledger(reservation("a", 12))
    if held_for:
        waiting = step(before, gone(granted("a", 12), life, dead_for=held_for - 0.5), newcomer("b"))
        assert caps(waiting) == {"a": (12, 12)}
        assert waiting.look_again == pytest.approx(0.5)
        assert waiting.ledger.reservations["a"].state is GrantState.DRAINING
    freed = step(before, gone(granted("a", 12), life, dead_for=held_for), newcomer("b"))
    assert caps(freed) == {"b": (12, 12)}
    assert freed.look_again is None


def test_the_next_look_is_at_the_end_of_the_shortest_hold() -> None:
    before = ledger(reservation("a", 6), reservation("b", 6))
    pods = [
        gone(granted("a", 6), Life.DEAD_REPORTED, dead_for=1.5),
        gone(granted("b", 6), Life.DEAD_INFERRED, dead_for=1.5),
    ]
    assert step(before, *pods).look_again == pytest.approx(0.5)


def test_the_dead_are_held_where_the_server_does_not_notice_dead_clients() -> None:
    dead = replace(gone(granted("a", 12), Life.DEAD_REPORTED, 1e6), detects_dead_clients=False)
    decided = step(ledger(reservation("a", 12, detects=False)), dead)
    assert decided.held == ("a",)
    assert decided.ledger.reserved == 12
    assert decided.look_again is None


def test_the_dead_of_a_server_that_nobody_reached_are_freed_after_a_minute() -> None:
    dead = replace(gone(granted("a", 12), Life.DEAD_REPORTED, 60.0), detects_dead_clients=False)
    assert caps(step(ledger(reservation("a", 12, detects=False)), dead, seen=False)) == {}


def said_to_detect(decided: Plan, uid: str = "a") -> bool | None:
    return decided.ledger.reservations[uid].detects_dead_clients


@pytest.mark.parametrize("word", [True, False])
def test_a_pods_newest_word_on_whether_the_server_notices_dead_clients_is_the_one_that_holds(
    word: bool,
) -> None:
    """Its pool may have come to be in session mode, or in another one than that."""
    before = ledger(reservation("a", 12, detects=not word))
    decided = step(before, replace(granted("a", 12), detects_dead_clients=word))
    assert said_to_detect(decided) is word
    dead = replace(gone(granted("a", 12), Life.DEAD_REPORTED, 60.0), detects_dead_clients=None)
    assert (caps(step(decided.ledger, dead)) == {}) is word


def test_what_is_assumed_of_a_pod_never_goes_against_its_own_word() -> None:
    dead = replace(
        gone(granted("a", 12), Life.DEAD_REPORTED, 60.0), detects_dead_clients=None, assumed_to_detect=True
    )
    assert step(ledger(reservation("a", 12, detects=False)), dead).held == ("a",)
    denied = replace(dead, detects_dead_clients=False)
    assert step(ledger(reservation("a", 12, detects=None)), denied).held == ("a",)


@pytest.mark.parametrize("pool_is_there", [True, False])
def test_what_is_assumed_of_a_pod_that_never_said_it_holds_after_its_death_but_not_as_its_word(
    pool_is_there: bool,
) -> None:
    """It never logged in: its Secret was wrong, and now the pool is deleted, or the Secret right."""
    silent = replace(granted("a", 12), detects_dead_clients=None, assumed_to_detect=True)
    decided = step(ledger(reservation("a", 12, detects=None)), silent)
    assert said_to_detect(decided) is None
    dead = gone(silent, Life.DEAD_REPORTED, 60.0)
    assert caps(step(decided.ledger, dead if pool_is_there else replace(dead, assumed_to_detect=None))) == {}


def test_what_was_assumed_of_a_pod_is_forgotten_with_its_own_word() -> None:
    before = replace(reservation("a", 12, detects=None), assumed_to_detect=True)
    decided = step(ledger(before), replace(granted("a", 12), detects_dead_clients=False))
    assert not decided.ledger.reservations["a"].assumed_to_detect
    assert said_to_detect(decided) is False


def test_of_what_is_assumed_the_newest_holds() -> None:
    """Another pod of its pool has read it by now, or the pool is in another mode."""
    silent = replace(granted("a", 12), detects_dead_clients=None, assumed_to_detect=True)
    decided = step(ledger(reservation("a", 12, detects=None)), silent)
    decided = step(decided.ledger, replace(silent, assumed_to_detect=False))
    dead = replace(gone(silent, Life.DEAD_REPORTED, 60.0), assumed_to_detect=None)
    assert step(decided.ledger, dead).held == ("a",)


def listed_dead(uid: str, cap: int, dead_for: float = 0.0, *, detects: bool = True) -> PodView:
    """The kubelet reported that it ended; its object and the grant on it are there."""
    pod = replace(granted(uid, cap), life=Life.DEAD_REPORTED, dead_for=dead_for, listed=True)
    return replace(pod, report=None, detects_dead_clients=detects)


@pytest.mark.parametrize("detects", [True, False])
def test_a_dead_pod_that_gave_all_back_is_not_taken_in_again_while_its_object_is_there(detects: bool) -> None:
    """Not even by an operator that has just come, which does not know for how long it has been dead."""
    before = ledger(reservation("a", 6, detects=detects), reservation("b", 6))
    counted = replace(listed_dead("a", 6, detects=detects), countable=True, counted=0)
    freed = step(before, counted, granted("b", 6))
    again = step(freed.ledger, listed_dead("a", 6, detects=detects), granted("b", 12, 2))
    assert caps(freed) == caps(again) == {"b": (12, 12)}
    assert again.ledger == freed.ledger
    assert not again.ledger.recovering


def test_a_pod_that_a_person_released_is_not_taken_in_again_when_it_proves_dead() -> None:
    unknown = replace(listed_dead("a", 6), life=Life.UNKNOWN, released=True)
    freed = step(ledger(reservation("a", 6)), unknown)
    decided = step(freed.ledger, listed_dead("a", 6), newcomer("b"))
    assert caps(decided) == {"b": (12, 12)}


def test_a_pod_that_was_released_and_lives_is_taken_in_again() -> None:
    freed = step(ledger(reservation("a", 6)), replace(listed_dead("a", 6), life=Life.UNKNOWN, released=True))
    decided = step(freed.ledger, replace(granted("a", 6), report=None))
    assert caps(decided) == {"a": (6, 6)}
    assert decided.ledger.recovering
    assert decided.ledger.freed == frozenset()


def test_what_was_given_back_is_remembered_only_while_the_object_is_there() -> None:
    freed = step(ledger(reservation("a", 6)), listed_dead("a", 6, dead_for=2.0))
    assert freed.ledger.freed == {"a"}
    assert step(freed.ledger).ledger.freed == frozenset()
    assert (
        step(ledger(reservation("a", 6)), gone(granted("a", 6), Life.DEAD_REPORTED, 2.0)).ledger.freed
        == set()
    )


def test_a_dead_pod_that_a_ledger_does_not_know_shows_that_it_was_rolled_back_and_counts_for_its_hold() -> (
    None
):
    before = ledger(reservation("b", 4))
    first = step(before, listed_dead("a", 8), granted("b", 4), newcomer("c"))
    assert caps(first)["a"] == (8, 8)
    assert first.ledger.recovering
    assert first.waiting == ("c",)
    second = step(first.ledger, listed_dead("a", 8, dead_for=2.0), granted("b", 4), newcomer("c"))
    assert "a" not in caps(second)
    assert not second.ledger.recovering


def test_an_unknown_pod_counts_and_is_named() -> None:
    decided = step(ledger(reservation("a", 8)), gone(granted("a", 8), Life.UNKNOWN), newcomer("b"))
    assert caps(decided) == {"a": (8, 8), "b": (4, 4)}
    assert decided.held == ("a",)
    assert decided.ledger.reservations["a"].state is GrantState.UNKNOWN


def test_an_unknown_pod_is_freed_by_a_persons_word() -> None:
    pod = replace(gone(granted("a", 8), Life.UNKNOWN), released=True)
    assert caps(step(ledger(reservation("a", 8)), pod)) == {}


def test_the_dead_that_cannot_be_proven_drained_are_freed_by_a_persons_word() -> None:
    dead = replace(gone(granted("a", 12), Life.DEAD_REPORTED), detects_dead_clients=False, released=True)
    assert caps(step(ledger(reservation("a", 12, detects=False)), dead)) == {}


@pytest.mark.parametrize("life", [Life.ALIVE, Life.TERMINATING, Life.DEAD_REPORTED, Life.DEAD_INFERRED])
def test_a_persons_word_is_not_obeyed_where_there_is_proof_or_will_be(life: Life) -> None:
    pod = replace(granted("a", 8), life=life, released=True)
    assert step(ledger(reservation("a", 8)), pod).ledger.reservations["a"].reserved >= 8


def test_a_released_pod_that_is_still_listed_does_not_freeze_the_ledger() -> None:
    listed = replace(granted("a", 8), life=Life.UNKNOWN, report=None, released=True)
    first = step(ledger(reservation("a", 8)), listed, newcomer("b"))
    second = step(first.ledger, listed, granted("b", 12))
    assert caps(second) == {"b": (12, 12)}
    assert not second.ledger.recovering


def test_a_pod_that_the_caller_does_not_mention_is_left_alone() -> None:
    entry = reservation("x", 5, generation=3)
    decided = step(ledger(entry), newcomer("a"))
    assert decided.ledger.reservations["x"] == entry
    assert caps(decided)["a"] == (7, 7)


# A ledger that was lost or rolled back


def test_a_lost_ledger_takes_in_what_the_pods_have() -> None:
    decided = step(ledger(recovering=True, connections=0), granted("a", 7, 4), granted("b", 5, 6))
    assert caps(decided) == {"a": (7, 7), "b": (5, 5)}
    assert {uid: order.generation for uid, order in decided.orders.items()} == {"a": 4, "b": 6}
    assert not decided.ledger.recovering
    assert decided.awaited == ()


def test_a_lost_ledger_does_not_wait_for_what_another_ledger_has_not_sent() -> None:
    here = replace(granted("a", 4, 4), known_generation=7, written_generation=4)
    assert not step(ledger(recovering=True), here).ledger.recovering


def test_a_lost_ledger_waits_for_the_grant_that_is_on_the_pod() -> None:
    leaving = replace(elsewhere("a", 7), written_generation=8)
    assert step(ledger(recovering=True), leaving).awaited == ("app-a",)


def test_a_recovering_ledger_grants_no_pod_more_than_it_has_whatever_it_says() -> None:
    """What it says may never have been reserved: somebody wrote it in, or gave it to others since."""
    edited = ledger(reservation("a", 8), reservation("b", 9, generation=3), recovering=True)
    decided = step(edited, granted("a", 8), newcomer("b"))
    assert caps(decided) == {"a": (6, 8), "b": (0, 9)}
    assert decided.orders["b"] == Order(generation=4, cap=0)
    assert decided.draining


def test_a_pod_that_nothing_can_be_granted_to_keeps_what_it_has() -> None:
    orphan = replace(granted("a", 12), assigned=False, orphan=True)
    decided = step(ledger(reservation("a", 12)), orphan, newcomer("b"))
    assert caps(decided) == {"a": (12, 12)}
    assert decided.leaving == {}
    assert decided.waiting == ("b",)


def test_nothing_grows_until_every_pod_was_heard() -> None:
    silent = replace(granted("a", 4, 4), report=None)
    decided = step(ledger(recovering=True), silent, granted("b", 4, 6), newcomer("c"))
    assert caps(decided) == {"a": (4, 4), "b": (4, 4)}
    assert decided.ledger.recovering
    assert decided.awaited == ("app-a",)
    assert decided.waiting == ("c",)


def test_a_pod_that_has_not_drained_yet_may_hold_what_an_overwritten_grant_allowed() -> None:
    draining = replace(granted("a", 4, 5), report=Report(4, 4, cap_here=10, open_here=10))
    decided = step(ledger(recovering=True), draining, newcomer("b"))
    assert caps(decided) == {"a": (4, 10)}
    assert decided.ledger.recovering
    sound = step(decided.ledger, granted("a", 4, 5), newcomer("b"))
    assert caps(sound) == {"a": (6, 6), "b": (6, 6)}
    assert not sound.ledger.recovering


def test_a_pod_may_hold_more_than_its_annotation_says_though_it_was_taken_in_before_it_was_heard() -> None:
    first = step(ledger(recovering=True), replace(granted("a", 4, 5), report=None), newcomer("b"))
    heard = replace(granted("a", 4, 5), report=Report(4, 4, cap_here=10, open_here=10))
    second = step(first.ledger, heard, newcomer("b"))
    assert caps(second) == {"a": (4, 10)}
    assert second.ledger.recovering


def test_an_annotation_above_the_ledgers_generation_shows_that_it_was_rolled_back() -> None:
    before = ledger(reservation("a", 2, generation=3))
    decided = step(before, granted("a", 8, 5, acknowledged=4))
    assert caps(decided) == {"a": (8, 8)}
    assert decided.ledger.recovering
    assert decided.orders["a"] == Order(5, 8)


def test_what_a_rolled_back_ledger_knew_of_a_pod_is_kept() -> None:
    entry = replace(reservation("a", 10, generation=3), addresses=("10.0.0.7",))
    decided = step(ledger(entry), granted("a", 8, 5, acknowledged=4))
    found = decided.ledger.reservations["a"]
    assert (found.cap, found.reserved, found.addresses) == (8, 10, ("10.0.0.7",))
    assert found.detects_dead_clients


def test_a_report_above_all_that_is_written_shows_that_everything_was_rolled_back() -> None:
    """Its grant cannot be read any more: it counts, and a new one says what the ledger knows."""
    before = ledger(reservation("a", 2, generation=3))
    rolled_back = replace(granted("a", 2, 3), report=Report(9, 9, cap_here=8, open_here=1))
    decided = step(before, rolled_back)
    assert caps(decided) == {"a": (2, 8)}
    assert decided.orders["a"] == Order(10, 2)


def test_a_pod_that_has_less_than_a_rolled_back_ledger_says_is_not_granted_that_again() -> None:
    before = ledger(reservation("a", 8, generation=3))
    shrunk_since = replace(granted("a", 8, 3), report=Report(9, 9, cap_here=2, open_here=1))
    decided = step(before, shrunk_since, replace(granted("b", 4), report=None))
    assert decided.orders["a"] == Order(10, 2)
    assert caps(decided)["a"] == (2, 8)


def test_another_cap_of_the_same_generation_shows_that_a_ledger_was_rolled_back() -> None:
    decided = step(ledger(reservation("a", 8, generation=3)), granted("a", 2, 3, acknowledged=2))
    assert caps(decided) == {"a": (2, 8)}
    assert decided.ledger.recovering


def test_a_pod_that_follows_another_grant_of_the_generation_that_it_acknowledges_gives_nothing_back() -> None:
    """The ledger came to that generation a second time after it was rolled back; the pod refuses its grant."""
    before = ledger(reservation("a", 0, reserved=8, generation=2))
    refuses = replace(granted("a", 0, 2), report=Report(2, 2, cap_here=6, open_here=0), stale=True)
    decided = step(before, refuses, newcomer("b"))
    assert caps(decided) == {"a": (6, 8), "b": (4, 4)}
    assert decided.orders["a"] == Order(3, 6)
    assert caps(step(decided.ledger, granted("a", 6, 3), granted("b", 4))) == {"a": (6, 6), "b": (6, 6)}


def test_a_lower_cap_written_on_a_pod_by_hand_gives_nothing_back() -> None:
    """It was altered after the pod had accepted it: the pod refuses it, and has what it had."""
    altered = replace(granted("a", 2, 3), report=Report(3, 3, cap_here=8, open_here=0), stale=True)
    decided = step(ledger(reservation("a", 8, generation=3)), altered, newcomer("b"))
    assert caps(decided)["a"][1] == 8
    assert decided.ledger.reserved <= 12


def test_an_old_report_makes_nothing_grow() -> None:
    """Of a second operator, whose copy is older than the ledger: it is counted, never granted again."""
    old = replace(granted("a", 4, 3), report=Report(2, 2, cap_here=8, open_here=8))
    decided = step(ledger(reservation("a", 4, generation=3), reservation("b", 8)), old, granted("b", 8))
    assert decided.orders["a"].cap <= 4


def test_two_grants_of_one_generation_are_never_sent() -> None:
    before = ledger(reservation("a", 2, generation=3))
    paused_since = replace(granted("a", 2, 3), report=Report(9, 9, cap_here=0, open_here=0))
    assert step(before, paused_since).orders["a"].generation == 10


def test_connections_of_a_pod_that_moves_away_count_in_a_lost_ledger() -> None:
    moving = elsewhere("a", 6, acknowledged=5, open_here=3)
    decided = step(ledger(recovering=True), moving, newcomer("b"))
    assert caps(decided) == {"a": (0, 3)}
    assert decided.awaited == ("app-a",)


def test_a_dead_pod_of_a_lost_ledger_counts_until_it_is_drained() -> None:
    dead = replace(granted("a", 8), life=Life.DEAD_REPORTED, dead_for=0.5, report=None)
    first = step(ledger(recovering=True), dead, newcomer("b"))
    assert caps(first) == {"a": (8, 8)}
    second = step(first.ledger, replace(dead, dead_for=2.0), newcomer("b"))
    assert caps(second) == {"b": (12, 12)}


def test_the_dead_stay_counted_while_a_ledger_recovers() -> None:
    dead = replace(granted("a", 8), life=Life.DEAD_REPORTED, dead_for=9.0, report=None)
    silent = replace(granted("b", 2), report=None)
    assert caps(step(ledger(recovering=True), dead, silent)) == {"a": (8, 8), "b": (2, 2)}


def test_an_unknown_pod_keeps_a_lost_ledger_recovering_until_a_person_releases_it() -> None:
    before = ledger(reservation("a", 4), recovering=True)
    unknown = gone(granted("a", 4), Life.UNKNOWN)
    assert step(before, unknown, newcomer("b")).ledger.recovering
    decided = step(before, replace(unknown, released=True), newcomer("b"))
    assert caps(decided) == {"b": (12, 12)}
    assert not decided.ledger.recovering


def test_a_reservation_whose_pod_is_not_mentioned_keeps_a_ledger_recovering() -> None:
    assert step(ledger(reservation("x", 4), recovering=True), newcomer("b")).awaited == ("app-x",)


def test_a_pod_that_no_node_has_yet_is_not_waited_for() -> None:
    pending = replace(granted("a", 4), node="", report=None)
    decided = step(ledger(recovering=True), pending)
    assert caps(decided) == {"a": (4, 4)}
    assert not decided.ledger.recovering


def test_a_new_ledger_starts_at_once() -> None:
    silent = replace(newcomer("b"), report=None)
    assert caps(step(ledger(recovering=True, connections=0), newcomer("a"), silent)) == {
        "a": (6, 6),
        "b": (6, 6),
    }


# A grant that somebody took off its pod


def stripped(uid: str, **known: object) -> PodView:
    """A pod that was granted something, nobody says what: it is not heard, and no grant is on it."""
    pod = replace(newcomer(uid), report=None, listed=True, started=True, was_ready=True)
    return replace(pod, **known)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "before",
    [
        pytest.param([], id="before the pod was there"),
        pytest.param([reservation("a", 2, generation=3)], id="to what it had once"),
        pytest.param([reservation("a", 0, generation=3)], id="to when it was paused"),
    ],
)
def test_nothing_grows_in_a_rolled_back_ledger_before_a_pod_without_its_grant_is_heard(
    before: list[Reservation],
) -> None:
    known = ledger(*before, reservation("b", 4))
    first = step(known, stripped("a"), granted("b", 4), newcomer("c"))
    assert first.awaited == ("app-a",)
    assert caps(first).get("b") == (4, 4)
    assert first.waiting == ("c",) if before else ("a", "c")
    heard = stripped("a", report=Report(9, 9, cap_here=8, open_here=8))
    second = step(first.ledger, heard, granted("b", 4), newcomer("c"))
    assert caps(second)["a"][1] == 8
    assert second.ledger.reserved == 12
    assert not second.ledger.recovering


@pytest.mark.parametrize("end", [Life.UNKNOWN, Life.DEAD_REPORTED])
def test_nothing_grows_until_a_pod_without_its_grant_is_proven_dead(end: Life) -> None:
    first = step(ledger(reservation("b", 4)), stripped("a"), granted("b", 4))
    decided = step(first.ledger, stripped("a", life=end, detects_dead_clients=True), granted("b", 4))
    assert decided.awaited == ("app-a",)
    dead = stripped("a", life=Life.DEAD_REPORTED, detects_dead_clients=True, dead_for=2.0)
    assert caps(step(decided.ledger, dead, granted("b", 4))) == {"b": (12, 12)}


def test_a_pod_that_holds_what_its_lost_grant_allowed_before_it_was_paused_shows_that_the_ledger_is_old() -> (
    None
):
    """Its container restarted: what was open until then lingers, though it says that it has nothing."""
    restarted = stripped("a", report=Report(generation=9, acknowledged=0, cap_here=0, open_here=0))
    decided = step(ledger(reservation("b", 4)), restarted, granted("b", 4), newcomer("c"))
    assert decided.awaited == ("app-a",)
    assert caps(decided)["b"] == (4, 4)
    assert decided.waiting == ("c",)


def test_a_pod_that_never_had_a_grant_holds_up_nobody_in_a_sound_ledger() -> None:
    """It waits for room, and the operator that has just come did not hear it."""
    waiting = stripped("a", was_ready=False)
    assert caps(step(ledger(reservation("b", 4)), granted("b", 4), waiting)) == {"a": (6, 6), "b": (6, 6)}


def test_a_recovering_ledger_waits_for_every_pod_that_has_started() -> None:
    """Whether it ever had a grant, the ledger that was lost would tell."""
    started = stripped("a", was_ready=False)
    decided = step(ledger(recovering=True), started, newcomer("b"))
    assert decided.awaited == ("app-a",)
    assert decided.waiting == ("a", "b")
    assert not step(ledger(recovering=True), replace(started, started=False)).ledger.recovering


# Moves between servers: the pod of another ledger


def elsewhere(uid: str, generation: int, *, open_here: int = 0, acknowledged: int | None = None) -> PodView:
    """A pod whose newest grant is for another server."""
    done = generation if acknowledged is None else acknowledged
    return replace(
        newcomer(uid),
        assigned=False,
        known_generation=generation,
        report=Report(generation, done, cap_here=0, open_here=open_here),
    )


def test_a_pod_that_moves_here_is_reserved_above_its_other_grants() -> None:
    coming = replace(elsewhere("a", 5), assigned=True)
    decided = step(ledger(), coming)
    assert decided.orders == {"a": Order(6, 12)}
    assert decided.ledger.reservations["a"].state is GrantState.GATED


def test_a_pod_that_shall_move_keeps_what_it_has_until_the_other_server_grants() -> None:
    decided = step(ledger(reservation("a", 12)), replace(granted("a", 12), assigned=False))
    assert caps(decided) == {"a": (12, 12)}
    assert (decided.orders, decided.leaving) == ({}, {})
    assert decided.ledger.reservations["a"].state is GrantState.DRAINING


def test_a_pod_that_leaves_gives_way_to_those_that_belong_here() -> None:
    """Two servers that swap their pods would wait for each other for ever."""
    before = ledger(reservation("a", 12))
    decided = step(before, replace(granted("a", 12), assigned=False), newcomer("b", floor=3))
    assert caps(decided) == {"a": (9, 12)}
    assert (decided.orders, decided.leaving) == ({}, {"a": Order(2, 9)})
    second = step(decided.ledger, replace(granted("a", 9, 2), assigned=False), newcomer("b", floor=3))
    assert caps(second) == {"a": (9, 9), "b": (3, 3)}
    assert second.leaving == {}


def test_a_pod_that_leaves_gives_way_to_a_lowered_budget() -> None:
    decided = step(ledger(reservation("a", 12)), replace(granted("a", 12), assigned=False), connections=5)
    assert decided.leaving == {"a": Order(2, 5)}


def test_a_pod_that_was_granted_elsewhere_is_not_called_back() -> None:
    entry = reservation("a", 12, generation=3)
    assert step(ledger(entry), elsewhere("a", 2, open_here=2), newcomer("b")).leaving == {}
    assert step(ledger(entry), elsewhere("a", 4, open_here=2), newcomer("b")).leaving == {}


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(elsewhere("a", 2, acknowledged=1), id="not acknowledged"),
        pytest.param(elsewhere("a", 2, open_here=1), id="connections are left"),
    ],
)
def test_a_pod_that_has_not_left_is_counted(pod: PodView) -> None:
    assert caps(step(ledger(reservation("a", 12)), pod)) == {"a": (12, 12)}


def test_a_pod_that_has_left_is_freed() -> None:
    assert caps(step(ledger(reservation("a", 12)), elsewhere("a", 2), newcomer("b"))) == {"b": (12, 12)}


def test_the_rest_of_a_move_is_no_sign_of_a_lost_ledger() -> None:
    leaving = replace(elsewhere("a", 2, acknowledged=1), report=Report(2, 1, cap_here=12, open_here=3))
    decided = step(ledger(reservation("a", 12)), leaving)
    assert caps(decided) == {"a": (12, 12)}
    assert not decided.ledger.recovering


def test_a_pod_that_comes_back_before_the_other_server_granted_gets_a_newer_grant() -> None:
    """The other ledger frees its reservation only on an acknowledgement above its own generation."""
    back = replace(granted("a", 12), known_generation=2)
    assert step(ledger(reservation("a", 12)), back).orders == {"a": Order(3, 12)}


def test_a_pod_that_comes_back_after_the_other_server_granted_gets_a_newer_grant() -> None:
    back = replace(elsewhere("a", 2), assigned=True, stale=True)
    assert step(ledger(reservation("a", 12)), back).orders == {"a": Order(3, 12)}


def test_of_two_ledgers_with_one_generation_the_one_that_is_left_makes_the_other_renew() -> None:
    left = step(ledger(reservation("a", 4, generation=2)), elsewhere("a", 2))
    assert left.ledger.reservations["a"].generation == 3
    here = replace(granted("a", 12, 2), known_generation=3)
    assert step(ledger(reservation("a", 12, generation=2)), here).orders == {"a": Order(4, 12)}


# Level-triggered


def test_other_content_takes_a_new_generation_once() -> None:
    before = ledger(reservation("a", 12))
    first = step(before, replace(granted("a", 12), stale=True))
    assert first.orders == {"a": Order(2, 12)}
    second = step(first.ledger, replace(granted("a", 12), stale=True))
    assert second.orders == first.orders


@pytest.mark.parametrize(
    "pods",
    [
        pytest.param([newcomer("a"), newcomer("b")], id="two new pods"),
        pytest.param([newcomer("a", demand=9.0), newcomer("b", floor=3), newcomer("c")], id="unequal pods"),
        pytest.param([], id="nobody"),
    ],
)
def test_an_unchanged_world_yields_an_equal_ledger(pods: list[PodView]) -> None:
    decided = step(ledger(), *pods)
    settled = [_as_granted(pod, decided.orders) for pod in pods]
    second = step(decided.ledger, *settled)
    third = step(second.ledger, *settled)
    assert third == second
    assert not third.moving


def _as_granted(pod: PodView, orders: Mapping[str, Order]) -> PodView:
    order = orders[pod.uid]
    followed = granted(pod.uid, order.cap, order.generation)
    return replace(followed, floor=pod.floor, demand=pod.demand)


def test_a_state_keeps_its_time_until_it_changes() -> None:
    decided = step(ledger(reservation("a", 12)), granted("a", 12))
    assert decided.ledger.reservations["a"].since == EARLIER
    decided = step(ledger(reservation("a", 12, state=GrantState.GATED)), granted("a", 12))
    assert decided.ledger.reservations["a"].since == NOW


def test_addresses_are_collected() -> None:
    entry = replace(reservation("a", 12), addresses=("10.0.0.9",))
    decided = step(ledger(entry), replace(granted("a", 12), addresses=("10.0.0.7",)))
    assert decided.ledger.reservations["a"].addresses == ("10.0.0.7", "10.0.0.9")


# What others count of a dead pod's backends

BLIND = replace(granted("a", 12), detects_dead_clients=False)


def test_a_count_of_none_frees_the_dead_whether_or_not_the_server_looks_for_dead_clients() -> None:
    for detects in (True, False):
        dead = replace(gone(BLIND, Life.DEAD_INFERRED, dead_for=0.1), counted=0, countable=True)
        assert caps(step(ledger(reservation("a", 12, detects=detects)), dead)) == {}


def test_a_count_of_some_frees_nothing_and_is_looked_at_again_after_2_seconds() -> None:
    dead = replace(gone(BLIND, Life.DEAD_REPORTED, dead_for=60.0), counted=1, countable=True)
    decided = step(ledger(reservation("a", 12, detects=False)), dead)
    assert caps(decided) == {"a": (12, 12)}
    assert decided.held == ("a",)
    assert decided.look_again == 2.0


@pytest.mark.parametrize("life", [Life.DEAD_CLEAN, Life.DEAD_REPORTED, Life.DEAD_INFERRED])
def test_backends_that_are_counted_hold_a_dead_pods_connections_for_longer_than_the_hold(life: Life) -> None:
    before = ledger(reservation("a", 12))
    seen = replace(gone(granted("a", 12), life, dead_for=30.0), counted=7, countable=True)
    decided = step(before, seen, newcomer("b"))
    assert caps(decided) == {"a": (12, 12)}
    assert decided.look_again == 2.0
    assert caps(step(before, replace(seen, counted=0), newcomer("b"))) == {"b": (12, 12)}
    assert caps(step(before, replace(seen, counted=None), newcomer("b"))) == {"b": (12, 12)}


def test_backends_that_do_not_end_are_told_of_and_a_person_may_release_their_pod() -> None:
    before = ledger(reservation("a", 12))
    ending = replace(
        gone(granted("a", 12), Life.DEAD_REPORTED, 16.5), counted=7, countable=True, released=True
    )
    said = step(before, ending).ledger.reservations["a"]
    assert (said.state, said.backends) == (GrantState.DRAINING, None)
    staying = replace(ending, dead_for=17.0)
    said = step(before, replace(staying, released=False)).ledger.reservations["a"]
    assert (said.state, said.backends) == (GrantState.UNKNOWN, 7)
    assert caps(step(before, staying)) == {}


def test_a_recovering_ledger_waits_for_backends_that_are_counted() -> None:
    seen = replace(gone(granted("a", 12), Life.DEAD_REPORTED, 60.0), counted=7, countable=True)
    before = ledger(reservation("a", 12), recovering=True)
    assert step(before, seen).ledger.recovering
    assert not step(before, replace(seen, counted=0)).ledger.recovering


def test_the_hold_ends_it_where_the_count_is_late() -> None:
    dead = replace(gone(granted("a", 12), Life.DEAD_REPORTED, dead_for=2.0), counted=None, countable=True)
    assert caps(step(ledger(reservation("a", 12)), dead)) == {}


@pytest.mark.parametrize("life", [Life.UNKNOWN, Life.ALIVE, Life.TERMINATING])
def test_a_pod_that_is_not_proven_dead_may_connect_again_after_a_count(life: Life) -> None:
    silent = replace(gone(BLIND, life), counted=0, countable=True)
    assert caps(step(ledger(reservation("a", 12, detects=False)), silent))["a"][1] == 12


def test_a_recovering_ledger_waits_for_a_count_of_the_dead() -> None:
    dead = replace(BLIND, life=Life.DEAD_REPORTED, report=None, countable=True)
    before = ledger(reservation("a", 12, detects=False), recovering=True)
    assert step(before, dead).ledger.recovering
    assert not step(before, replace(dead, counted=0)).ledger.recovering


def test_a_person_may_release_what_is_counted_for_ever_as_the_address_is_somebody_elses_now() -> None:
    dead = replace(gone(BLIND, Life.DEAD_REPORTED), released=True, countable=True, counted=3)
    assert caps(step(ledger(reservation("a", 12, detects=False)), dead)) == {}


def test_a_pod_seen_behind_nat_once_is_so_for_good() -> None:
    def direct(before: bool | None, seen: bool | None) -> bool | None:
        entry = replace(reservation("a", 12), direct=before)
        return step(ledger(entry), replace(granted("a", 12), direct=seen)).ledger.reservations["a"].direct

    assert [direct(None, seen) for seen in (None, True, False)] == [None, True, False]
    assert [direct(True, seen) for seen in (None, True, False)] == [True, True, False]
    assert [direct(False, seen) for seen in (None, True, False)] == [False, False, False]
