"""What the pod is given: grant, configuration and Secrets, read from the mounts and put together."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from pgpool_pooler.contract import (
    CONFIG_KEY,
    CONTRACT_VERSION,
    PEERS_KEY,
    Endpoint,
    Peers,
    PoolConfig,
    Problem,
    content_hash,
)
from pgpool_pooler.engines.base import Material, User
from pgpool_pooler.errors import first_error
from pgpool_pooler.files import write_durably

from .mounts import Mount
from .secrets import (
    MONITOR_FIELD,
    SECRET_INVALID,
    SecretInvalid,
    parse_monitor_secret,
    parse_user_secret,
    read_users,
    secrets_version,
    tls_problems,
)
from .settings import Identity, Layout
from .store import AcceptedConfig

_GOOD_SECRETS: Final = "secrets.json"
_MOST_USER_SECRETS: Final = 64


@dataclass(frozen=True)
class Reading:
    """One look at the mounts."""

    grant_text: str
    material: Material | None
    """None while something that is needed has never been there; `missing` says what."""
    missing: str
    secrets_version: str
    problems: tuple[Problem, ...]


class Inputs:
    """The mounts of one pod. Remembers the last good version of each part."""

    def __init__(self, identity: Identity, layout: Layout, accepted: AcceptedConfig | None) -> None:
        self._identity = identity
        self._pod = Mount(layout.pod)
        self._config = Mount(layout.config)
        self._users = [Mount(layout.users / str(number)) for number in range(_MOST_USER_SECRETS)]
        self._monitor = Mount(layout.monitor)
        self._tls = {"client": Mount(layout.client_tls), "server": Mount(layout.server_tls)}
        self._good_path = layout.run / _GOOD_SECRETS
        self._good = _load_good(self._good_path)
        self._unkept = False
        self._current = accepted

    @property
    def directories(self) -> list[Path]:
        """What to watch."""
        mounts = [self._pod, self._config, *self._users, self._monitor, *self._tls.values()]
        return [mount.path for mount in mounts if mount.path.is_dir()]

    def read(self) -> Reading:
        """Look at everything once."""
        pod = self._pod.read()
        problems = self._take_config(pod.text("config-hash").strip())
        mounted = [mount.read().files for mount in self._users]
        certificates = {side: mount.read().files for side, mount in self._tls.items()}
        watcher = self._monitor.read().files
        version = secrets_version([*mounted, *certificates.values(), watcher])
        grant = pod.text("grant")
        if self._current is None:
            return Reading(grant, None, "no configuration yet: waiting for the operator", version, problems)
        users, blocked, found = self._take_secrets(self._current.config, mounted, certificates)
        monitor, unwatched = self._take_monitor(self._current.config, watcher)
        problems += (*found, *unwatched, *self._write_good())
        if blocked:
            return Reading(grant, None, "; ".join(p.text for p in blocked), version, problems)
        return Reading(grant, self._material(self._current, users, monitor), "", version, problems)

    def _take_config(self, wanted_hash: str) -> tuple[Problem, ...]:
        files = {
            name: content.decode(errors="replace") for name, content in self._config.read().files.items()
        }
        current = self._current.config_hash if self._current is not None else ""
        if not wanted_hash or wanted_hash == current or content_hash(files) != wanted_hash:
            return ()
        try:
            config = PoolConfig.model_validate_json(files.get(CONFIG_KEY, ""))
            peers = Peers.model_validate_json(files.get(PEERS_KEY, "{}"))
        except ValidationError as error:
            return (_config_problem(first_error(error)),)
        if config.version > CONTRACT_VERSION:
            return (_config_problem(f"contract version {config.version}: use a newer pooler image"),)
        if self._has_mounts_for(config):
            self._current = AcceptedConfig(config_hash=wanted_hash, config=config, peers=peers)
        return ()

    def _has_mounts_for(self, config: PoolConfig) -> bool:
        """Whether the pod was made for these Secrets; one that was not is about to be replaced.

        A Secret that does not exist is mounted all the same, as an empty directory.
        """
        needed = self._users[: len(config.user_secrets)]
        needed += [self._monitor] if config.monitor is not None else []
        needed += [self._tls["client"]] if config.client_tls is not None else []
        needed += [self._tls["server"]] if config.server_tls.has_secret else []
        return all(mount.path.is_dir() for mount in needed)

    def _take_secrets(
        self,
        config: PoolConfig,
        mounted: Sequence[Mapping[str, bytes]],
        certificates: Mapping[str, Mapping[str, bytes]],
    ) -> tuple[tuple[User, ...], tuple[Problem, ...], tuple[Problem, ...]]:
        """The users; problems that leave nothing to run with; all problems."""
        names = config.user_secrets
        namespace = self._identity.namespace
        read = read_users(mounted, names, namespace)
        blocked = []
        users: list[User] = []
        by_field = {problem.field: problem for problem in read.problems}
        for number, name in enumerate(names):
            problem = by_field.get(f"auth.userSecrets[{number}]")
            if problem is None:
                self._keep(f"user:{name}", mounted[number])
                users += read.users[number]
            elif good := self._good.get(f"user:{name}"):
                users += parse_user_secret(good, number, name, namespace)
            else:
                blocked.append(problem)
        bad = self._take_certificates(config, certificates)
        blocked += [problem for problem in bad if f"tls:{_side(problem)}" not in self._good]
        return tuple(users), tuple(blocked), (*read.problems, *bad)

    def _take_certificates(
        self, config: PoolConfig, files: Mapping[str, Mapping[str, bytes]]
    ) -> tuple[Problem, ...]:
        problems = tls_problems(config, files["client"], files["server"])
        for side in files.keys() - {_side(problem) for problem in problems}:
            self._keep(f"tls:{side}", files[side])
        return problems

    def _take_monitor(
        self, config: PoolConfig, files: Mapping[str, bytes]
    ) -> tuple[User | None, tuple[Problem, ...]]:
        """The monitor and what is wrong with its Secret; the pod serves without a monitor too."""
        if config.monitor is None:
            return None, ()
        name, namespace = config.monitor.secret, self._identity.namespace
        key = f"monitor:{name}"
        try:
            monitor = parse_monitor_secret(files, name, namespace)
        except SecretInvalid as error:
            problem = Problem(field=MONITOR_FIELD, text=str(error), reason=SECRET_INVALID)
            good = self._good.get(key)
            return parse_monitor_secret(good, name, namespace) if good else None, (problem,)
        self._keep(key, files)
        return monitor, ()

    def _material(self, current: AcceptedConfig, users: tuple[User, ...], monitor: User | None) -> Material:
        config = current.config
        return Material(
            config=config,
            config_hash=current.config_hash,
            peers=current.peers,
            endpoint=Endpoint(self._identity.endpoint),
            users=users,
            monitor=monitor,
            client_tls=self._good.get("tls:client", {}) if config.client_tls is not None else {},
            server_tls=self._good.get("tls:server", {}) if config.server_tls.has_secret else {},
        )

    def _keep(self, key: str, files: Mapping[str, bytes]) -> None:
        if self._good.get(key) != files:
            self._good[key], self._unkept = dict(files), True

    def _write_good(self) -> tuple[Problem, ...]:
        """Bring what is good to the memory that outlives the container, unless it is there; the pod works on."""
        if not self._unkept:
            return ()
        encoded = {
            name: {file: base64.b64encode(content).decode() for file, content in kept.items()}
            for name, kept in self._good.items()
        }
        try:
            write_durably(self._good_path, json.dumps(encoded).encode())
        except OSError as error:
            text = f"{self._identity.name}: its Secrets cannot be kept, free the pod's memory volume: {error}"
            return (Problem(field="data", text=text, reason="NotPersisted"),)
        self._unkept = False
        return ()


def _side(problem: Problem) -> str:
    return problem.field.split(".")[1]


def _config_problem(text: str) -> Problem:
    return Problem(
        field="spec", text=f"the pods cannot read their configuration: {text}", reason="EngineRejected"
    )


def _load_good(path: Path) -> dict[str, dict[str, bytes]]:
    """What was good before the container restarted; in memory only, as the Secrets themselves."""
    try:
        stored = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return {
        name: {file: base64.b64decode(content) for file, content in files.items()}
        for name, files in stored.items()
    }
