"""What the pool's backends do while clients wait: whether it is a CPU, the disk or a lock that holds them up."""

import asyncio
from typing import Final, LiteralString

from pgpool_pooler.contract import MONITOR_DATABASE, Activity
from pgpool_pooler.engines.base import Material

from .sql import QUERY_SECONDS, Access

LOOK_SECONDS: Final = 2.0
"""From one look to the next."""
TRY_SECONDS: Final = 10.0
"""From one try to the next of a monitor that was refused: servers may count failed logins."""
CHECK_SECONDS: Final = 60.0
"""From one look of a monitor to the next while nobody waits, so that it is told when it is refused."""
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

    def activity(self, now: float) -> Activity | None:
        """What was seen last, with its age; None once it is too old."""
        age = now - self._seen_at
        if self._seen is None or age > KEEP_SECONDS:
            return None
        return self._seen.model_copy(update={"age_seconds": age})

    def _to_be_tried(self, access: Access, now: float) -> bool:
        shown = access == self._worked and now - self._seen_at < CHECK_SECONDS
        return access.database == MONITOR_DATABASE and not shown
