"""What the engines of this pod have closed, until the servers know of it: see sockets."""

import math
from collections.abc import Callable, Collection
from typing import Final

import structlog

from pgpool_pooler.contract import Peers

from .drain import Clock
from .hold import Lives, Server
from .materials import Materials
from .sockets import GIVEN_UP_SECONDS

LOOK_SECONDS: Final = 1.0
"""Between two looks at the kernel's tables that nothing waits for: each client of the pod has a line there."""

log = structlog.get_logger()


class Closings:
    """Counts what is unconfirmed, and tells `lives` of what the kernel may have given up telling a server."""

    def __init__(
        self,
        unconfirmed_ends: Callable[[Collection[str]], int],
        materials: Materials,
        lives: Lives,
        clock: Clock,
    ) -> None:
        """`unconfirmed_ends`, of the pod's connections to others than these addresses: see sockets."""
        self._unconfirmed_ends = unconfirmed_ends
        self._materials = materials
        self._lives = lives
        self._clock = clock
        self.unconfirmed = 0
        """As many as there were at the last look."""
        self._since = 0.0
        self._server: Server | None = None
        """That was in use when the waiting began, and whether it ends by itself what it has not heard of."""
        self._server_gives_up = False
        self._looked_at = -math.inf

    def all_confirmed(self, peers: Peers) -> bool:
        """Whether the servers know of everything that was closed, or the kernel has given up telling them."""
        now, before = self._clock.now(), self.unconfirmed
        self._looked_at = now
        self.unconfirmed = self._unconfirmed_ends(peers.addresses.values())
        if self.unconfirmed and not before:
            self._since = now
            self._server, self._server_gives_up = self._lives.server, self._materials.server_gives_up
            log.info("waiting until the server has noticed what was closed", connections=self.unconfirmed)
        if before and not self.unconfirmed and now - self._since >= GIVEN_UP_SECONDS:
            log.warning("the server may never have noticed what was closed", connections=before)
            self._lives.given_up(self._server, server_gives_up=self._server_gives_up)
        return not self.unconfirmed

    def moved(self, server: Server, peers: Peers) -> None:
        """Another server is used from now on.

        What was closed on the one before is still waited for, but not for ever: mostly that server is gone itself.
        """
        self.all_confirmed(peers)
        self._lives.moved(server)

    def all_ended(self, peers: Peers) -> bool:
        """Whether the backends of all that was closed are gone, as far as anybody knows."""
        return self.all_confirmed(peers) and not self._lives.ending(self._clock.now())

    def watch(self, peers: Peers) -> None:
        """See what the kernel gives up, while nothing else looks: `all_confirmed`, at most once a second."""
        if self._clock.now() - self._looked_at >= LOOK_SECONDS:
            self.all_confirmed(peers)
