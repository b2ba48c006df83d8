"""From the rows of PgBouncer's SHOW commands to an `EngineStatus`."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pgpool_pooler.contract import MONITOR_DATABASE
from pgpool_pooler.engines.base import DatabaseLoad, EngineStatus

from .console import ADMIN, Row

_USABLE: Final = ("sv_active", "sv_active_cancel", "sv_being_canceled", "sv_idle", "sv_used", "sv_tested")
_MICROSECONDS: Final = 1e6


@dataclass(frozen=True)
class Allowed:
    """Connections that a database may have in all, and each of its users."""

    in_all: int
    each_user: int


def engine_status(
    databases: Sequence[Row],
    pools: Sequence[Row],
    totals: Sequence[Row],
    state: Sequence[Row],
    max_clients: int,
    allowed: Mapping[str, Allowed],
) -> EngineStatus:
    """SHOW DATABASES, SHOW POOLS, SHOW STATS and SHOW STATE in one; max_client_conn and the limits in force."""
    own = [row for row in pools if row["database"] != ADMIN]
    names = [row for row in databases if row["name"] != ADMIN]
    served = [row for row in own if row["database"] != MONITOR_DATABASE]
    served_here = [row for row in served if row["database"] in allowed]
    with_clients = [row for row in served if row["cl_active"] + row["cl_waiting"] > 0]
    ended = [row for row in totals if row["database"] not in (ADMIN, MONITOR_DATABASE)]
    return EngineStatus(
        databases={
            row["name"]: _load(row["current_connections"], [p for p in own if p["database"] == row["name"]])
            for row in names
        },
        paused=any(row["key"] == "paused" and row["value"] == "yes" for row in state),
        retired=frozenset(row["name"] for row in names if row["paused"] and row["disabled"]),
        crowd=dict(Counter(row["database"] for row in with_clients)),
        logged_in=frozenset((row["database"], row["user"]) for row in own if _usable(row) > 0),
        queues=frozenset((row["database"], row["user"]) for row in served if row["cl_waiting"] > 0),
        excess=_excess(names, own, allowed),
        bystanders=any(0 < _opened(row) <= allowed[row["database"]].each_user for row in served_here),
        max_clients=max_clients,
        transactions=int(_sum(ended, "total_xact_count")),
        busy_seconds=_without_wait(ended, "total_xact_time"),
        query_seconds=_without_wait(ended, "total_query_time"),
        totals={row["database"]: _counters(row) for row in totals if row["database"] != ADMIN},
    )


def _excess(databases: Iterable[Row], pools: Sequence[Row], allowed: Mapping[str, Allowed]) -> dict[str, int]:
    excess = {}
    for row in databases:
        if (may := allowed.get(row["name"])) is None:
            continue
        users = [_opened(pool) for pool in pools if pool["database"] == row["name"]]
        above = sum(max(0, opened - may.each_user) for opened in users)
        excess[row["name"]] = max(row["current_connections"] - may.in_all, above)
    return {name: count for name, count in excess.items() if count > 0}


def _opened(pool: Row) -> int:
    """Without the connections that only carry cancel requests: they come on top and end at once."""
    return _usable(pool) - int(pool["sv_active_cancel"]) + int(pool["sv_login"])


def _load(open_: int, pools: Iterable[Row]) -> DatabaseLoad:
    pools = list(pools)
    return DatabaseLoad(
        open=open_,
        usable=sum(_usable(row) for row in pools),
        active=sum(row["sv_active"] for row in pools),
        clients=sum(row["cl_active"] + row["cl_waiting"] for row in pools),
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
