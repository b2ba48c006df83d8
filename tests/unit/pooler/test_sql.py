from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict

from pgpool_pooler.agent.reach import Answer
from pgpool_pooler.agent.sql import detects_dead_clients, distinct, ping
from pgpool_pooler.contract import PoolMode, ServerIdentity
from pgpool_pooler.engines.pgbouncer.config import (
    CLIENT_CHECK_INTERVAL,
    KEEPALIVE_IDLE,
    KEEPALIVE_INTERVAL,
    UNHEARD_SECONDS,
)

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

SET = {
    "client_connection_check_interval": (CLIENT_CHECK_INTERVAL.removesuffix("ms"), "0"),
    "tcp_keepalives_idle": (str(KEEPALIVE_IDLE), "7200"),
    "tcp_keepalives_interval": (str(KEEPALIVE_INTERVAL), "75"),
    "tcp_user_timeout": (str(1000 * UNHEARD_SECONDS), "0"),
}
"""What the engine sets, as pg_settings has it: setting, reset_val."""


def test_what_connect_query_sets_counts_in_transaction_mode() -> None:
    assert detects_dead_clients(SET, PoolMode.TRANSACTION)


def test_in_session_mode_only_what_survives_a_reset_counts() -> None:
    assert not detects_dead_clients(SET, PoolMode.SESSION)
    by_role = {name: (now, now) for name, (now, _) in SET.items()}
    assert detects_dead_clients(by_role, PoolMode.SESSION)


@pytest.mark.parametrize("name", SET)
def test_a_server_without_one_of_them_does_not_count(name: str) -> None:
    assert not detects_dead_clients(
        {key: value for key, value in SET.items() if key != name}, PoolMode.TRANSACTION
    )
    assert not detects_dead_clients(SET | {name: ("0", "0")}, PoolMode.TRANSACTION)


@pytest.mark.parametrize("name", ["tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_user_timeout"])
def test_a_server_that_notices_later_than_the_engine_asks_it_to_does_not_count(name: str) -> None:
    later = SET | {name: (str(int(SET[name][0]) + 1), "0")}
    assert not detects_dead_clients(later, PoolMode.TRANSACTION)


@pytest.mark.parametrize(("interval", "counts"), [("1", True), ("1000", True), ("1001", False), ("0", False)])
def test_a_server_that_looks_at_least_each_second_counts(interval: str, counts: bool) -> None:
    looking = SET | {"client_connection_check_interval": (interval, "0")}
    assert detects_dead_clients(looking, PoolMode.TRANSACTION) is counts


def answer(address: str, started_at: datetime = NOON, asked_at: datetime = NOON) -> ServerIdentity:
    return ServerIdentity(
        address=address,
        port=5432,
        started_at=started_at,
        version="17.6",
        max_connections=100,
        reserved_connections=3,
        in_recovery=False,
        client_address="10.1.0.7",
        detects_dead_clients=True,
        asked_at=asked_at,
    )


def test_one_server_that_answers_over_several_backends_is_one() -> None:
    later = NOON + timedelta(milliseconds=3)
    [one] = distinct([answer("10.0.0.1"), answer("10.0.0.1", asked_at=later)])
    assert one.address == "10.0.0.1"


@pytest.mark.parametrize("detects", [(True, False), (False, True)])
def test_a_server_of_which_one_backend_lost_its_settings_does_not_count(detects: tuple[bool, ...]) -> None:
    said = [answer("10.0.0.1").model_copy(update={"detects_dead_clients": does}) for does in detects]
    assert [one.detects_dead_clients for one in distinct(said)] == [False]


def test_of_several_servers_at_one_address_the_newest_comes_first() -> None:
    newer = answer("10.0.0.2", started_at=NOON + timedelta(hours=1))
    assert distinct([answer("10.0.0.1"), newer, answer("10.0.0.1")]) == (newer, answer("10.0.0.1"))


def test_an_answer_counts_although_another_backend_gave_none() -> None:
    assert distinct([TimeoutError(), answer("10.0.0.1")]) == (answer("10.0.0.1"),)


def test_no_answer_is_the_error_that_it_was() -> None:
    with pytest.raises(psycopg.OperationalError, match="no route"):
        distinct([psycopg.OperationalError("no route")])


async def test_a_ping_leaves_no_socket_that_waits_longer_than_the_ping(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would be taken for the end of a backend that the server does not know of."""
    asked: list[bytes] = []

    class Silent:
        @staticmethod
        def ping(told: bytes) -> pq.Ping:
            asked.append(told)
            return pq.Ping.NO_RESPONSE

    monkeypatch.setattr(pq, "PGconn", Silent)
    assert await ping("10.0.0.1", 5432) is Answer.SILENT
    [told] = map(conninfo_to_dict, map(bytes.decode, asked))
    assert int(str(told["tcp_user_timeout"])) == 1000 * int(str(told["connect_timeout"]))
