"""An application in a thread of its own: what PostgreSQL acknowledged to it has to be there at the end."""

import asyncio
import threading
import time
from collections.abc import Callable
from types import TracebackType

from e2e.judge.application import Application, Record
from e2e.world import Postgres

WORKERS = 6


class Writers:
    """`with Writers(dsn) as record:` writes rows through a pool until the block ends."""

    def __init__(self, dsn: Callable[[], str]) -> None:
        # Ids that no other run has: the table is not emptied in between.
        self._application = Application(dsn, WORKERS, first_id=time.time_ns())
        self._record = Record()
        self._started, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._write()), name="writers", daemon=True
        )

    def __enter__(self) -> Record:
        self._thread.start()
        self._started.wait()
        return self._record

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    async def _write(self) -> None:
        async with self._application as self._record:
            self._started.set()
            await asyncio.to_thread(self._stop.wait)


def missing(database: Postgres, record: Record) -> list[int]:
    """The rows that were acknowledged and are not there."""
    rows = database.query("SELECT id FROM judged WHERE id = ANY(%s)", (record.acknowledged,))
    return sorted(set(record.acknowledged) - {row[0] for row in rows})
