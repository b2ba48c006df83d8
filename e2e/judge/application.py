"""An application: workers that write rows in transactions and remember each one that was acknowledged.

A connection that was closed while it was *idle* is opened again, as every connection pool of an application
does (the close may cross with a BEGIN on the wire: then nothing was started either). What goes wrong after the
server answered BEGIN counts as a failure, and so does a login that is refused.
"""

import asyncio
import itertools
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from types import TracebackType

import psycopg

THINK_SECONDS = 0.02


@dataclass
class Record:
    """What the application saw."""

    acknowledged: list[int] = field(default_factory=list)
    acknowledged_at: list[float] = field(default_factory=list)
    """When each was, by the monotonic clock."""
    failures: list[str] = field(default_factory=list)
    reconnects: int = 0
    slowest: float = 0.0
    """Seconds that the slowest transaction took, waiting included."""

    def silence(self, since: float, until: float) -> float:
        """The longest part of that time, in seconds, in which nothing was acknowledged."""
        heard = [at for at in self.acknowledged_at if since < at < until]
        return max(later - earlier for earlier, later in pairwise([since, *heard, until]))


class Application:
    """`async with Application(conninfo, workers=10) as record:` runs the workers until the block ends."""

    def __init__(self, conninfo: Callable[[], str], workers: int, first_id: int = 0) -> None:
        self._conninfo = conninfo
        self._workers = workers
        self._ids = itertools.count(first_id)
        self._record = Record()
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Record:
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self._workers)]
        return self._record

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        await asyncio.gather(*self._tasks)

    async def _work(self) -> None:
        connection: psycopg.AsyncConnection | None = None
        while not self._stop.is_set():
            if connection is None or connection.closed or _closed_by_peer(connection):
                connection = await self._connect(connection)
            if connection is not None:
                await self._transaction(connection)
            await asyncio.sleep(THINK_SECONDS)
        if connection is not None:
            await connection.close()

    async def _connect(self, old: psycopg.AsyncConnection | None) -> psycopg.AsyncConnection | None:
        if old is not None:
            self._record.reconnects += 1
            await old.close()
        try:
            return await psycopg.AsyncConnection.connect(self._conninfo(), autocommit=True)
        except psycopg.Error as error:
            self._record.failures.append(f"connect: {error}")
            return None

    async def _transaction(self, connection: psycopg.AsyncConnection) -> None:
        number, started = next(self._ids), asyncio.get_running_loop().time()
        try:
            await connection.execute("BEGIN")
        except psycopg.OperationalError:
            if not connection.closed:
                raise
            return
        try:
            await connection.execute("INSERT INTO judged (id) VALUES (%s)", (number,))
            await connection.execute("COMMIT")
        except psycopg.Error as error:
            self._record.failures.append(f"transaction {number}: {error}")
            await connection.close()
            return
        ended = asyncio.get_running_loop().time()
        self._record.acknowledged.append(number)
        self._record.acknowledged_at.append(ended)
        took = ended - started
        self._record.slowest = max(self._record.slowest, took)


def _closed_by_peer(connection: psycopg.AsyncConnection) -> bool:
    """Whether the pooler has said goodbye on the idle connection (libpq reads it without blocking)."""
    with suppress(psycopg.Error):
        connection.pgconn.consume_input()
        return connection.pgconn.status == psycopg.pq.ConnStatus.BAD
    return True
