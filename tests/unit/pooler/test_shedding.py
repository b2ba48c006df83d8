"""What closes, what is held back, and for how long: one database with a limit of 8, and what it looks like."""

from dataclasses import replace

import pytest

from pgpool_pooler.agent.lately import Lately
from pgpool_pooler.agent.shedding import shed
from pgpool_pooler.engines.base import DatabaseLoad, EngineStatus, Setup

from .builders import config, database, material, monitored, setup

LIMIT = 8
NOTHING = Lately()
CALM = setup({"app": LIMIT, "b": 3})
APP = frozenset({"app"})
QUEUE = frozenset({("app", "somebody")})


def seen(open_: int, active: int | None = None, **more: object) -> EngineStatus:
    load = DatabaseLoad(open=open_, usable=open_, active=open_ if active is None else active)
    return replace(EngineStatus(databases={"app": load}), **more)  # type: ignore[arg-type]


def after(status: EngineStatus, lately: Lately = NOTHING, before: Setup = CALM, now: Setup = CALM) -> Setup:
    return shed(now, before, status, lately)


def test_a_database_at_its_limit_closes_nothing() -> None:
    assert after(seen(LIMIT, queues=QUEUE), Lately(open={"app": LIMIT})) == CALM


def test_above_its_limit_it_closes_and_holds_one_place_back() -> None:
    shedding = after(seen(LIMIT + 1))
    assert (shedding.closing, shedding.held_back, shedding.hurried) == (APP, {"app": 1}, frozenset())


def test_of_the_limit_that_a_percentage_leaves() -> None:
    half = setup({"app": LIMIT}, material=material(config=config(database("app", max_percent=50))))
    assert after(seen(5), now=half).closing == APP
    assert after(seen(4), now=half).closing == frozenset()


def test_what_may_become_a_cancel_request_is_not_one_too_many() -> None:
    load = DatabaseLoad(open=LIMIT + 1, doubtful=1)
    assert after(EngineStatus(databases={"app": load})) == CALM


@pytest.mark.parametrize(
    ("active", "queues", "hurried"),
    [(LIMIT, QUEUE, True), (LIMIT - 1, QUEUE, False), (LIMIT, frozenset(), False)],
    ids=["more at work than may be", "enough are idle", "nobody waits"],
)
def test_it_hurries_where_clients_wait_and_nothing_idle_would_do(
    active: int, queues: frozenset[tuple[str, str]], hurried: bool
) -> None:
    assert after(seen(LIMIT + 2, active, queues=queues)).hurried == (APP if hurried else frozenset())


def test_it_goes_on_to_hurry_though_nobody_waits_just_now_until_enough_are_idle() -> None:
    hurrying = replace(CALM, closing=APP, hurried=APP, held_back={"app": LIMIT - 1})
    assert after(seen(LIMIT + 1), before=hurrying) == hurrying
    assert after(seen(LIMIT + 1, LIMIT - 1), before=hurrying).hurried == frozenset()


def test_what_hurries_opens_nothing_nor_does_it_before_the_server_has_ended_what_closed() -> None:
    hurrying = after(seen(LIMIT + 2, queues=QUEUE))
    assert hurrying.held_back == {"app": LIMIT - 1}
    calming = after(seen(LIMIT - 2), Lately(closing=APP, hurried=APP), before=hurrying)
    assert (calming.closing, calming.held_back) == (frozenset(), {"app": LIMIT - 1})
    assert after(seen(LIMIT - 2), before=calming) == CALM


def test_after_closing_without_a_hurry_one_place_is_held_back_until_the_server_has_ended_it() -> None:
    assert after(seen(LIMIT), Lately(closing=APP)).held_back == {"app": 1}
    assert after(seen(LIMIT), Lately()).held_back == {}


def test_where_a_user_has_more_than_his_part_what_frees_closes_and_one_place_is_held_back() -> None:
    shedding = after(seen(LIMIT, overdrawn=APP))
    assert (shedding.closing, shedding.held_back) == (APP, {"app": 1})


def test_a_users_part_waits_until_the_database_has_calmed_down() -> None:
    calming = after(seen(LIMIT - 2, overdrawn=APP), Lately(closing=APP, hurried=APP))
    assert (calming.closing, calming.held_back) == (frozenset(), {"app": LIMIT - 1})


def test_who_has_none_gets_the_place_that_was_freed_once_the_server_has_ended_it() -> None:
    starving = seen(LIMIT - 1, overdrawn=APP, starved=APP)
    ending = after(starving, Lately(open={"app": LIMIT}, closing=APP))
    assert (ending.closing, ending.held_back) == (APP, {"app": 1})
    ended = after(starving, Lately(open={"app": LIMIT - 1}, closing=APP), before=ending)
    assert (ended.closing, ended.held_back) == (frozenset(), {})


def test_where_there_is_no_room_for_who_has_none_what_frees_closes() -> None:
    starving = seen(LIMIT, overdrawn=APP, starved=APP)
    assert after(starving, Lately(open={"app": LIMIT})).closing == APP


def test_a_database_that_closes_tells_how_many_one_user_has_and_again_only_when_it_is_wrong() -> None:
    first = after(seen(LIMIT + 5, most_of_one={"app": 13}))
    assert first.most_of_one == {"app": 13}
    assert after(seen(LIMIT + 3, most_of_one={"app": 11}), before=first).most_of_one == {"app": 13}
    assert after(seen(LIMIT + 2, most_of_one={"app": 10}), before=first).most_of_one == {"app": 10}
    assert after(seen(LIMIT + 6, most_of_one={"app": 14}), before=first).most_of_one == {"app": 14}
    assert after(seen(LIMIT, most_of_one={"app": 8}), before=first).most_of_one == {}


def test_the_monitors_entry_and_what_has_no_limit_never_close() -> None:
    now = setup({"app": LIMIT, "pgpool_monitor": 1}, material=monitored("app"))
    names = frozenset({"pgpool_monitor", "gone"})
    loads = dict.fromkeys(names, DatabaseLoad(open=9, active=9))
    status = EngineStatus(databases=loads, overdrawn=names)
    assert shed(now, now, status, Lately(closing=names, hurried=names)) == now
