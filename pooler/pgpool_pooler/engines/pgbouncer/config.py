"""pgbouncer.ini, as a pure function of what the pod was given.

Sources of the facts behind it: PgBouncer's doc/config.md, and measurements where it says so.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pgpool_pooler.contract import MONITOR_DATABASE, DatabaseConfig, PoolConfig, PoolMode
from pgpool_pooler.engines.base import Setup

from .auth import userlist
from .parameters import PgBouncerParameters

INI: Final = "pgbouncer.ini"
USERLIST: Final = "userlist.txt"
SERVER_LOGIN_RETRY_SECONDS: Final = 1
"""With PgBouncer's default of 15, clients wait 15 s after the server is back (seen)."""
CLOSING_LIFETIME_SECONDS: Final = 1
"""The shortest that the line of a database can say (0 there means the global one), and that a pool can choose."""
PREPARED_STATEMENTS: Final = 200
IGNORED_STARTUP_PARAMETERS: Final = ("extra_float_digits", "options")
"""JDBC sends the first always; with the second, unknown `-c` settings are ignored instead of refused."""
KEEPALIVE_IDLE, KEEPALIVE_INTERVAL = 3, 1
"""Seconds: how soon a server asks an idle connection for a sign of life, and how often."""
UNHEARD_SECONDS: Final = 20
"""A server that has heard nothing for so long ends the backend, whether keepalives or data stay unacknowledged:
keepalives alone do not cover data in flight (its backends outlived a cut of 60 s, seen). It also ends what is
blocked by a client that reads nothing for so long: Linux counts a closed window as unacknowledged (seen). It
must be shorter than the engine's own tcp_user_timeout (timeouts.deadPeerSeconds): an engine that gives up first
opens new connections beside the old ones."""
CLIENT_CHECK_INTERVAL: Final = "100ms"
"""A backend whose client vanished while a query runs ends within that time (PostgreSQL >= 14), and costs a working
backend one poll(2). With 1s, 200 clients that are killed at once made 36 backends of 24; with this, 29 (seen)."""
CONNECT_QUERY: Final = (
    "SELECT "
    f"set_config('tcp_keepalives_idle', '{KEEPALIVE_IDLE}', false), "
    f"set_config('tcp_keepalives_interval', '{KEEPALIVE_INTERVAL}', false), "
    f"set_config('tcp_user_timeout', '{UNHEARD_SECONDS}s', false), "
    "CASE WHEN current_setting('client_connection_check_interval', true) IS NOT NULL "
    f"THEN set_config('client_connection_check_interval', '{CLIENT_CHECK_INTERVAL}', false) END"
)
"""Run on each new backend; the CASE makes it harmless on PostgreSQL < 14."""

_HURRIED_POOL_SIZE: Final = 50
"""What closes by its lifetime does so every lifetime / pool_size: with the size to come, going from 24 to 2 took
10.8 s under load, with the old one 1.1 s (seen). max_db_connections keeps such a database from opening any. Where
connections are idle a small size is better: PgBouncer closes those above it at once."""
_NO_LIMIT: Final = 0
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_.-]+")
_LINE_BREAK = re.compile(r"[\r\n\0]")


class Unrenderable(ValueError):  # noqa: N818
    """A value that pgbouncer.ini cannot hold."""


@dataclass(frozen=True)
class Files:
    """Where PgBouncer finds what is rendered, and on which port it listens."""

    directory: Path
    port: int

    def path(self, name: str) -> str:
        """The path of one file."""
        return str(self.directory / name)


def render(setup: Setup, files: Files, lockout: str, *, paused: bool = False) -> dict[str, bytes]:
    """All files of the engine, name -> content; `paused`: for an engine that is. Raises Unrenderable."""
    material = setup.material
    rendered = {
        INI: ini(setup, files, paused=paused).encode(),
        USERLIST: userlist(material, lockout).encode(),
    }
    rendered |= {f"client-{name}": content for name, content in material.client_tls.items()}
    rendered |= {f"server-{name}": content for name, content in material.server_tls.items()}
    return rendered


def ini(setup: Setup, files: Files, *, paused: bool = False) -> str:
    """The text of pgbouncer.ini."""
    sections = [
        _section("pgbouncer", settings(setup, files, paused=paused)),
        _section("databases", {name: _database(setup, name) for name in sorted(setup.limits)}),
        _section("users", _users(setup)),
        _section("peers", _peers(setup, files.port)),
    ]
    return "\n".join(section for section in sections if section)


def settings(setup: Setup, files: Files, *, paused: bool = False) -> dict[str, str]:
    """The section [pgbouncer]: defaults, over them the user's parameters, over these what must hold."""
    config = setup.material.config
    chosen = PgBouncerParameters.model_validate(config.parameters).settings()
    merged = _defaults(config) | chosen | _enforced(setup, files, paused=paused) | _tls(setup, files)
    ignored = (*IGNORED_STARTUP_PARAMETERS, *re.split(r"[,\s]+", chosen.get("ignore_startup_parameters", "")))
    merged["ignore_startup_parameters"] = ",".join(dict.fromkeys(filter(None, ignored)))
    return merged


def _defaults(config: PoolConfig) -> dict[str, str]:
    dead_peer = config.timeouts.dead_peer_seconds
    return {
        "log_connections": "0",
        "log_stats": "0",
        "max_prepared_statements": str(PREPARED_STATEMENTS),
        "tcp_keepalive": "1",
        "tcp_keepidle": str(dead_peer),
        "tcp_keepintvl": "1",
        "tcp_keepcnt": "3",
    }


def _enforced(setup: Setup, files: Files, *, paused: bool) -> dict[str, str]:
    config = setup.material.config
    times = config.timeouts
    return {
        "listen_addr": "*",
        "listen_port": str(files.port),
        "unix_socket_dir": str(files.directory),
        "auth_type": "scram-sha-256",
        "auth_file": files.path(USERLIST),
        "peer_id": str(setup.peer_id),
        "pool_mode": config.pool_mode.value,
        "min_pool_size": "0",
        "reserve_pool_size": "0",
        # A failed login shows only in the line that says why a connection was closed.
        "log_disconnections": "1",
        "server_login_retry": str(SERVER_LOGIN_RETRY_SECONDS),
        "server_connect_timeout": str(times.connect_seconds),
        "client_login_timeout": str(_login_seconds(config, paused=paused)),
        "query_wait_timeout": str(times.queue_seconds),
        "query_timeout": str(times.query_seconds),
        "idle_transaction_timeout": str(times.idle_in_transaction_seconds),
        "client_idle_timeout": str(times.client_idle_seconds),
        "tcp_user_timeout": str(times.dead_peer_seconds * 1000),
    }


def _login_seconds(config: PoolConfig, *, paused: bool) -> int:
    """How long a login may take; 0 is no limit. During a pause it waits as long as a query may."""
    queue, login = config.timeouts.queue_seconds, config.timeouts.login_seconds
    if not paused:
        return login
    return max(queue, login) if queue else _NO_LIMIT


def _tls(setup: Setup, files: Files) -> dict[str, str]:
    material = setup.material
    server = {"server_tls_sslmode": material.config.server_tls.mode.value}
    server |= _tls_files("server", material.server_tls, files)
    if material.config.client_tls is None:
        return server
    client = {"client_tls_sslmode": material.config.client_tls.mode}
    return client | _tls_files("client", material.client_tls, files) | server


def _tls_files(side: str, mounted: Mapping[str, bytes], files: Files) -> dict[str, str]:
    keys = {"ca.crt": "ca_file", "tls.crt": "cert_file", "tls.key": "key_file"}
    return {
        f"{side}_tls_{setting}": files.path(f"{side}-{key}")
        for key, setting in keys.items()
        if key in mounted
    }


def _database(setup: Setup, name: str) -> str:
    entry = _entry(setup.material.config, name)
    pairs = {
        "host": setup.host,
        "port": str(setup.port),
        "dbname": entry.dbname,
        "pool_mode": entry.pool_mode.value,
        "pool_size": str(_pool_size(setup, name)),
        "max_db_connections": str(max(1, setup.database_limit(name) - setup.held_back.get(name, 0))),
    }
    if name in setup.closing:
        pairs["server_lifetime"] = str(CLOSING_LIFETIME_SECONDS)
    if entry.pool_mode is not PoolMode.SESSION:
        pairs["connect_query"] = CONNECT_QUERY
    return " ".join(f"{key}={_value(value)}" for key, value in pairs.items())


def _pool_size(setup: Setup, name: str) -> int:
    if name in setup.hurried:
        return _HURRIED_POOL_SIZE
    # A user with twice pool_size or more cannot cancel anything (`launch_new_connection` in its objects.c).
    enough_to_cancel = setup.most_of_one.get(name, 0) // 2 + 1
    return max(setup.pool_size(name), enough_to_cancel)


def _users(setup: Setup) -> dict[str, str]:
    known = {user.name for user in setup.material.users}
    # PgBouncer keeps a rule that the file no longer has; a line that sets something else undoes it (seen).
    rules = {name: f"max_user_connections={_NO_LIMIT}" for name in sorted(known) if _can_be_key(name)}
    for rule in setup.material.config.users:
        pairs = []
        if rule.pool_mode is not None:
            pairs.append(f"pool_mode={rule.pool_mode.value}")
        if (limit := setup.user_limit(rule.name)) is not None:
            pairs.append(f"max_user_connections={limit}")
        if pairs and rule.name in known:
            rules[rule.name] = " ".join(pairs)
    monitor = setup.material.monitor
    if monitor is not None and monitor.name not in known:
        # Who knows its password may ask for any database; this is all that he gets of the clients' backends.
        rules[monitor.name] = "max_user_connections=1"
    return rules


def _peers(setup: Setup, port: int) -> dict[str, str]:
    addresses = setup.material.peers.addresses
    return {str(peer): f"host={addresses[peer]} port={port}" for peer in sorted(addresses)}


def _entry(config: PoolConfig, name: str) -> DatabaseConfig:
    for entry in config.databases:
        if entry.name == name:
            return entry
    if name == MONITOR_DATABASE and config.monitor is not None:
        # No user is forced on the entry: whoever asks for it is himself on the server, not the monitor.
        return DatabaseConfig(name=name, dbname=config.monitor.dbname, pool_mode=PoolMode.TRANSACTION)
    # A database that is being removed has left the configuration, but not yet the file.
    return DatabaseConfig(name=name, dbname=name, pool_mode=config.pool_mode)


def _section(name: str, pairs: Mapping[str, str]) -> str:
    if not pairs:
        return ""
    return f"[{name}]\n" + "".join(f"{_key(key)} = {_line(value)}\n" for key, value in pairs.items())


def _key(text: str) -> str:
    if _PLAIN_KEY.fullmatch(text):
        return text
    if not _can_be_key(text):
        raise Unrenderable(
            f"PgBouncer cannot have a database or user named {text!r}: it has a quote or line break"
        )
    return f"'{text}'"


def _can_be_key(text: str) -> bool:
    return not (_LINE_BREAK.search(text) or '"' in text or "'" in text)


def _value(text: str) -> str:
    """A value in a connection string: in single quotes where it needs them, a quote doubled."""
    if _PLAIN_KEY.fullmatch(text):
        return text
    return "'" + text.replace("'", "''") + "'"


def _line(text: str) -> str:
    if _LINE_BREAK.search(text):
        raise Unrenderable(f"a line break in {text!r}")
    return text
