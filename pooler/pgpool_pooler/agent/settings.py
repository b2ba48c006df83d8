"""Who the pod is and where its files are."""

from dataclasses import dataclass
from pathlib import Path

from pgpool_pooler.contract import Endpoint


@dataclass(frozen=True)
class Identity:
    """The pod, as its environment says."""

    uid: str
    name: str
    namespace: str
    endpoint: Endpoint


@dataclass(frozen=True)
class Layout:
    """Where the operator mounts what the pod reads, and where the pod may write."""

    pod: Path
    """downwardAPI volume: files `grant` and `config-hash`."""
    config: Path
    """The ConfigMap."""
    users: Path
    """One directory for each user Secret: 0, 1, ..."""
    monitor: Path
    """The Secret of the role that sees all backends."""
    client_tls: Path
    server_tls: Path
    data: Path
    """Kept over container restarts."""
    run: Path
    """In memory: the engine's files and socket."""


@dataclass(frozen=True)
class Settings:
    """Everything the agent is started with. Times in seconds."""

    identity: Identity
    layout: Layout
    drain_seconds: float
    client_port: int
    http_port: int
    engine_binary: Path
    termination_log: Path
    """What the kubelet reports with the container's end."""
