"""What is known of sessions that begin while somebody starts to watch."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from e2e.judge.watch import watched
from e2e.world import Postgres

AT = "2026-11-25 12:00:00.000 UTC"


@dataclass
class FakePostgres:
    """A log in a file, which `kubectl logs` follows only after one more session of the pool has begun."""

    log: Path
    sessions: list[int] = field(default_factory=list)

    @property
    def kubectl(self) -> "FakePostgres":
        return self

    def command(self, *_: str) -> list[str]:
        self.open(7)
        return ["tail", "-f", "-n", "0", str(self.log)]

    def open(self, pid: int, user: str = "main-app") -> None:
        with self.log.open("a") as log:
            log.write(f"{AT} [{pid}] LOG:  connection authorized: user={user} database=app\n")
        if user == "main-app":
            self.sessions.append(pid)

    def dsn(self) -> str:
        return "host=/nowhere"

    def query(self, sql: str, _: tuple[Any, ...] = ()) -> list[tuple[int]]:
        self.open(100, "postgres")
        return [(pid,) for pid in self.sessions] if "pg_stat_activity" in sql else []


def test_a_session_that_begins_before_the_log_is_followed_is_counted(tmp_path: Path) -> None:
    database = FakePostgres(tmp_path / "log")
    with watched(cast(Postgres, database)) as seen:
        pass
    assert seen.log is not None
    assert seen.log.peak == 1
