import pytest

from pgpool_pooler.agent.sql import detects_dead_clients
from pgpool_pooler.contract import PoolMode

SET = {
    "client_connection_check_interval": ("1000", "0"),
    "tcp_keepalives_idle": ("3", "7200"),
    "tcp_keepalives_interval": ("1", "75"),
    "tcp_keepalives_count": ("3", "9"),
}


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
