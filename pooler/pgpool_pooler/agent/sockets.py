"""Whether a server's kernel knows of the connections that the engine closed, by the kernel's tables of sockets.

The pod has one network namespace, so the agent sees the engine's sockets, after the engine has died too. A socket
that was closed is in one of UNCONFIRMED until the other side has acknowledged its end. While the network between
them is cut it is not, and PostgreSQL keeps the backend until it has heard nothing for UNHEARD_SECONDS.

The kernel waits as long as the socket's TCP_USER_TIMEOUT, whether its process lives or not (tcp_write_timeout and
tcp_probe_timer in Linux's net/ipv4/tcp_timer.c; with 25 s and the process killed, 25.3 s, seen). That is the
engine's tcp_user_timeout, timeouts.deadPeerSeconds, which is longer than UNHEARD_SECONDS: what has left the table,
the server knows of or has given up itself.

Not seen: an end by RST, which nobody acknowledges, where data had arrived that the engine had not read (seen); and
what a kernel gives up earlier that is out of memory for TCP or has more than net.ipv4.tcp_max_orphans.
"""

import re
import struct
from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final

UNCONFIRMED: Final = ("04", "09", "0B")
"""FIN_WAIT1, LAST_ACK and CLOSING, as the tables have them (include/net/tcp_states.h)."""
GIVEN_UP_SECONDS: Final = 20.0
"""What was not confirmed for so long, the kernel may have given up telling: deadPeerSeconds is 25 or more. The
server has then given up itself only where it was told UNHEARD_SECONDS, which it is not in session mode: there, what
the backend had is not given back any more."""
_TABLES: Final = ("tcp", "tcp6")
_PROC_NET: Final = Path("/proc/net")
_LINE: Final = re.compile(
    rf"^ *\d+: [0-9A-F]+:([0-9A-F]{{4}}) ([0-9A-F]+):[0-9A-F]{{4}} (?:{'|'.join(UNCONFIRMED)}) ", re.MULTILINE
)
"""The local port and the remote address; one pass over the text, because each client of the pod has a line too."""


def unconfirmed_ends(own_ports: Collection[int], peers: Collection[str], proc_net: Path = _PROC_NET) -> int:
    """Closed connections to servers that have not confirmed it, now; a table that is not there (IPv6) has none."""
    return count_unconfirmed((_read(proc_net / name) for name in _TABLES), own_ports, peers)


def count_unconfirmed(tables: Iterable[str], own_ports: Collection[int], peers: Collection[str]) -> int:
    """The same, in the text of the tables.

    Args:
        tables: as /proc/net/tcp and /proc/net/tcp6 have them.
        own_ports: where the pod listens; what has one of these was opened by a client.
        peers: addresses of the pool's pods, to which the engine forwards what clients cancel.

    """
    return sum(
        int(port, 16) not in own_ports and _is_server(_address(remote), peers)
        for table in tables
        for port, remote in _LINE.findall(table)
    )


def _is_server(address: IPv4Address | IPv6Address, peers: Collection[str]) -> bool:
    """A pod connects to servers, to its peers and to itself."""
    return not address.is_loopback and str(address) not in peers


def _address(text: str) -> IPv4Address | IPv6Address:
    """Each 32 bits are printed as the machine reads them as a number: on a little-endian one, backwards."""
    words = [int(text[at : at + 8], 16) for at in range(0, len(text), 8)]
    address = ip_address(struct.pack(f"={len(words)}I", *words))
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _read(table: Path) -> str:
    try:
        return table.read_text(encoding="ascii")
    except FileNotFoundError:
        return ""
