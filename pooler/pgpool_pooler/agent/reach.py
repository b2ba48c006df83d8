"""Whether the server can be reached, from what the engine says and what a probe finds."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from pgpool_pooler.contract import MONITOR_DATABASE, Problem
from pgpool_pooler.engines.base import EngineStatus, FailureKind, Material, ServerFailure

from .secrets import MONITOR_FIELD, SECRET_INVALID

STARVED_SECONDS: Final = 1.0
"""Clients that wait this long while no connection exists are a reason to probe the server."""
FRESH_SECONDS: Final = 3.0
"""A server that goes down refuses logins while the last connections are still being closed."""
_REASONS: Final = {FailureKind.FULL: FailureKind.LOGIN.value}
_NO_DATABASE = re.compile(r'^database ".*" does not exist$')
FULL_SECONDS: Final = 1.1
"""By then the backends of vanished clients have ended, and with them what filled a CONNECTION LIMIT; and PgBouncer
tries again (server_login_retry)."""
LASTING_SECONDS: Final = 10.0
"""What is full for so long is not full of vanished clients' backends: somebody has to know."""


class Answer(StrEnum):
    """What a server says to a new connection."""

    ACCEPTS = "accepts"
    REJECTS = "rejects"
    """It is there, and starting or shutting down: what runs may still end."""
    SILENT = "silent"


@dataclass
class Reachability:
    """One server as the clients' databases see it. `outage` makes the agent issue PAUSE: without it, PgBouncer
    rejects clients as soon as a login has failed and no connection is left. A server that is full is one too: a
    login that is refused ends all clients that wait, so none is tried before there is room again."""

    outage: bool = False
    reachable: bool | None = None
    error: str = ""
    silent: bool = False
    """The last probe had no answer at all: what still runs there cannot come to an end."""
    failures: dict[tuple[str, str], ServerFailure] = field(default_factory=dict)
    _failed_at: float | None = None
    _full_until: float = 0.0
    _full_since: dict[tuple[str, str], float] = field(default_factory=dict)
    _had_connections: bool = False
    _lost_all: bool = False
    _starved_since: float | None = None

    def failed(self, failure: ServerFailure, now: float) -> None:
        """The engine could not open a connection."""
        pool = failure.database, failure.user
        if failure.kind is FailureKind.FULL:
            self._full_until = now + FULL_SECONDS
            if now - self._full_since.setdefault(pool, now) < LASTING_SECONDS:
                return
        self.failures[pool] = failure
        if failure.kind is FailureKind.UNREACHABLE:
            self._failed_at, self.error = now, failure.text

    def observed(self, status: EngineStatus, now: float) -> None:
        """The engine's connections, now."""
        for pool in status.logged_in:
            self.failures.pop(pool, None)
            self._full_since.pop(pool, None)
        if status.usable > 0:
            self.reachable, self.error = True, ""
            self._starved_since = None
            self._had_connections, self._lost_all = True, False
            return
        self._lost_all |= self._had_connections and not status.paused
        self._had_connections = False
        if self._failed_at is not None and now - self._failed_at < FRESH_SECONDS and not self.outage:
            self.outage, self.reachable = True, False
        self.outage |= self.room_in(now) > 0
        if status.waiting == 0 or status.paused:
            self._starved_since = None
        elif self._starved_since is None:
            self._starved_since = now

    @property
    def login_error(self) -> str:
        """Why a client could not log in to the server; empty if each one could."""
        theirs = (failure for failure in self.failures.values() if failure.database != MONITOR_DATABASE)
        return next((failure.text for failure in theirs), "")

    def needs_probe(self, now: float) -> bool:
        """Whether somebody has to look if the server takes connections: better before a client finds out.

        Not while it was full a moment ago: it answers, and refuses the login that follows.
        """
        if self.room_in(now):
            return False
        starved = self._starved_since is not None and now - self._starved_since >= STARVED_SECONDS
        return self.outage or self._lost_all or starved

    def room_in(self, now: float) -> float:
        """Seconds until a server that was full a moment ago may have room; 0: now."""
        return max(0.0, self._full_until - now)

    def probed(self, answer: Answer) -> None:
        """The result of a probe."""
        answers = answer is Answer.ACCEPTS
        self.silent = answer is Answer.SILENT
        self.reachable = answers
        self.outage = not answers
        self._failed_at, self._starved_since, self._lost_all = None, None, False
        if answers:
            self.error = ""
            self._forget(FailureKind.UNREACHABLE)
        elif not self.error:
            self.error = "the server does not take connections"

    def retry_logins(self) -> None:
        """Passwords or certificates have changed: what failed before may work now."""
        self._forget(FailureKind.LOGIN)
        self._forget(FailureKind.TLS)

    def _forget(self, kind: FailureKind) -> None:
        self.failures = {pool: failure for pool, failure in self.failures.items() if failure.kind is not kind}


def matters(failure: ServerFailure, material: Material) -> bool:
    """Whether a failure tells something about the pool.

    The monitor's entry serves the agent only. That the server cannot be reached, the clients' databases tell by
    themselves, and only they may: what delays or refuses the monitor must not make clients wait. And whoever
    tries a user on the monitor's entry, or the monitor on a client's database, fails for himself.
    """
    monitor = material.monitor.name if material.monitor is not None else None
    if failure.database == MONITOR_DATABASE:
        return failure.user == monitor and failure.kind not in (FailureKind.UNREACHABLE, FailureKind.FULL)
    return failure.user != monitor or any(failure.user == user.name for user in material.users)


def failure_problems(failures: Iterable[ServerFailure], material: Material) -> tuple[Problem, ...]:
    """Failures in terms of the PgPool's fields, each field once."""
    problems: dict[str, Problem] = {}
    for failure in failures:
        place = _field(failure, material)
        reason = SECRET_INVALID if place == MONITOR_FIELD else _REASONS.get(failure.kind, failure.kind.value)
        problems.setdefault(place, Problem(field=place, text=failure.text, reason=reason))
    return tuple(problems.values())


def _field(failure: ServerFailure, material: Material) -> str:
    if failure.kind is FailureKind.UNREACHABLE:
        return "database"
    if failure.kind is FailureKind.TLS:
        return "tls.server"
    if failure.database == MONITOR_DATABASE:
        return MONITOR_FIELD
    if _NO_DATABASE.match(failure.text):
        positions = _positions(material.databases)
        return f"databases[{positions.get(failure.database, 0)}].dbname"
    secrets = {user.name: user.secret for user in reversed(material.users)}
    return f"auth.userSecrets[{secrets.get(failure.user, 0)}]"


def _positions(names: Iterable[str]) -> Mapping[str, int]:
    return {name: number for number, name in enumerate(names)}
