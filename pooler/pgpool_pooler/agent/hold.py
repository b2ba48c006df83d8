"""How long backends may outlive the engine that opened them: rule R6.

A process that ends closes its sockets, and the kernel tells the server at once (a FIN). An idle backend then ends
in milliseconds. A working one ends only when it looks at its socket, every second if the server has been told so
(client_connection_check_interval=1s), else when its query ends (seen: 13.5 s in pg_sleep).
"""

from typing import Final

HOLD_SECONDS: Final = 2.0
"""Where the server looks every second: twice that (seen: gone after 1 s)."""

UNDETECTED_HOLD_SECONDS: Final = 10.0
"""Where it does not (session mode, PostgreSQL < 14, or never asked): as long as the ledger waits for a pod that
vanished without a FIN. A query that runs longer than this outlives the hold."""

_BACKOFF_SECONDS: Final = 0.5
_LONGEST_BACKOFF_SECONDS: Final = 30.0
STABLE_SECONDS: Final = 60.0
"""An engine that ran this long was not part of a crash loop."""


def hold_seconds(*, detects_dead_clients: bool) -> float:
    """Seconds to wait after the end of an engine before the next one opens a connection."""
    return HOLD_SECONDS if detects_dead_clients else UNDETECTED_HOLD_SECONDS


def backoff_seconds(crashes: int) -> float:
    """Seconds to wait before the next start after so many crashes in a row."""
    if crashes <= 0:
        return 0.0
    return float(min(_BACKOFF_SECONDS * 2 ** min(crashes - 1, 10), _LONGEST_BACKOFF_SECONDS))
