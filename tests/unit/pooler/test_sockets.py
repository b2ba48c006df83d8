"""Lines of /proc/net/tcp and tcp6 from Linux 6.18: of a client that closed, or was killed, while its packets were
dropped; 10.9.9.1 and fd00::9 on both sides."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from pgpool_operator.api.pgpool import Timeouts
from pgpool_pooler.agent.sockets import GIVEN_UP_SECONDS, count_unconfirmed, unconfirmed_ends
from pgpool_pooler.engines.pgbouncer.config import UNHEARD_SECONDS

SHORTEST_DEAD_PEER_SECONDS = 25

HEADER = (
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
    "                                                     \n"
)
REST = "00000001:00000000 04:00000010 00000000     0        0 0 2 00000000428f3d69 20 0 0 10 -1"
V4 = f"   1: 0109090A:BE0C 0109090A:1538 04 {REST}                         \n"
V6 = f"   2: 000000FD000000000000000009000000:95B0 000000FD000000000000000009000000:153A 04 {REST}\n"
MAPPED = f"   2: 0000000000000000FFFF00000109090A:CF5C 0000000000000000FFFF00000109090A:153B 04 {REST}\n"
OWN_PORTS = frozenset({5432, 9127})


def count(*lines: str, peers: tuple[str, ...] = ()) -> int:
    return count_unconfirmed([HEADER + "".join(lines)], OWN_PORTS, peers)


@pytest.mark.parametrize("line", [V4, V6, MAPPED])
def test_a_closed_connection_to_a_server_counts_until_it_has_left_the_table(line: str) -> None:
    assert count(line) == 1
    assert count() == 0


@pytest.mark.parametrize("state", ["04", "09", "0B"])
def test_what_is_closed_here_and_not_acknowledged_counts(state: str) -> None:
    assert count(V4.replace(" 04 0", f" {state} 0", 1)) == 1


@pytest.mark.parametrize("state", ["01", "02", "03", "05", "06", "07", "08", "0A", "0C"])
def test_what_is_open_or_acknowledged_does_not_count(state: str) -> None:
    assert count(V4.replace(" 04 0", f" {state} 0", 1)) == 0


@pytest.mark.parametrize("port", ["1538", "23A7"])
@pytest.mark.parametrize(("line", "ephemeral"), [(V4, "BE0C"), (V6, "95B0"), (MAPPED, "CF5C")])
def test_what_a_client_opened_does_not_count(line: str, ephemeral: str, port: str) -> None:
    assert count(line.replace(ephemeral, port)) == 0


@pytest.mark.parametrize(("line", "peer"), [(V4, "10.9.9.1"), (V6, "fd00::9"), (MAPPED, "10.9.9.1")])
def test_what_was_forwarded_to_another_pooler_does_not_count(line: str, peer: str) -> None:
    assert count(line, peers=("10.9.9.2", peer)) == 0
    assert count(line, peers=("10.9.9.2", "1.9.9.10")) == 1


@pytest.mark.parametrize(
    ("line", "address", "loopback"),
    [
        (V4, "0109090A:1538", "0100007F:1538"),
        (V6, "000000FD000000000000000009000000:153A", "00000000000000000000000001000000:153A"),
        (MAPPED, "FFFF00000109090A:153B", "FFFF00000100007F:153B"),
    ],
)
def test_what_stays_in_the_pod_does_not_count(line: str, address: str, loopback: str) -> None:
    assert count(line.replace(address, loopback)) == 0


def test_a_server_has_given_up_before_the_kernel_stops_telling_it_which_is_not_missed() -> None:
    Timeouts(dead_peer_seconds=SHORTEST_DEAD_PEER_SECONDS)
    with pytest.raises(ValidationError):
        Timeouts(dead_peer_seconds=SHORTEST_DEAD_PEER_SECONDS - 1)
    assert UNHEARD_SECONDS <= GIVEN_UP_SECONDS < SHORTEST_DEAD_PEER_SECONDS


def test_all_lines_of_both_tables_are_counted(tmp_path: Path) -> None:
    (tmp_path / "tcp").write_text(HEADER + V4 + V4.replace("   1:", "12345:"))
    (tmp_path / "tcp6").write_text(HEADER + V6 + MAPPED)
    assert unconfirmed_ends(OWN_PORTS, (), tmp_path) == 4


def test_a_table_that_is_not_there_has_none(tmp_path: Path) -> None:
    (tmp_path / "tcp").write_text(HEADER + V4)
    assert unconfirmed_ends(OWN_PORTS, (), tmp_path) == 1
