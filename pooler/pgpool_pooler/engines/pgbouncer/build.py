"""A PgBouncer with its process, console and log put together."""

from collections.abc import Callable
from pathlib import Path

import structlog

from pgpool_pooler.engines.base import ServerFailure, Setup, User
from pgpool_pooler.engines.process import Process
from pgpool_pooler.files import write_durably

from .auth import allowed_users
from .config import Files
from .console import SocketConsole
from .engine import PgBouncer
from .log import LogReader, parse

log = structlog.get_logger("pgbouncer")


class Built:
    """The engine, and where its events go."""

    def __init__(self, run_directory: Path, port: int, binary: Path) -> None:
        self._log = LogReader()
        self._failed: Callable[[ServerFailure], None] = lambda _: None
        self._changed: Callable[[], None] = lambda: None
        self.engine = PgBouncer(
            Files(run_directory, port),
            binary,
            SocketConsole(run_directory, port),
            Process(self._on_line, self._on_exit),
            self._log,
            write_durably,
        )

    def connect(self, failed: Callable[[ServerFailure], None], changed: Callable[[], None]) -> None:
        """Say who is told of failures to reach the server, and that there is something to look at."""
        self._failed, self._changed = failed, changed

    def _on_line(self, text: str) -> None:
        line = parse(text)
        # PgBouncer has to log why connections end; what is only about a client would drown the rest.
        if not line.about_client:
            log.info(line.text, level=line.level)
        failure = self._log.read(line)
        if failure is not None:
            self._failed(failure)
        elif line.about_lost_server:
            self._changed()

    def _on_exit(self, status: int) -> None:
        log.info("PgBouncer ended", status=status)
        self._changed()


def build(run_directory: Path, port: int, binary: Path) -> Built:
    """A PgBouncer that keeps its files and its socket in `run_directory`."""
    return Built(run_directory, port, binary)


def clear_users(setup: Setup) -> tuple[User, ...]:
    """Users that the agent can log in as."""
    return tuple(user for user in allowed_users(setup.material) if user.password)
