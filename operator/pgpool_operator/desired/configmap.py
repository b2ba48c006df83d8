"""The ConfigMap: what all pods of a pool share. No servers, no caps, no secrets."""

from collections.abc import Mapping

from pgpool_pooler.contract import (
    CONFIG_KEY,
    PEERS_KEY,
    ClientTls,
    DatabaseConfig,
    Monitor,
    Peers,
    PoolConfig,
    ServerTls,
    ServerTlsMode,
    Timeouts,
    UserRule,
    content_hash,
)

from ..api import PgPool, User
from .common import Manifest, child


def config_map(pool: PgPool, peers: Mapping[int, str]) -> Manifest:
    """`<pool>`; `peers` are the IPs of the pool's pods by peer_id."""
    return child(pool, "v1", "ConfigMap", pool.metadata.name, {"data": config_data(pool, peers)})


def config_data(pool: PgPool, peers: Mapping[int, str]) -> dict[str, str]:
    """The ConfigMap's data, the same text for the same content."""
    known = Peers(addresses=dict(sorted(peers.items())))
    return {
        CONFIG_KEY: pool_config(pool).model_dump_json(indent=2, exclude_none=True) + "\n",
        PEERS_KEY: known.model_dump_json(indent=2) + "\n",
    }


def config_hash(pool: PgPool, peers: Mapping[int, str]) -> str:
    """What the pods' annotation `pgpool.dev/config-hash` says, and what agents report when they took it."""
    return content_hash(config_data(pool, peers))


def pool_config(pool: PgPool) -> PoolConfig:
    """The spec as the pods need it, with all defaults filled in."""
    spec = pool.spec
    return PoolConfig(
        engine=spec.engine.value,
        pool_mode=spec.pool_mode,
        databases=tuple(
            DatabaseConfig(
                name=database.name,
                dbname=database.dbname or database.name,
                pool_mode=database.pool_mode or spec.pool_mode,
                max_percent=database.max_percent,
            )
            for database in spec.databases
        ),
        user_secrets=tuple(secret.name for secret in spec.auth.user_secrets),
        users=tuple(_user(user) for user in spec.users),
        monitor=_monitor(pool),
        parameters=spec.pgbouncer.parameters.model_dump(exclude_none=True),
        timeouts=Timeouts.model_validate(spec.timeouts.model_dump()),
        client_tls=_client_tls(pool),
        server_tls=_server_tls(pool),
    )


def _user(user: User) -> UserRule:
    rule = UserRule(name=user.name, pool_mode=user.pool_mode, max_percent=user.max_percent)
    return rule if user.endpoints is None else rule.model_copy(update={"endpoints": user.endpoints})


def _monitor(pool: PgPool) -> Monitor | None:
    """What it looks at is the same in every database: it logs in to the first."""
    monitor, first = pool.spec.auth.monitor, pool.spec.databases[0]
    if monitor is None:
        return None
    return Monitor(secret=monitor.secret_ref.name, dbname=first.dbname or first.name)


def _client_tls(pool: PgPool) -> ClientTls | None:
    client = pool.spec.tls.client
    return None if client is None else ClientTls(mode=client.mode.value)


def _server_tls(pool: PgPool) -> ServerTls:
    """A cluster's certificate names its Services, not the pod's address: verify-ca then."""
    server = pool.spec.tls.server
    if server is None:
        return ServerTls(mode=ServerTlsMode.PREFER, has_secret=False)
    has_secret = server.secret_name is not None
    default = ServerTlsMode.PREFER
    if has_secret:
        default = ServerTlsMode.VERIFY_CA if pool.spec.database.cluster else ServerTlsMode.VERIFY_FULL
    return ServerTls(mode=server.mode or default, has_secret=has_secret)
