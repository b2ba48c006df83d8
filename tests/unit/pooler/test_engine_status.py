"""Rows as PgBouncer's SHOW commands give them."""

from typing import Any

from pgpool_pooler.engines.base import EngineStatus
from pgpool_pooler.engines.pgbouncer.status import engine_status

ZERO = dict.fromkeys(
    (
        "cl_active",
        "cl_waiting",
        "sv_active",
        "sv_active_cancel",
        "sv_being_canceled",
        "sv_idle",
        "sv_used",
        "sv_tested",
        "sv_login",
        "cl_waiting_cancel_req",
        "maxwait",
        "maxwait_us",
    ),
    0,
)


def pool(name: str, user: str, **counts: int) -> dict[str, Any]:
    return {"database": name, "user": user, **ZERO, **counts}


def db(name: str, current: int, *, paused: int = 0, disabled: int = 0) -> dict[str, Any]:
    return {"name": name, "current_connections": current, "paused": paused, "disabled": disabled}


WAIT = 250_000
"""Microseconds in the queue, which PgBouncer counts as a part of transaction and query."""


def totals(transactions: int, transaction_time: int, query_time: int) -> dict[str, int]:
    return {
        "total_xact_count": transactions,
        "total_xact_time": transaction_time,
        "total_query_time": query_time,
        "total_wait_time": WAIT,
    }


STATUS = engine_status(
    [
        db("app", 6),
        db("old", 1, paused=1, disabled=1),
        db("off", 0, disabled=1),
        db("halfway", 0, paused=1),
        db("pgpool_monitor", 1),
        db("pgbouncer", 0),
    ],
    [
        pool("app", "app", cl_active=3, cl_waiting=2, sv_active=3, sv_idle=1, maxwait=1, maxwait_us=500_000),
        pool("app", "report", cl_active=1, sv_login=2),
        pool("old", "app", sv_used=1),
        pool("pgpool_monitor", "seer", cl_active=1, cl_waiting=1, sv_active=1),
        pool("pgbouncer", "pgbouncer", cl_active=1),
    ],
    [
        {"database": "app", "avg_wait_time": 1, **totals(9, 2_500_000, 1_500_000)},
        {"database": "old", "avg_wait_time": 1, **totals(2, 500_000, 500_000)},
        {"database": "pgpool_monitor", **totals(100, 7_000_000, 7_000_000)},
        {"database": "pgbouncer", **totals(1000, 7_000_000, 7_000_000)},
    ],
    [{"key": "active", "value": "no"}, {"key": "paused", "value": "yes"}],
    700,
    {},
)


def test_connections_being_opened_count_as_open_but_not_as_usable() -> None:
    assert (STATUS.open, STATUS.usable) == (8, 5)
    assert STATUS.databases["app"].open == 6


def test_users_share_a_database_and_the_longest_wait_counts() -> None:
    app = STATUS.databases["app"]
    assert (app.active, app.clients, app.waiting, app.max_wait_seconds) == (3, 6, 2, 1.5)


def test_at_work_is_who_has_clients_and_a_connection_and_is_not_the_monitor() -> None:
    assert STATUS.at_work == {("app", "app")}
    assert STATUS.logged_in >= {("old", "app"), ("pgpool_monitor", "seer")}


def seen(current: int, *pools: dict[str, Any], part: int = 5) -> EngineStatus:
    """Of one database."""
    return engine_status([db("app", current)], pools, [], [], 0, {"app": part})


def test_a_user_with_more_than_his_part_overdraws_it() -> None:
    report = pool("app", "report", sv_active=4)
    assert seen(9, pool("app", "app", sv_active=5), report, part=4).overdrawn == {"app"}
    assert seen(8, pool("app", "app", sv_active=4), report, part=4).overdrawn == set()


def test_a_login_under_way_counts_and_a_cancel_request_does_not() -> None:
    assert seen(6, pool("app", "app", sv_active=5, sv_login=1)).overdrawn == {"app"}
    assert seen(8, pool("app", "app", sv_active=5, sv_active_cancel=3)).overdrawn == set()
    assert seen(8, pool("app", "app", sv_active=5, sv_active_cancel=3)).open == 5


def test_what_may_log_in_for_a_cancel_request_is_open_but_doubtful() -> None:
    """One to be closed for nothing costs clients; one overlooked would cost the budget."""
    either = pool("app", "app", sv_active=5, sv_login=1, cl_waiting_cancel_req=1)
    assert seen(6, either).overdrawn == set()
    assert (seen(6, either).open, seen(6, either).databases["app"].doubtful) == (6, 1)
    login = pool("app", "app", sv_active=5, sv_login=1)
    assert seen(6, login).databases["app"].doubtful == 0


def test_of_two_answers_that_differ_the_higher_count_holds() -> None:
    """The cancel request, or the connection, has come between them."""
    assert seen(5, pool("app", "app", sv_active=5, sv_active_cancel=1)).open == 5
    assert seen(4, pool("app", "app", sv_active=5)).open == 5


def test_only_where_a_part_is_in_force_somebody_has_more() -> None:
    assert engine_status([db("app", 9)], [pool("app", "app", sv_active=9)], [], [], 0, {}).overdrawn == set()


def test_who_waits_without_any_connection_starves() -> None:
    app = pool("app", "app", sv_active=5, cl_waiting=1)
    assert seen(5, app).starved == set()
    assert seen(5, app, pool("app", "report", cl_waiting=1)).starved == {"app"}
    assert seen(6, app, pool("app", "report", cl_waiting=1, sv_login=1)).starved == set()
    assert seen(5, app, pool("app", "report", cl_active=1)).starved == set()


def test_the_most_connections_of_one_user_are_told_of_each_database() -> None:
    assert STATUS.most_of_one == {"app": 4, "old": 1, "off": 0, "halfway": 0, "pgpool_monitor": 1}


def test_only_users_with_clients_are_a_crowd() -> None:
    assert STATUS.crowd == {"app": 2}


def test_a_database_is_retired_when_it_is_both_paused_and_disabled() -> None:
    assert STATUS.retired == {"old"}


def test_a_database_is_withheld_when_it_is_paused_or_disabled_whatever_the_whole_engine_is() -> None:
    assert STATUS.paused
    assert STATUS.withheld == {"old", "off", "halfway"}


def test_a_login_is_proven_by_a_usable_connection() -> None:
    assert STATUS.logged_in == {("app", "app"), ("old", "app"), ("pgpool_monitor", "seer")}


def test_work_is_that_of_the_clients_databases_without_the_time_in_the_queue() -> None:
    assert (STATUS.transactions, STATUS.busy_seconds, STATUS.query_seconds) == (11, 2.5, 1.5)


def test_the_monitors_connection_counts_and_its_clients_do_not() -> None:
    assert STATUS.databases["pgpool_monitor"].open == 1
    assert (STATUS.clients, STATUS.waiting) == (6, 2)
    assert STATUS.queues == {("app", "app")}


def test_the_console_itself_is_not_counted() -> None:
    assert set(STATUS.totals) == {"app", "old", "pgpool_monitor"}
    assert "avg_wait_time" not in STATUS.totals["app"]
    assert STATUS.paused


def test_the_most_clients_are_what_pgbouncer_was_told() -> None:
    assert STATUS.max_clients == 700
