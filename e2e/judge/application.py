"""An application: workers that write rows in transactions and remember each one that was acknowledged.

A connection that was closed while it was *idle* is opened again, as every connection pool of an application
does. The close may cross with a BEGIN on the wire: then nothing was started either. What was said is kept, as a
client that waited for its turn in vain is told so at the same place. What goes wrong after the server answered
BEGIN counts as a failure, and so does a login that is refused.
"""

import asyncio
import itertools
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from types import TracebackType

import psycopg

THINK_SECONDS = 0.02

_LAST_WORDS = ("client_idle_timeout", "server shutting down")
"""Of a PgBouncer that drains, to clients between two transactions; of one that ends, to those that begin one."""
_WITHOUT_A_WORD = re.compile(r"[a-z ]+ failed: server closed the connection unexpectedly\n")
"""libpq's, where it read the end of the connection and nothing before it."""


@dataclass
class Record:
    """What the application saw."""

    acknowledged: list[int] = field(default_factory=list)
    acknowledged_at: list[float] = field(default_factory=list)
    """When each was, by the monotonic clock."""
    failures: list[str] = field(default_factory=list)
    goodbyes: list[str] = field(default_factory=list)
    """What was said instead of an answer to BEGIN, as the connection was closed."""
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
        except psycopg.OperationalError as error:
            if not connection.closed:
                raise
            self._record.goodbyes.append(str(error))
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


def is_of_an_end(goodbye: str) -> bool:
    """Whether a pooler says so that ends, or nothing was said: it had closed the connection already."""
    return goodbye.startswith(_LAST_WORDS) or _WITHOUT_A_WORD.match(goodbye) is not None


def _closed_by_peer(connection: psycopg.AsyncConnection) -> bool:
    """Whether the pooler has said goodbye on the idle connection (libpq reads it without blocking)."""
    with suppress(psycopg.Error):
        connection.pgconn.consume_input()
        return connection.pgconn.status == psycopg.pq.ConnStatus.BAD
    return True
