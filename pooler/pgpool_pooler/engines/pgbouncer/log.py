"""PgBouncer's log lines: the only place where it says why a login to the server failed or a file was refused."""

import re
from collections import deque
from dataclasses import dataclass
from typing import Final

from pgpool_pooler.engines.base import FailureKind, ServerFailure

_LINE = re.compile(r"^[-\d]+ [\d:.]+ \w+ \[\d+\] (?P<level>[A-Z]+) (?P<text>.*)$")
_CLOSED = re.compile(
    r"^(?P<side>[SC])-0x[0-9a-f]+: (?P<database>.*)/(?P<user>[^/]*)@\S+ "
    r"closing because: (?P<reason>.*) \(age=\d+s\)$"
)
_LOGIN_FAILED = re.compile(r"^server login failed: (?P<level>[A-Z]+) (?P<reason>.*)$")
_TLS = re.compile(r"TLS|SSL|certificate", re.IGNORECASE)
_UNREACHABLE: Final = (
    "connect failed",
    "connect timeout",
    "server DNS lookup failed",
    "the database system is starting up",
    "the database system is shutting down",
    "the database system is not yet accepting connections",
    "the database system is not accepting connections",
    "the database system is in recovery mode",
)
"""PgBouncer's words for a server that it cannot reach, and PostgreSQL's for ERRCODE_CANNOT_CONNECT_NOW."""
_FULL: Final = (
    "too many connections for ",
    "sorry, too many clients already",
    "remaining connection slots are reserved",
)
"""PostgreSQL's words for ERRCODE_TOO_MANY_CONNECTIONS: the limit of a role, of a database, of the server."""
_CRASHED: Final = "server conn crashed?"
"""Also what PgBouncer says of a connection whose TLS handshake failed."""
_LOST: Final = (_CRASHED, "server connection closed", "terminating connection")
_IN_ORDER: Final = (
    "pause mode",
    "server lifetime over",
    "server idle timeout",
    "too many servers in the pool",
    "close_needed",
    "database configuration changed",
    "connect string changed",
    "obsolete connection",
    "evicted",
    "idle transaction timeout",
    "terminating connection",
    "the database system is ",
    "connect failed",
    "successfully sent cancel request",
    "client gave up on cancel request",
    "peer server was not necessary anymore",
    "cancel_wait_timeout",
)
"""Why a connection was closed that no backend works on any more: while nobody used it, by PostgreSQL's own word, or
because it carried but a cancel request. With any other reason a query may have run: a client that went in one, a
timeout, a network that was cut (disconnect_server in PgBouncer's sources)."""
_EXITS: Final = ("client connections dropped, exiting", "server connections dropped, exiting")
"""Of a PgBouncer that waited; one that is hurried (a second signal, SHUTDOWN) closes everything without a word."""
_LOGIN: Final = ("failed to answer authreq", "login failed", "exec_on_connect query failed")
"""PgBouncer cannot log in with what it knows of the user (e.g. a verifier that the server does not have)."""
_REASON_LENGTH: Final = 120
"""PgBouncer cuts the reason of a closed connection at 127 bytes."""
_KEPT_ERRORS: Final = 5


@dataclass(frozen=True)
class LogLine:
    """A line of PgBouncer's log without its time and process."""

    level: str
    text: str

    @property
    def about_client(self) -> bool:
        """Says only that a client left."""
        closed = _CLOSED.match(self.text)
        return closed is not None and closed["side"] == "C"

    @property
    def about_lost_server(self) -> bool:
        """Says that the server ended a connection."""
        closed = _CLOSED.match(self.text)
        return closed is not None and closed["side"] == "S" and closed["reason"].startswith(_LOST)


def parse(line: str) -> LogLine:
    """Split a line; one that has no level is passed on as it is."""
    match = _LINE.match(line)
    return LogLine(match["level"], match["text"]) if match else LogLine("LOG", line)


class LogReader:
    """Follows the log and finds failures to reach the server, and the errors said last."""

    def __init__(self) -> None:
        self._errors: deque[str] = deque(maxlen=_KEPT_ERRORS)
        self._cut_off = 0
        self._exits = False
        self._login_reason = ""
        self._tls_reason = ""

    def read(self, line: LogLine) -> ServerFailure | None:
        """Take in one line."""
        if line.level in ("ERROR", "FATAL") and not line.text.startswith("C-"):
            self._errors.append(line.text)
        self._exits = self._exits or line.text in _EXITS
        if login := _LOGIN_FAILED.match(line.text):
            self._login_reason = login["reason"]
        elif line.text.startswith("TLS ") or (line.level == "WARNING" and "TLS" in line.text):
            self._tls_reason = line.text
        closed = _CLOSED.match(line.text)
        if closed is None:
            return None
        if closed["side"] == "C":
            self._tls_reason = ""
            return None
        self._cut_off += not closed["reason"].startswith(_IN_ORDER)
        return self._failure(closed["database"], closed["user"], closed["reason"])

    def errors(self) -> str:
        """The errors since `forget_errors`, oldest first."""
        return "; ".join(self._errors)

    def forget_errors(self) -> None:
        """Start over."""
        self._errors.clear()

    def expect_end(self) -> None:
        """From now on count how connections are closed."""
        self._cut_off, self._exits = 0, False

    @property
    def ended_clean(self) -> bool:
        """Whether PgBouncer waited until it could exit, and since `expect_end` cut nothing off that may work."""
        return self._exits and not self._cut_off

    def _failure(self, database: str, user: str, reason: str) -> ServerFailure | None:
        said, self._login_reason = self._login_reason, ""
        tls, self._tls_reason = self._tls_reason, ""
        if tls and reason.startswith((_CRASHED, *_UNREACHABLE)):
            return ServerFailure(FailureKind.TLS, database, user, tls)
        if reason.startswith(_UNREACHABLE):
            return ServerFailure(FailureKind.UNREACHABLE, database, user, reason)
        if reason.startswith(_FULL):
            return ServerFailure(FailureKind.FULL, database, user, said or reason)
        if said and said[:_REASON_LENGTH] == reason[:_REASON_LENGTH]:
            kind = FailureKind.TLS if _TLS.search(said) else FailureKind.LOGIN
            return ServerFailure(kind, database, user, said)
        if reason.startswith(_LOGIN):
            return ServerFailure(FailureKind.LOGIN, database, user, reason)
        if _TLS.search(reason):
            return ServerFailure(FailureKind.TLS, database, user, tls or reason)
        return None
