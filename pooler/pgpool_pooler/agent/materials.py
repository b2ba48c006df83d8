"""Which configuration to run with: the newest that the engine has not refused."""

from dataclasses import replace

from pgpool_pooler.contract import PoolMode
from pgpool_pooler.engines.base import Material, Setup

from .hold import Server
from .store import AcceptedConfig, Store


class Materials:
    """Chooses among what is mounted, what is in force and what was accepted before the last start."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._names: frozenset[str] = frozenset()
        self._offered: Material | None = None
        self._refused: list[Material] = []
        self.accepted: AcceptedConfig | None = store.accepted()
        self._kept = self.accepted
        self.unkept = ""
        """Why what was accepted is not on the disk; empty if it is."""
        self.refusal = ""
        """The engine's words about what is offered now."""

    @property
    def detects_dead_clients(self) -> bool:
        """Whether the server, when it was asked last, noticed within seconds that a client is gone."""
        return self.accepted is not None and self.accepted.detects_dead_clients

    @property
    def server(self) -> Server | None:
        """The server that an engine used last; None: none did yet, or nobody remembers."""
        return self.accepted.server if self.accepted is not None else None

    @property
    def server_gives_up(self) -> bool:
        """Whether the server ends what it has not heard of for long: because it was read to, or because the engine
        told it so on each connection, which only the end of a session undoes."""
        place = self.accepted.place if self.accepted is not None else None
        return self.detects_dead_clients or (place is not None and place[0] is not PoolMode.SESSION)

    def choose(self, offered: Material | None, in_force: Material | None) -> Material | None:
        """What to run with; None when there is nothing yet."""
        self._keep()
        if offered is None:
            return in_force
        names = frozenset(user.name for user in offered.logins)
        self._names |= names
        offered = replace(offered, revoked=self._names - names)
        if offered != self._offered:
            self._offered, self._refused, self.refusal = offered, [], ""
        for candidate in (offered, self._with_accepted_config(offered)):
            if candidate not in self._refused:
                return candidate
        if in_force is None:
            self._refused = []
        return in_force or offered

    def starts(self, setup: Setup) -> None:
        """An engine is about to start with it: whatever comes of that, it may open connections there."""
        place = _place(setup)
        if self.accepted is not None and self.accepted.place != place:
            update = {"detects_dead_clients": False, "place": place}
            self.accepted = self.accepted.model_copy(update=update)
            self._keep()

    def accept(self, setup: Setup) -> None:
        """The engine runs with it; it survives a restart of the container. In another mode, and of another server,
        nothing is known of what that does about dead clients."""
        material, place = setup.material, _place(setup)
        if material == self._offered:
            # What it was refused for has passed: a port that was taken, a file that was not there.
            self._refused, self.refusal = [], ""
        now = self.accepted
        taken = material.config_hash, material.peers, place
        if now is None or (now.config_hash, now.peers, now.place) != taken:
            self.accepted = AcceptedConfig(
                config_hash=material.config_hash,
                config=material.config,
                peers=material.peers,
                detects_dead_clients=self.detects_dead_clients and now is not None and now.place == place,
                place=place,
            )
            self._keep()

    def reject(self, material: Material, words: str) -> None:
        """The engine refused it."""
        self._refused.append(material)
        self.refusal = words

    def server_said(self, *, detects_dead_clients: bool) -> None:
        """The server was asked how it treats dead clients."""
        if self.accepted is not None and detects_dead_clients != self.detects_dead_clients:
            update = {"detects_dead_clients": detects_dead_clients}
            self.accepted = self.accepted.model_copy(update=update)
            self._keep()

    def _with_accepted_config(self, offered: Material) -> Material:
        """Yesterday's configuration with the Secrets of now: a wrong parameter must not stop a new password."""
        accepted = self.accepted
        if accepted is None:
            return offered
        return replace(
            offered, config=accepted.config, config_hash=accepted.config_hash, peers=accepted.peers
        )

    def _keep(self) -> None:
        """Bring what was accepted to the disk, unless it is there. The engine serves on when that does not work."""
        if self.accepted is None or self.accepted is self._kept:
            return
        try:
            self._store.keep_accepted(self.accepted)
        except OSError as error:
            self.unkept = (
                f"its configuration cannot be persisted, free the pod's volume for its data: {error}"
            )
        else:
            self._kept, self.unkept = self.accepted, ""


def _place(setup: Setup) -> tuple[PoolMode, str, int]:
    return setup.pool_mode, setup.host, setup.port
