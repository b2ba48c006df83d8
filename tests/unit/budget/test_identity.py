"""Who answers at an address, and which ledgers are about one server: tables of what was seen and what follows."""

from datetime import UTC, datetime, timedelta

import pytest

from pgpool_operator.budget import (
    Answers,
    Identity,
    Party,
    Share,
    Sighting,
    answers,
    as_said,
    identities,
    share,
)
from pgpool_operator.budget.identity import LINGER_SECONDS, may_be_one

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def server(address: str = "10.0.0.1", port: int = 5432, started: float = -60) -> Identity:
    return Identity(address, port, at(started))


def asked(identity: Identity, minutes: float) -> Sighting:
    return Sighting(identity, at(minutes))


A, B = server("10.0.0.1"), server("10.0.0.2")
A_AGAIN = server("10.0.0.1", started=5)
"""The first one after it was started anew."""


# Is it one server?


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param(asked(A, 0), asked(A, 9), True, id="all three agree"),
        pytest.param(Sighting(A), Sighting(A), True, id="all three agree, nobody knows when it was asked"),
        pytest.param(asked(A, 0), asked(B, 0), False, id="two addresses"),
        pytest.param(asked(A, 0), asked(server(port=5433), 0), False, id="two ports"),
        pytest.param(asked(A, 0), asked(A_AGAIN, 6), True, id="one has not heard of the restart yet"),
        pytest.param(Sighting(A), asked(A_AGAIN, 6), True, id="one has not been heard since the restart"),
        pytest.param(asked(A, 7), asked(A_AGAIN, 6), False, id="the same address behind two networks"),
    ],
)
def test_two_answers_are_of_one_server(one: Sighting, other: Sighting, same: bool) -> None:
    assert may_be_one(one, other) is same
    assert may_be_one(other, one) is same


# Several servers at one address


def seen(*looks: list[Sighting], before: Answers | None = None, every: float = 5.0) -> Answers:
    """What is made of several looks, one after the other."""
    found = before or Answers()
    for number, look in enumerate(looks):
        found = answers(found, look, number * every)
    return found


def found(answers: Answers) -> tuple[list[Identity], bool]:
    return [answer.identity for answer in answers.servers], answers.said


def test_one_server_is_no_dispute() -> None:
    assert seen([asked(A, 0), asked(A, 1)]) == Answers()


def test_two_servers_freeze_growth_at_once_and_are_not_said_yet() -> None:
    now = seen([asked(A, 0), asked(B, 1)])
    assert (now.disputed, now.said) == (True, False)


def test_they_are_said_once_both_have_answered_again() -> None:
    half = seen([asked(A, 0), asked(B, 1)], [asked(A, 2), asked(B, 1)])
    assert not half.said
    assert found(answers(half, [asked(A, 2), asked(B, 3)], 20.0)) == ([A, B], True)


def test_leftovers_of_a_failover_are_never_said() -> None:
    looks = [[asked(A, 0), asked(B, 1)], [asked(A, 0), asked(B, 2)], [asked(B, 2.1), asked(B, 2.2)]]
    assert not seen(*looks[:2]).said
    assert seen(*looks) == Answers()


def test_a_restart_is_no_second_server() -> None:
    assert seen([asked(A, 0), asked(A_AGAIN, 6)]) == Answers()


def test_equal_addresses_behind_two_networks_are_two_servers() -> None:
    assert seen([asked(A, 7), asked(A_AGAIN, 6)]).disputed


def test_a_pod_that_is_silent_since_a_failover_freezes_nothing_for_long() -> None:
    assert seen([asked(A, 0), asked(B, 1)]).disputed
    assert seen([asked(A, 0), asked(B, 4)]) == Answers()


def test_what_was_said_holds_while_a_pod_hears_now_the_one_and_now_the_other() -> None:
    said = seen([asked(A, 0), asked(B, 0)], [asked(A, 1), asked(B, 1)])
    assert found(answers(said, [asked(B, 2)], 60.0)) == ([A, B], True)


def test_it_ends_when_only_one_has_answered_for_long() -> None:
    said = seen([asked(A, 0), asked(B, 0)], [asked(A, 1), asked(B, 1)])
    assert answers(said, [asked(B, 3)], LINGER_SECONDS + 6.0) == Answers()


def test_an_operator_that_starts_goes_on_saying_it() -> None:
    assert found(answers(as_said([B, A], 0.0), [asked(B, 2)], 1.0)) == ([A, B], True)
    assert not answers(as_said([B, A], 0.0), [asked(B, 2)], LINGER_SECONDS + 1.0).disputed


def test_what_is_kept_is_who_answers_now() -> None:
    both = [asked(A, 0), asked(B, 0)]
    assert identities(seen(both), both, [A]) == (A, B)
    assert identities(Answers(), [asked(B, 0)], [A]) == (B,)
    assert identities(Answers(), [asked(A, 0), asked(A_AGAIN, 6)], [A]) == (A_AGAIN,)


def test_where_nobody_answers_what_was_known_is_kept() -> None:
    assert identities(Answers(), [], [A]) == (A,)


# Several ledgers of one server


def party(
    name: str,
    age: int,
    *servers: Identity,
    reserved: int = 0,
    wanted: int | None = 24,
    knows: tuple[str, ...] = ("shop/db0", "shop/db1", "shop/ro"),
) -> Party:
    sightings = tuple(Sighting(server) for server in servers)
    return Party(f"shop/{name}", f"2026-11-{30 - age:02}", sightings, reserved, wanted, knows)


@pytest.mark.parametrize(
    ("mine", "others", "expected"),
    [
        pytest.param(party("db1", 2, A), [party("db2", 1, B, reserved=9)], Share(), id="its own server"),
        pytest.param(party("db1", 2), [party("db2", 1, A, reserved=9)], Share(), id="nothing known yet"),
        pytest.param(
            party("db1", 2, A, reserved=24),
            [party("db2", 1, A, reserved=2)],
            Share(("shop/db2",), 22),
            id="the older one has what the younger one does not reserve",
        ),
        pytest.param(
            party("db1", 2, A, reserved=12),
            [party("db2", 1, A, reserved=2, knows=())],
            Share(("shop/db2",), 12, only_shrinks=True),
            id="nobody grows before the younger one has said that it knows",
        ),
        pytest.param(
            party("db2", 1, A, reserved=2),
            [party("db1", 2, A, reserved=24)],
            Share(("shop/db1",), 2, only_shrinks=True),
            id="the younger one does not grow",
        ),
        pytest.param(
            party("db2", 1, A, reserved=24),
            [party("db1", 2, A, reserved=24)],
            Share(("shop/db1",), 12, only_shrinks=True),
            id="the younger one gives back all but an equal part",
        ),
        pytest.param(
            party("db1", 2, A, reserved=24, wanted=24),
            [party("db2", 1, A, reserved=2, wanted=12)],
            Share(("shop/db2",), 10),
            id="the strictest holds",
        ),
        pytest.param(
            party("db1", 2, A, reserved=24),
            [party("db2", 1, A, reserved=2, wanted=None)],
            Share(("shop/db2",), 22),
            id="who does not know how large the server is has no say",
        ),
        pytest.param(
            party("db1", 3, A),
            [party("db2", 2, A, reserved=8), party("db3", 1, A, reserved=8)],
            Share(("shop/db2", "shop/db3"), 8),
            id="three names",
        ),
        pytest.param(
            party("ro", 2, A, B, reserved=24),
            [party("db2", 1, B, reserved=2)],
            Share(("shop/db2",), 22),
            id="one of several servers at an address",
        ),
        pytest.param(
            party("db1", 1, A, reserved=3),
            [party("db0", 1, A, reserved=3)],
            Share(("shop/db0",), 3, only_shrinks=True),
            id="of one second, the first by name is the older one",
        ),
    ],
)
def test_share(mine: Party, others: list[Party], expected: Share) -> None:
    assert share(mine, others) == expected


@pytest.mark.parametrize("count", [2, 3, 5])
def test_shares_come_to_rest_at_the_servers_budget(count: int) -> None:
    """However much each of them had."""
    parties = [party(f"db{number}", 20 - number, A, reserved=24) for number in range(count)]
    for _ in range(4):
        parties = [_obeyed(mine, parties) for mine in parties]
    assert sum(mine.reserved for mine in parties) <= 24
    assert parties[0].reserved >= 24 // count


def _obeyed(mine: Party, parties: list[Party]) -> Party:
    """It uses all that it may."""
    may = share(mine, [other for other in parties if other != mine]).most
    assert may is not None
    return Party(mine.key, mine.created, mine.sightings, may, mine.wanted, mine.aliases)
