"""Clients survive: what was started ends, what was acknowledged is there, whatever happens to the poolers."""

import asyncio
import time
from collections.abc import Callable

import psycopg
import pytest

from e2e.conftest import MakePool
from e2e.judge.application import Application, Record, is_of_an_end
from e2e.kube import eventually
from e2e.world import Pool, Postgres

WORKERS = 20
THINK_AFTER_SECONDS = 3.0
ROWS, ROW_BYTES = 50_000, 1_000
"""More than what fits into the buffers on the way."""
PAUSE_SECONDS = 12.0


@pytest.fixture
def judged(database: Postgres) -> Callable[[Record], list[int]]:
    """Names the acknowledged rows that are not in the table; the table is empty before."""
    database.query("TRUNCATE judged")

    def missing(record: Record) -> list[int]:
        rows = {number for (number,) in database.query("SELECT id FROM judged")}
        return sorted(set(record.acknowledged) - rows)

    return missing


def scale_out(pool: Pool) -> None:
    pool.patch({"write": {"replicas": 4}})


def scale_in(pool: Pool) -> None:
    pool.patch({"write": {"replicas": 1}})


def roll_out(pool: Pool) -> None:
    pool.roll_out()


def change_a_parameter(pool: Pool) -> None:
    pool.patch({"pgbouncer": {"parameters": {"server_idle_timeout": 120}}})


CHANGES = [scale_out, scale_in, roll_out, change_a_parameter]


async def settle(pool: Pool) -> None:
    await asyncio.to_thread(pool.wait_serving)
    await asyncio.sleep(THINK_AFTER_SECONDS)


@pytest.mark.parametrize("change", CHANGES, ids=[change.__name__ for change in CHANGES])
async def test_no_transaction_fails_while_the_poolers_change(
    make_pool: MakePool, judged: Callable[[Record], list[int]], change: Callable[[Pool], None]
) -> None:
    pool = make_pool(timeouts={"drainSeconds": 10})
    dsn = pool.dsn()
    async with Application(lambda: dsn, WORKERS) as record:
        await asyncio.sleep(THINK_AFTER_SECONDS)
        await asyncio.to_thread(change, pool)
        await settle(pool)
    print(  # noqa: T201
        f"{change.__name__}: {len(record.acknowledged)} transactions, {record.reconnects} reconnects, "
        f"{len(record.goodbyes)} at a BEGIN, slowest {record.slowest:.2f} s"
    )
    assert record.failures == []
    assert unknown(record.goodbyes) == []
    assert len(record.acknowledged) > WORKERS
    assert judged(record) == []


async def test_a_new_password_fails_no_connected_client_and_is_accepted_everywhere_in_the_end(
    make_pool: MakePool, database: Postgres, judged: Callable[[Record], list[int]]
) -> None:
    pool = make_pool(read=None)
    dsn = pool.dsn()
    async with Application(lambda: dsn, WORKERS) as record:
        await asyncio.sleep(THINK_AFTER_SECONDS)
        await asyncio.to_thread(set_password, database, "another-sample-password")
        for pod in pool.pods("write"):
            address = pod["status"]["podIP"]
            await asyncio.to_thread(accepted_at, address, pool.dsn())
        await settle(pool)
    await asyncio.to_thread(set_password, database, SAMPLE_PASSWORD)
    assert record.failures == []
    assert unknown(record.goodbyes) == []
    assert len(record.acknowledged) > WORKERS
    assert judged(record) == []


def test_a_client_may_pause_in_the_middle_of_a_result(make_pool: MakePool) -> None:
    pool = make_pool(read=None)
    with psycopg.connect(pool.dsn()) as connection, connection.cursor() as cursor:
        rows = cursor.stream(f"SELECT repeat('x', {ROW_BYTES}) FROM generate_series(1, {ROWS})")
        next(rows)
        time.sleep(PAUSE_SECONDS)
        assert sum(1 for _ in rows) == ROWS - 1


def unknown(goodbyes: list[str]) -> list[str]:
    """What no pooler says that drains: clients who waited were told that they did in vain."""
    return [goodbye for goodbye in goodbyes if not is_of_an_end(goodbye)]


SAMPLE_PASSWORD = "sample-app-password"


def set_password(database: Postgres, password: str) -> None:
    """In the database and in the Secret, as whoever rotates it does."""
    database.query(f"ALTER ROLE \"main-app\" PASSWORD '{password}'")
    database.kubectl.patch("secret", "main-app", {"stringData": {"password": password}})


def accepted_at(address: str, dsn: str) -> None:
    """Wait until the pod at this address takes the password of `dsn`, and passes it on."""

    def login() -> bool:
        try:
            with psycopg.connect(f"{dsn} host={address}", autocommit=True) as connection:
                return connection.execute("SELECT 1").fetchone() == (1,)
        except psycopg.OperationalError:
            return False

    eventually(f"{address} accepts the new password", login)
