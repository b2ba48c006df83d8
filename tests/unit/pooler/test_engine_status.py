"""Rows as PgBouncer's SHOW commands give them."""

from collections.abc import Mapping
from typing import Any

from pgpool_pooler.engines.pgbouncer.status import Allowed, engine_status

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


def excess(current: int, allowed: Allowed, **users: int) -> Mapping[str, int]:
    """Of a database; with the connections of each user."""
    pools = [pool("app", user, sv_active=count) for user, count in users.items()]
    return engine_status([db("app", current)], pools, [], [], 0, {"app": allowed}).excess


def test_a_database_above_its_limit_has_that_much_in_excess() -> None:
    assert excess(8, Allowed(5, 5), app=8) == {"app": 3}
    assert excess(5, Allowed(5, 5), app=5) == {}


def test_users_above_their_part_are_in_excess_though_the_database_is_within_its_limit() -> None:
    assert excess(8, Allowed(8, 4), app=7, report=1) == {"app": 3}
    assert excess(9, Allowed(8, 2), app=6, report=3) == {"app": 5}


def test_who_has_no_more_than_his_part_is_a_bystander_and_the_monitor_is_none() -> None:
    def bystanders(*pools: dict[str, Any]) -> bool:
        allowed = {"app": Allowed(8, 4), "b": Allowed(2, 2), "pgpool_monitor": Allowed(1, 1)}
        return engine_status([], pools, [], [], 0, allowed).bystanders

    above, monitor = pool("app", "app", sv_active=5), pool("pgpool_monitor", "seer", sv_idle=1)
    assert not bystanders(above, monitor, pool("app", "report"))
    assert bystanders(above, monitor, pool("app", "report", sv_idle=1))
    assert bystanders(above, monitor, pool("b", "app", sv_active=2))


def test_a_login_under_way_may_be_in_excess_and_a_cancel_request_is_not() -> None:
    pools = [pool("app", "app", sv_active=4, sv_login=1, sv_active_cancel=3)]
    status = engine_status([db("app", 5)], pools, [], [], 0, {"app": Allowed(8, 4)})
    assert status.excess == {"app": 1}


def test_only_users_with_clients_are_a_crowd() -> None:
    assert STATUS.crowd == {"app": 2}


def test_a_database_is_retired_when_it_is_both_paused_and_disabled() -> None:
    assert STATUS.retired == {"old"}


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
