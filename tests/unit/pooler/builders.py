"""Things that many tests need, with what does not matter filled in."""

from collections.abc import Mapping
from typing import Any

from pgpool_pooler.contract import (
    DatabaseConfig,
    Endpoint,
    Grant,
    Mode,
    Monitor,
    Peers,
    PoolConfig,
    PoolMode,
    ServerGrant,
)
from pgpool_pooler.engines.base import DatabaseLoad, EngineStatus, Material, Setup, User

UID = "5f0c"
APP = User("app", password="secret")
MONITOR = Monitor(secret="main-monitor", dbname="postgres")
SEER = User("seer", password="sees")


def database(name: str, mode: PoolMode = PoolMode.TRANSACTION, **more: Any) -> DatabaseConfig:
    return DatabaseConfig(name=name, dbname=more.pop("dbname", name), pool_mode=mode, **more)


def config(*databases: DatabaseConfig, **more: Any) -> PoolConfig:
    return PoolConfig(
        databases=databases or (database("app"),),
        user_secrets=more.pop("user_secrets", ("main-app",)),
        **more,
    )


def material(*databases: str, **more: Any) -> Material:
    pool = more.pop("config", None) or config(*(database(name) for name in databases))
    values: dict[str, Any] = {
        "config": pool,
        "config_hash": "c1",
        "peers": Peers(),
        "endpoint": Endpoint.WRITE,
        "users": (APP,),
    }
    return Material(**(values | more))


def monitored(*databases: str, **more: Any) -> Material:
    """A material with a monitor."""
    pool = config(*(database(name) for name in databases), monitor=MONITOR)
    return material(**({"config": pool, "monitor": SEER} | more))


def grant(
    shares: Mapping[str, int],
    generation: int = 1,
    cap: int | None = None,
    mode: Mode = Mode.SERVE,
    host: str = "10.0.0.1",
) -> Grant:
    total = sum(shares.values()) if cap is None else cap
    server = ServerGrant(host=host, port=5432, cap=total, shares=dict(shares))
    return Grant(uid=UID, generation=generation, servers=(server,), mode=mode, peer_id=7)


def setup(limits: Mapping[str, int], host: str = "10.0.0.1", **more: Any) -> Setup:
    values: dict[str, Any] = {
        "material": more.pop("material", None) or material(*limits),
        "peer_id": 7,
        "host": host,
        "port": 5432,
        "cap": sum(limits.values()),
        "limits": dict(limits),
    }
    return Setup(**(values | more))


def status(open_: Mapping[str, int], **more: Any) -> EngineStatus:
    loads = {name: DatabaseLoad(open=count, usable=count) for name, count in open_.items()}
    return EngineStatus(databases=loads, **more)
