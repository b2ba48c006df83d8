"""Which configuration to run with: the newest that the engine has not refused."""

from dataclasses import dataclass, replace

from pgpool_pooler.engines.base import Material

from .store import AcceptedConfig, Store


@dataclass(frozen=True)
class Rejection:
    """What the engine refused, and its words."""

    material: Material
    words: str


class Materials:
    """Chooses among what is mounted, what is in force and what was accepted before the last start."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._names: frozenset[str] = frozenset()
        self.accepted: AcceptedConfig | None = store.accepted()
        self.rejection: Rejection | None = None

    @property
    def detects_dead_clients(self) -> bool:
        """Whether the server, when it was asked last, noticed within seconds that a client is gone."""
        return self.accepted is not None and self.accepted.detects_dead_clients

    def choose(self, offered: Material | None, in_force: Material | None) -> Material | None:
        """What to run with; None when there is nothing yet."""
        if offered is None:
            return in_force
        names = frozenset(user.name for user in offered.users)
        self._names |= names
        offered = replace(offered, revoked=self._names - names)
        if self.rejection is None or self.rejection.material != offered:
            return offered
        return in_force or self._fall_back(offered)

    def accept(self, material: Material) -> None:
        """The engine runs with it; it survives a restart of the container."""
        if self.rejection is not None and self.rejection.material == material:
            self.rejection = None
        now = self.accepted
        if now is None or (now.config_hash, now.peers) != (material.config_hash, material.peers):
            self._keep(
                AcceptedConfig(
                    config_hash=material.config_hash,
                    config=material.config,
                    peers=material.peers,
                    detects_dead_clients=self.detects_dead_clients,
                )
            )

    def reject(self, material: Material, words: str) -> None:
        """The engine refused it."""
        self.rejection = Rejection(material, words)

    def server_said(self, *, detects_dead_clients: bool) -> None:
        """The server was asked how it treats dead clients."""
        if self.accepted is not None and detects_dead_clients != self.detects_dead_clients:
            self._keep(self.accepted.model_copy(update={"detects_dead_clients": detects_dead_clients}))

    def _fall_back(self, offered: Material) -> Material:
        """At a start: what was accepted last, with the Secrets of now; else once more what was refused."""
        accepted = self.accepted
        if accepted is None or accepted.config_hash == offered.config_hash:
            return offered
        return replace(
            offered, config=accepted.config, config_hash=accepted.config_hash, peers=accepted.peers
        )

    def _keep(self, accepted: AcceptedConfig) -> None:
        self.accepted = accepted
        self._store.keep_accepted(accepted)
