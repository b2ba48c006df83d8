"""What the pool's backends do while clients wait: whether it is a CPU, the disk or a lock that holds them up."""

import asyncio
from dataclasses import dataclass
from typing import Final, LiteralString

from pgpool_pooler.contract import MONITOR_DATABASE, Activity, Backends
from pgpool_pooler.engines.base import Material

from .sql import QUERY_SECONDS, Access

LOOK_SECONDS: Final = 2.0
"""From one look to the next."""
TRY_SECONDS: Final = 10.0
"""From one try to the next of a monitor that was refused: servers may count failed logins."""
CHECK_SECONDS: Final = 60.0
"""From one look of a monitor to the next while nobody waits, so that it is told when it is refused."""
COUNT_SECONDS: Final = 3.0
"""From one count of the server's backends to the next, by a monitor."""
ADDRESSES_AT_MOST: Final = 128
KEEP_SECONDS: Final = 15.0
"""How long a look says something about now."""
_COUNT: LiteralString = """
SELECT class, count(*)::int AS backends FROM (
  SELECT CASE WHEN state IN ('idle in transaction', 'idle in transaction (aborted)') THEN 'held'
              WHEN state = 'idle' THEN 'idle'
              WHEN state NOT IN ('active', 'fastpath function call') OR state IS NULL THEN 'unseen'
              WHEN wait_event_type IS NULL THEN 'cpu'
              WHEN wait_event_type = 'IO' THEN 'io'
              WHEN wait_event_type = 'Lock' THEN 'lock'
              ELSE 'other' END AS class
    FROM pg_catalog.pg_stat_activity
   WHERE usename = ANY(%(users)s) AND datname = ANY(%(databases)s) AND pid <> pg_backend_pid()
     AND coalesce(backend_type, 'client backend') = 'client backend') AS classified
 GROUP BY class
"""
"""To a login that is neither superuser nor in pg_read_all_stats, PostgreSQL shows of other roles' backends no
state, no wait event and no backend_type (pgstatfuncs.c; seen in 17): their parallel workers count as unseen too."""

_BY_ADDRESS: LiteralString = """
SELECT host(client_addr) AS address, count(*)::int AS backends,
       (SELECT coalesce(bool_or(pg_catalog.pg_has_role(oid, 'USAGE')), false)
          FROM pg_catalog.pg_roles WHERE rolname = 'pg_read_all_stats') AS sees_all
  FROM pg_catalog.pg_stat_activity
 WHERE pid = pg_backend_pid() OR (client_addr IS NOT NULL AND backend_type = 'client backend')
 GROUP BY client_addr ORDER BY backends DESC, client_addr LIMIT %(limit)s
"""
"""The login's own backend is always there to say whether it sees all: pg_stat_get_activity shows client_addr and
backend_type only to members of pg_read_all_stats and to superusers, which has_privs_of_role takes for members."""


async def count_by_address(access: Access) -> Backends:
    """Count all client backends of the server by where they come from. Raises psycopg.Error, TimeoutError."""
    async with asyncio.timeout(QUERY_SECONDS), await access.connect() as connection:
        rows = await (await connection.execute(_BY_ADDRESS, {"limit": ADDRESSES_AT_MOST + 1})).fetchall()
    told = rows[:ADDRESSES_AT_MOST]
    return Backends(
        age_seconds=0.0,
        complete=0 < len(rows) <= ADDRESSES_AT_MOST and all(row["sees_all"] for row in rows),
        by_address={row["address"]: row["backends"] for row in told if row["address"] is not None},
    )


async def count_backends(access: Access, material: Material) -> Activity:
    """Count the pool's backends, those of all pods, by what they do. Raises psycopg.Error, TimeoutError."""
    names = {
        "users": [user.name for user in material.users],
        "databases": [database.dbname for database in material.config.databases],
    }
    async with asyncio.timeout(QUERY_SECONDS), await access.connect() as connection:
        rows = await (await connection.execute(_COUNT, names)).fetchall()
    return Activity(age_seconds=0.0, **{row["class"]: row["backends"] for row in rows})


class Looks:
    """When to look at one server's backends, and what was seen last."""

    def __init__(self) -> None:
        self._next = 0.0
        self._worked: Access | None = None
        self._seen: Activity | None = None
        self._seen_at = 0.0

    def due(self, access: Access, now: float, *, waiting: bool) -> bool:
        """Whether to look: while clients wait, and when the monitor has to show that it can."""
        return now >= self._next and (waiting or self._to_be_tried(access, now))

    def began(self, access: Access, now: float) -> None:
        """A look is under way."""
        self._next = now + (TRY_SECONDS if self._to_be_tried(access, now) else LOOK_SECONDS)

    def took(self, access: Access, seen: Activity, now: float) -> None:
        """A look had this result."""
        self._worked, self._seen, self._seen_at = access, seen, now
        self._next = min(self._next, now + LOOK_SECONDS)

    def failed(self) -> None:
        """A look had no result."""
        self._worked = None

    def worked(self, access: Access) -> bool:
        """Whether the last look was made with this access, and had a result."""
        return access == self._worked

    def activity(self, now: float) -> Activity | None:
        """What was seen last, with its age; None once it is too old."""
        age = now - self._seen_at
        if self._seen is None or age > KEEP_SECONDS:
            return None
        return self._seen.model_copy(update={"age_seconds": age})

    def _to_be_tried(self, access: Access, now: float) -> bool:
        shown = access == self._worked and now - self._seen_at < CHECK_SECONDS
        return access.database == MONITOR_DATABASE and not shown


@dataclass
class Counts:
    """When the monitor counts one server's backends, and what it counted last."""

    _next: float = 0.0
    _counted: Backends | None = None
    _asked_at: float = 0.0

    def due(self, now: float) -> bool:
        """Whether to count."""
        return now >= self._next

    def began(self, now: float) -> None:
        """A count is under way; until it has a result, nothing else will do so soon."""
        self._next = now + TRY_SECONDS

    def took(self, counted: Backends, asked_at: float, now: float) -> None:
        """A count that was begun at `asked_at` had this result."""
        self._counted, self._asked_at, self._next = counted, asked_at, now + COUNT_SECONDS

    def failed(self) -> None:
        """A count had no result."""
        self._counted = None

    def backends(self, now: float) -> Backends | None:
        """What was counted last, with its age; None once it is too old."""
        age = now - self._asked_at
        if self._counted is None or age > KEEP_SECONDS:
            return None
        return self._counted.model_copy(update={"age_seconds": age})
