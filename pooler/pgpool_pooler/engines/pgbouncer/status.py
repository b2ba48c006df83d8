"""From the rows of PgBouncer's SHOW commands to an `EngineStatus`."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pgpool_pooler.contract import MONITOR_DATABASE
from pgpool_pooler.engines.base import DatabaseLoad, EngineStatus

from .console import ADMIN, Row

_USABLE: Final = ("sv_active", "sv_active_cancel", "sv_being_canceled", "sv_idle", "sv_used", "sv_tested")
_MICROSECONDS: Final = 1e6


def engine_status(
    databases: Sequence[Row],
    pools: Sequence[Row],
    totals: Sequence[Row],
    state: Sequence[Row],
    max_clients: int,
    parts: Mapping[str, int],
) -> EngineStatus:
    """SHOW DATABASES, SHOW POOLS, SHOW STATS and SHOW STATE in one.

    max_client_conn, and what each user may have in a database, are those in force.
    """
    own = [row for row in pools if row["database"] != ADMIN]
    names = [row for row in databases if row["name"] != ADMIN]
    served = [row for row in own if row["database"] != MONITOR_DATABASE]
    users = {row["name"]: [pool for pool in own if pool["database"] == row["name"]] for row in names}
    loads = {row["name"]: _load(row["current_connections"], users[row["name"]]) for row in names}
    with_clients = [row for row in served if _clients(row) > 0]
    ended = [row for row in totals if row["database"] not in (ADMIN, MONITOR_DATABASE)]
    return EngineStatus(
        databases=loads,
        paused=any(row["key"] == "paused" and row["value"] == "yes" for row in state),
        retired=frozenset(row["name"] for row in names if row["paused"] and row["disabled"]),
        # `paused` here is only PAUSE with this database's name (db_paused in PgBouncer's admin.c).
        withheld=frozenset(row["name"] for row in names if row["paused"] or row["disabled"]),
        crowd=dict(Counter(row["database"] for row in with_clients)),
        logged_in=frozenset((row["database"], row["user"]) for row in own if _usable(row) > 0),
        at_work=frozenset((row["database"], row["user"]) for row in with_clients if _usable(row) > 0),
        queues=frozenset((row["database"], row["user"]) for row in served if row["cl_waiting"] > 0),
        overdrawn=frozenset(name for name in users if name in parts and _overdrawn(users[name], parts[name])),
        starved=frozenset(row["database"] for row in served if row["cl_waiting"] > 0 and _opened(row) == 0),
        most_of_one={name: max(map(_opened, rows), default=0) for name, rows in users.items()},
        max_clients=max_clients,
        transactions=int(_sum(ended, "total_xact_count")),
        busy_seconds=_without_wait(ended, "total_xact_time"),
        query_seconds=_without_wait(ended, "total_query_time"),
        totals={row["database"]: _counters(row) for row in totals if row["database"] != ADMIN},
    )


def _overdrawn(users: Iterable[Row], part: int) -> bool:
    return any(_opened(row) - _doubtful(row) > part for row in users)


def _opened(pool: Row) -> int:
    return _usable(pool) - int(pool["sv_active_cancel"]) + int(pool["sv_login"])


def _doubtful(pool: Row) -> int:
    # PgBouncer says only after the login's first bytes which of the two it is.
    return min(int(pool["sv_login"]), int(pool["cl_waiting_cancel_req"]))


def _clients(pool: Row) -> int:
    return int(pool["cl_active"] + pool["cl_waiting"])


def _load(connections: int, pools: Sequence[Row]) -> DatabaseLoad:
    # Those that only carry cancel requests come on top, end at once and are no backends. The two commands were
    # answered one after the other: the higher of what they say.
    cancels = sum(int(row["sv_active_cancel"]) for row in pools)
    return DatabaseLoad(
        open=max(connections - cancels, sum(_opened(row) for row in pools)),
        doubtful=sum(_doubtful(row) for row in pools),
        usable=sum(_usable(row) for row in pools),
        active=sum(row["sv_active"] for row in pools),
        clients=sum(_clients(row) for row in pools),
        waiting=sum(row["cl_waiting"] for row in pools),
        max_wait_seconds=max(
            (row["maxwait"] + row["maxwait_us"] / _MICROSECONDS for row in pools), default=0.0
        ),
    )


def _without_wait(rows: Iterable[Row], column: str) -> float:
    """Seconds at the server: PgBouncer counts from when the client asks, so the queue is in its times (seen)."""
    rows = list(rows)
    return (_sum(rows, column) - _sum(rows, "total_wait_time")) / _MICROSECONDS


def _sum(rows: Iterable[Row], column: str) -> float:
    return sum(float(row[column]) for row in rows)


def _usable(pool: Row) -> int:
    return sum(int(pool[column]) for column in _USABLE)


def _counters(row: Row) -> dict[str, float]:
    return {name: float(value) for name, value in row.items() if name.startswith("total_")}
