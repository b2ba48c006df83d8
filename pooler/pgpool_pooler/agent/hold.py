"""How long backends may outlive the engine that opened them: rule R6.

A process that ends closes its sockets, and the kernel tells the server at once (a FIN). An idle backend then ends
in milliseconds. A working one ends only when it looks at its socket: every 100 ms, as the engine tells it
(client_connection_check_interval), or as often as its role is set to; else when its query ends (seen: 13.5 s in
pg_sleep).

The agent waits; it never terminates a backend. By its address it could not tell its own from another pod's: the
address changes with the pod's sandbox, and the next pod may have it.
"""

import math
import random
from collections.abc import Callable
from typing import Final

HOLD_SECONDS: Final = 2.0
"""Where the server looks at least every second, the longest interval that counts as looking: twice that."""

UNDETECTED_HOLD_SECONDS: Final = 10.0
"""Where it does not (session mode, PostgreSQL < 14, or never asked). A query that runs longer outlives the hold."""

_BACKOFF_SECONDS: Final = 0.5
_LONGEST_BACKOFF_SECONDS: Final = 30.0
_SPREAD: Final = 0.25
"""Up to so much longer, by chance: engines that died of one cause do not all come back at once."""
LOOP_CRASHES: Final = 2
"""So many ends in a row are not chance any more."""
STABLE_SECONDS: Final = 60.0
"""An engine that ran this long was not part of a crash loop."""
MUTE_SECONDS: Final = 30.0
"""An engine that does not answer for so long is ended and started again."""
Server = tuple[str, int]
"""Host and port."""


def hold_seconds(*, detects_dead_clients: bool) -> float:
    """Seconds to wait after the end of an engine before the next one opens a connection."""
    return HOLD_SECONDS if detects_dead_clients else UNDETECTED_HOLD_SECONDS


def backoff_seconds(crashes: int) -> float:
    """Seconds to wait at least before the next start after so many crashes in a row: 0.5, 1, 2 ... 30."""
    if crashes <= 0:
        return 0.0
    return float(min(_BACKOFF_SECONDS * 2 ** min(crashes - 1, 10), _LONGEST_BACKOFF_SECONDS))


class Lives:
    """The engine's starts and ends: when the next one may start."""

    def __init__(
        self,
        now: float,
        *,
        lived_before: bool,
        detects_dead_clients: bool,
        server: Server | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`server`, that an earlier life used last; None: there was none, or nobody remembers."""
        self.crashes = 0
        """In a row: since an engine ran for STABLE_SECONDS."""
        self.all_crashes = 0
        self._chance = chance
        self.started_at = now
        self._mute_since: float | None = None
        self._hold_until = now
        self._ending_until = now
        self._server: Server | None = None
        self._left_until: dict[Server | None, float] = {}
        """Server -> until when what was left there may work; of None, nobody remembers the server."""
        self._kept: set[Server | None] = set()
        """Servers that the kernel gave up telling of an end, and that keep the backend for it."""
        if lived_before:
            # Of which server is not certain: `server` may be older than the end of that life.
            self.ended(now, detects_dead_clients=detects_dead_clients)
        self._server = server

    @property
    def server(self) -> Server | None:
        """The server in use, by the engine that ran last; None: none did yet, or nobody remembers."""
        return self._server

    def holding(self, now: float) -> bool:
        """Whether an engine may not start yet."""
        return now < self._hold_until

    def ending(self, now: float) -> bool:
        """Whether backends that an engine has left may still be there, as far as a hold tells: what they had is not
        given back yet. It is not `holding`, which puts off a start, also after a crash that left none."""
        return not self._kept.isdisjoint((self._server, None)) or now < self._ending_until

    def started(self, now: float) -> None:
        """An engine has started."""
        self.started_at = now
        self._mute_since = None

    def answered(self, now: float) -> None:
        """The engine is well."""
        self._mute_since = None
        if now - self.started_at > STABLE_SECONDS:
            self.crashes = 0

    def mute_too_long(self, now: float) -> bool:
        """The engine did not answer; whether that has gone on for too long."""
        if self._mute_since is None:
            self._mute_since = now
        return now - self._mute_since > MUTE_SECONDS

    def ended(self, now: float, *, detects_dead_clients: bool) -> None:
        """An engine has ended that may have left backends that work."""
        self.cut_off(now, detects_dead_clients=detects_dead_clients)
        self._wait(now + hold_seconds(detects_dead_clients=detects_dead_clients))

    def cut_off(self, now: float, *, detects_dead_clients: bool) -> None:
        """Backends that work were left by an engine that runs on."""
        until = now + hold_seconds(detects_dead_clients=detects_dead_clients)
        self._ending_until = max(self._ending_until, until)
        self._leave(self._server, until if detects_dead_clients else math.inf)

    def given_up(self, server: Server | None, *, server_gives_up: bool) -> None:
        """The kernel stopped telling a server that a connection is closed. One that does not give up by itself what
        it has not heard of keeps its backend, for hours or for good: nobody can say any more that it is gone."""
        self._leave(server, math.inf)
        if not server_gives_up:
            self._kept.add(server)

    def moved(self, server: Server) -> None:
        """Another server is used from now on."""
        self._server = server

    def given_back(self) -> None:
        """What this pod had on other servers is given back: nobody asks any more what it left there."""
        self._kept.intersection_update((self._server, None))
        here = max(self._left_until.get(server, -math.inf) for server in (self._server, None))
        self._left_until = {self._server: here}

    def ended_clean(self, now: float) -> None:
        """An engine has ended that left none; PostgreSQL may still be ending those that were idle."""
        self._ending_until = max(self._ending_until, now + HOLD_SECONDS)
        self._wait(now + HOLD_SECONDS)

    def left_nothing(self, now: float) -> bool:
        """Whether no backend works that an engine of this pod left.

        Where the server does not look for dead clients, nobody knows for how long one does: a hold proves nothing.
        """
        return all(now >= until for until in self._left_until.values())

    def crashed(self, now: float) -> None:
        """An engine has ended by itself, had to be ended, or did not start."""
        self.crashes += 1
        self.all_crashes += 1
        self._wait(now + backoff_seconds(self.crashes) * (1 + _SPREAD * self._chance()))

    @property
    def crash_loop(self) -> bool:
        """The engine ends again and again."""
        return self.crashes >= LOOP_CRASHES

    def _leave(self, server: Server | None, until: float) -> None:
        self._left_until[server] = max(self._left_until.get(server, until), until)

    def _wait(self, until: float) -> None:
        self._hold_until = max(self._hold_until, until)
