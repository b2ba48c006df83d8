"""What survives a container restart, so that a pod comes back without operator and API server."""

from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from pgpool_pooler.contract import Grant, Peers, PoolConfig, PoolMode
from pgpool_pooler.files import write_durably

_GRANT: Final = "grant.json"
_TAKES_AWAY: Final = "takes-away"
_ACCEPTED: Final = "accepted.json"
_STARTED: Final = "started"
_Model = TypeVar("_Model", bound=BaseModel)


class AcceptedConfig(BaseModel):
    """The configuration that the engine accepted last, and what is known of the server that an engine used last,
    whether that had accepted anything or not."""

    config_hash: str
    config: PoolConfig
    peers: Peers
    detects_dead_clients: bool = False
    place: tuple[PoolMode, str, int] | None = None
    """The mode in which, and the host and port where, an engine was started or moved last; what
    `detects_dead_clients`, if true, was read for."""

    @property
    def server(self) -> tuple[str, int] | None:
        """Host and port; None in what an older image kept."""
        return None if self.place is None else self.place[1:]


class Store:
    """Files in two directories, one of them in memory; a write is done for good when the method returns."""

    def __init__(self, directory: Path, memory: Path) -> None:
        self._directory = directory
        self._mark = memory / _STARTED

    def grant(self) -> Grant | None:
        """The persisted grant."""
        return self._load(_GRANT, Grant)

    def lived(self) -> bool:
        """Whether this pod may have run an engine before, by what either directory still has, readable or not."""
        return self._mark.exists() or (self._directory / _GRANT).exists()

    def engine_starts(self) -> None:
        """Leave a mark beside the grant; to be done before an engine opens its first connection."""
        if not self._mark.exists():
            write_durably(self._mark, b"")

    def takes_away(self, grant: Grant) -> bool:
        """Whether that was persisted with `takes_away`."""
        try:
            return (self._directory / _TAKES_AWAY).read_bytes() == str(grant.generation).encode()
        except FileNotFoundError:
            return False

    def keep_grant(self, grant: Grant, *, takes_away: bool = False) -> None:
        """Persist a grant, and whether it allows no more than the one before; to be done before it is applied."""
        if takes_away:
            write_durably(self._directory / _TAKES_AWAY, str(grant.generation).encode())
        write_durably(self._directory / _GRANT, grant.model_dump_json().encode())

    def accepted(self) -> AcceptedConfig | None:
        """The persisted configuration."""
        return self._load(_ACCEPTED, AcceptedConfig)

    def keep_accepted(self, accepted: AcceptedConfig) -> None:
        """Persist a configuration that the engine has accepted."""
        write_durably(self._directory / _ACCEPTED, accepted.model_dump_json().encode())

    def _load(self, name: str, model: type[_Model]) -> _Model | None:
        try:
            return model.model_validate_json((self._directory / name).read_bytes())
        except (FileNotFoundError, ValidationError):
            # write_durably leaves no half of a file: what cannot be read was damaged, and is as good as lost.
            return None
