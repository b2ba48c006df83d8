"""PgBouncer's admin console, over its unix socket.

The user `pgbouncer` needs no password there when it is the same system user (doc/usage.md). The console speaks
the simple query protocol only, which psycopg uses for a statement without parameters.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NoReturn, Protocol

import psycopg
from psycopg.rows import dict_row

from pgpool_pooler.engines.base import EngineError

ADMIN: Final = "pgbouncer"
TIMEOUT_SECONDS: Final = 5.0
_BLOCKING_GRACE_SECONDS: Final = 0.1

Row = Mapping[str, Any]


class Console(Protocol):
    """What the control code needs of a console."""

    async def rows(self, command: str) -> list[Row]:
        """Run a SHOW command. Raises EngineError."""

    async def run(self, command: str) -> None:
        """Run a command that answers at once. Raises EngineError, CommandRefused."""

    async def begin(self, command: str) -> None:
        """Issue a command that may answer late, and return. Raises EngineError, CommandRefused."""

    async def close(self) -> None:
        """Leave no connection behind: an open one keeps a PgBouncer alive that waits for its clients."""


class CommandRefused(EngineError):  # noqa: N818
    """PgBouncer answered a command with an error; the text is its own."""


class SocketConsole:
    """The console of a running PgBouncer; connects when it is first used, and again after an error."""

    def __init__(self, directory: Path, port: int) -> None:
        self._directory = directory
        self._port = port
        self._connection: psycopg.AsyncConnection[dict[str, Any]] | None = None
        self._spare: psycopg.AsyncConnection[dict[str, Any]] | None = None
        self._pending: set[asyncio.Task[None]] = set()

    async def rows(self, command: str) -> list[Row]:
        """See Console."""
        return await self._execute(command, fetch=True)

    async def run(self, command: str) -> None:
        """See Console."""
        await self._execute(command, fetch=False)

    async def begin(self, command: str) -> None:
        """See Console. The command stays in force when its connection ends."""
        task = asyncio.create_task(self._run_apart(command))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)
        done, _ = await asyncio.wait({task}, timeout=_BLOCKING_GRACE_SECONDS)
        if done:
            task.result()
        else:
            task.add_done_callback(_ignore_outcome)

    async def close(self) -> None:
        """See Console."""
        for task in self._pending:
            task.cancel()
        connections, self._connection, self._spare = (self._connection, self._spare), None, None
        for connection in connections:
            if connection is not None:
                await connection.close()

    async def _execute(self, command: str, *, fetch: bool) -> list[Row]:
        # Another command's timeout may close the connection meanwhile: this one then has no answer either.
        connection = self._connection
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                if connection is None:
                    connection = self._connection = await self._connect()
                    # Ready for a PAUSE that must not wait for a connection.
                    self._spare = self._spare or await self._connect()
                cursor = await connection.execute(command.encode())
                return list(await cursor.fetchall()) if fetch else []
        except (psycopg.Error, TimeoutError) as error:
            await self._after(error, connection)

    async def _after(
        self,
        error: psycopg.Error | TimeoutError,
        connection: psycopg.AsyncConnection[dict[str, Any]] | None,
    ) -> NoReturn:
        """Raise what an error of the connection means, and leave a connection that is broken."""
        if isinstance(error, psycopg.Error) and connection is not None and not connection.closed:
            raise CommandRefused(str(error).strip()) from error
        if self._connection is connection:
            self._connection = None
        if connection is not None:
            with contextlib.suppress(psycopg.Error):
                await connection.close()
        raise EngineError(f"PgBouncer's console: {str(error).strip() or 'no answer'}") from error

    async def _run_apart(self, command: str) -> None:
        connection, self._spare = self._spare, None
        try:
            if connection is None:
                connection = await self._connect()
            await connection.execute(command.encode())
        except psycopg.Error as error:
            if connection is None or connection.broken:
                raise EngineError(f"PgBouncer's console: {str(error).strip()}") from error
            raise CommandRefused(str(error).strip()) from error
        finally:
            if connection is not None:
                await self._put_back(connection)

    async def _put_back(self, connection: psycopg.AsyncConnection[dict[str, Any]]) -> None:
        if self._spare is None and not connection.closed:
            self._spare = connection
        else:
            await connection.close()

    async def _connect(self) -> psycopg.AsyncConnection[dict[str, Any]]:
        return await psycopg.AsyncConnection.connect(
            host=str(self._directory),
            port=self._port,
            user=ADMIN,
            dbname=ADMIN,
            autocommit=True,
            connect_timeout=int(TIMEOUT_SECONDS),
            row_factory=dict_row,
            prepare_threshold=None,
        )


def _ignore_outcome(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()


def identifier(name: str) -> str:
    """A database name as the console reads it."""
    return '"' + name.replace('"', '""') + '"'
