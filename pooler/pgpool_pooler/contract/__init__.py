"""What operator and agent say to each other: the grant, the configuration and the state.

The operator writes a `Grant` (a pod annotation) and a `PoolConfig` with its `Peers` (a ConfigMap); the agent
answers with a `State` (`GET /v1/state`). Readers ignore fields they do not know, so that an operator and
agents one version apart work together.
"""

from .config import (
    ClientTls,
    DatabaseConfig,
    Endpoint,
    Monitor,
    Peers,
    PoolConfig,
    PoolMode,
    ServerTls,
    ServerTlsMode,
    Timeouts,
    UserRule,
    content_hash,
)
from .grant import CONTRACT_VERSION, Grant, Mode, ServerGrant
from .names import (
    CONFIG_HASH_ANNOTATION,
    CONFIG_KEY,
    GRANT_ANNOTATION,
    LEFT_NOTHING,
    MONITOR_DATABASE,
    PEERS_KEY,
    POKE_ANNOTATION,
)
from .state import Activity, Backends, DatabaseState, Phase, Problem, ServerIdentity, ServerState, State

__all__ = [
    "CONFIG_HASH_ANNOTATION",
    "CONFIG_KEY",
    "CONTRACT_VERSION",
    "GRANT_ANNOTATION",
    "LEFT_NOTHING",
    "MONITOR_DATABASE",
    "PEERS_KEY",
    "POKE_ANNOTATION",
    "Activity",
    "Backends",
    "ClientTls",
    "DatabaseConfig",
    "DatabaseState",
    "Endpoint",
    "Grant",
    "Mode",
    "Monitor",
    "Peers",
    "Phase",
    "PoolConfig",
    "PoolMode",
    "Problem",
    "ServerGrant",
    "ServerIdentity",
    "ServerState",
    "ServerTls",
    "ServerTlsMode",
    "State",
    "Timeouts",
    "UserRule",
    "content_hash",
]
