"""The agent's SQL. It goes through the pod's own engine, as a client, so that it costs no connection of its own."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg
from psycopg import pq
from psycopg.rows import dict_row

from pgpool_pooler.contract import PoolMode, ServerIdentity
from pgpool_pooler.engines.base import User

from .reach import Answer

QUERY_SECONDS: Final = 10.0
WARM_SECONDS: Final = 3.0
_WARM_AT_MOST: Final = 32
_ASK_AT_MOST: Final = 4
_TOGETHER_SECONDS: Final = 0.3
"""How long an answer is held for the others to come: where clients wait, a backend is not kept from them longer."""
_PING_SECONDS: Final = 2
"""The least that libpq allows."""
_PING_NAME: Final = "postgres"
_DETECTION: Final = {
    "client_connection_check_interval": 1000,
    "tcp_keepalives_idle": 3,
    "tcp_keepalives_interval": 1,
    "tcp_user_timeout": 20_000,
}
"""At most, in pg_settings' units (milliseconds, seconds, seconds, milliseconds); 0 is never. What the engine's
connect_query sets is within."""
_IDENTITY: LiteralString = """
SELECT coalesce(host(inet_server_addr()), '') AS address,
       coalesce(inet_server_port(), current_setting('port')::int) AS port,
       pg_postmaster_start_time() AS started_at,
       split_part(current_setting('server_version'), ' ', 1) AS version,
       clock_timestamp() AS asked_at,
       current_setting('max_connections')::int AS max_connections,
       current_setting('superuser_reserved_connections')::int
         + coalesce(current_setting('reserved_connections', true), '0')::int AS reserved_connections,
       pg_is_in_recovery() AS in_recovery,
       coalesce(host(inet_client_addr()), '') AS client_address,
       (SELECT jsonb_object_agg(name, jsonb_build_array(setting, reset_val)) FROM pg_settings
         WHERE name IN ('client_connection_check_interval', 'tcp_keepalives_idle', 'tcp_keepalives_interval',
                        'tcp_user_timeout')) AS detection
"""


@dataclass(frozen=True)
class Access:
    """How the agent logs in to its own engine."""

    directory: Path
    port: int
    user: User
    database: str

    async def connect(self) -> psycopg.AsyncConnection[dict[str, Any]]:
        """A connection; it may wait in the engine's queue as any client's."""
        return await psycopg.AsyncConnection.connect(
            host=str(self.directory),
            port=self.port,
            user=self.user.name,
            password=self.user.password,
            dbname=self.database,
            application_name="pgpool-agent",
            autocommit=True,
            prepare_threshold=None,
            row_factory=dict_row,
        )


async def identify(access: Access, mode: PoolMode, count: int, seconds: float) -> tuple[ServerIdentity, ...]:
    """Ask the server who it is; several answers if several servers are behind its address.

    `seconds`: how long an answer may take, the wait in the engine's queue included.

    Asked over up to four of the `count` backends that the pool may have, each by itself. Who answers first waits a
    moment for the others; where clients queue, answers may still come up to `seconds` apart, so one of a server
    that has gone meanwhile may be among them. Raises psycopg.Error, TimeoutError if none answers.
    """
    asked = max(1, min(count, _ASK_AT_MOST))
    together = asyncio.Barrier(asked)

    async def ask() -> ServerIdentity:
        async with (
            asyncio.timeout(seconds),
            await access.connect() as connection,
            connection.transaction(),
        ):
            cursor = await connection.execute(_IDENTITY)
            row = await cursor.fetchone()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TOGETHER_SECONDS):
                    await together.wait()
        if row is None:
            raise psycopg.DataError("the server answered its identity with no row")
        detection = row.pop("detection")
        return ServerIdentity(**row, detects_dead_clients=detects_dead_clients(detection, mode))

    return distinct(await asyncio.gather(*(ask() for _ in range(asked)), return_exceptions=True))


def distinct(answers: Sequence[ServerIdentity | BaseException]) -> tuple[ServerIdentity, ...]:
    """The servers among the answers, the newest start first; raises the error if nobody answered.

    A server notices dead clients if each of its backends does that answered: what is set on one may be undone.
    """
    found: dict[tuple[str, int, datetime], ServerIdentity] = {}
    for answer in answers:
        if isinstance(answer, ServerIdentity):
            server = answer.address, answer.port, answer.started_at
            detects = answer.detects_dead_clients and found.get(server, answer).detects_dead_clients
            found[server] = answer.model_copy(update={"detects_dead_clients": detects})
    if not found:
        raise next(answer for answer in answers if isinstance(answer, BaseException))
    return tuple(found[key] for key in sorted(found, key=lambda key: (key[2], key[0], key[1]), reverse=True))


def detects_dead_clients(settings: Mapping[str, tuple[str, str]], mode: PoolMode) -> bool:
    """Whether the server notices within seconds that its client is gone.

    Args:
        settings: name -> (value now, value after RESET).
        mode: of the database. In session mode PgBouncer's DISCARD ALL brings the second value back after each
            session, so only what the role or the server sets counts.

    """
    column = 1 if mode is PoolMode.SESSION else 0
    actual = {name: int(values[column]) for name, values in settings.items()}
    return all(0 < actual.get(name, 0) <= longest for name, longest in _DETECTION.items())


async def warm(access: Access, count: int) -> None:
    """Make the engine open `count` connections, as far as that goes in a few seconds; errors do not matter."""
    opened = asyncio.Event()
    waiting = min(count, _WARM_AT_MOST)

    async def hold_one() -> None:
        nonlocal waiting
        async with await access.connect() as connection, connection.transaction():
            await connection.execute("SELECT 1")
            waiting -= 1
            if waiting == 0:
                opened.set()
            await opened.wait()

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(WARM_SECONDS):
            await asyncio.gather(*(hold_one() for _ in range(waiting)), return_exceptions=True)


async def ping(host: str, port: int) -> Answer:
    """What a PostgreSQL at this address says to a connection (libpq's PQping; nobody logs in)."""
    conninfo = psycopg.conninfo.make_conninfo(
        host=host,
        port=port,
        connect_timeout=_PING_SECONDS,
        # Its socket is no backend's: until it is gone, it would be taken for an end that the server does not know.
        tcp_user_timeout=_PING_SECONDS * 1000,
        sslmode="prefer",
        gssencmode="disable",
        # No login is made, but libpq wants names, and finds none for a system user without an entry.
        user=_PING_NAME,
        dbname=_PING_NAME,
    )
    answer = await asyncio.to_thread(pq.PGconn.ping, conninfo.encode())
    return {pq.Ping.OK: Answer.ACCEPTS, pq.Ping.REJECT: Answer.REJECTS}.get(pq.Ping(answer), Answer.SILENT)
