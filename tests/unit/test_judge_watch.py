"""What is known of sessions that begin while somebody starts to watch, end without a word, or are told of late."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from e2e.judge import watch
from e2e.judge.connection_log import judge
from e2e.world import Postgres

AT = "2026-11-25 12:00:00.000 UTC"


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> "FakePostgres":
    database = FakePostgres()
    monkeypatch.setattr(watch, "following", database.following)
    monkeypatch.setattr(watch, "query_at", database.log_in)
    return database


@dataclass
class FakePostgres:
    """A log, which is followed only after one more session of the pool has begun, and tells of all late."""

    lines: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    sessions: list[int] = field(default_factory=list)

    @property
    def kubectl(self) -> "FakePostgres":
        return self

    @contextmanager
    def following(self, *_: object) -> Iterator[list[str]]:
        self.open(7)
        self.late.clear()
        yield self.lines

    def open(self, pid: int, user: str = "main-app", name: str = "") -> None:
        self.late.append(
            f"{AT} [{pid}] LOG:  connection authorized: user={user} database=app application_name={name}"
        )
        if user == "main-app":
            self.sessions.append(pid)

    def log_in(self, dsn: str, _: str) -> list[tuple[int]]:
        """The log tells of one more session at each login."""
        name = re.search(r"application_name=(\S+)", dsn)
        self.open(100, "postgres", name[1] if name else "")
        self.lines.append(self.late.pop(0))
        return [(1,)]

    def dsn(self) -> str:
        return "host=/nowhere"

    def query(self, sql: str, _: tuple[Any, ...] = ()) -> list[tuple[int]]:
        return [(pid,) for pid in self.sessions] if "pg_stat_activity" in sql else []


def test_a_session_that_begins_before_the_log_is_followed_is_counted(database: FakePostgres) -> None:
    with watch.watched(cast(Postgres, database)) as seen:
        pass
    assert seen.log.peak == 1


def test_sessions_that_the_log_tells_of_late_are_counted(database: FakePostgres) -> None:
    with watch.watched(cast(Postgres, database)) as seen:
        for pid in (8, 9, 10):
            database.open(pid)
    assert seen.log.peak == 4


def test_sessions_that_a_crash_ended_are_not_counted_after_it() -> None:
    users = frozenset({"main-app"})
    lines = [
        f"{AT} [7] LOG:  connection authorized: user=main-app database=app",
        f"{AT} [1] LOG:  database system is ready to accept connections",
        f"{AT} [8] LOG:  connection authorized: user=main-app database=app",
    ]
    assert judge(lines, users).peak == 1


def test_a_login_that_a_limit_turned_away_was_no_session_though_it_was_authorized() -> None:
    users = frozenset({"main-app"})
    lines = [
        f"{AT} [7] LOG:  connection authorized: user=main-app database=app",
        f"{AT} [8] LOG:  connection authorized: user=main-app database=app",
        f'{AT} [8] FATAL:  too many connections for role "main-app"',
        f"{AT} [7] LOG:  disconnection: session time: 0:00:01.0",
        f"{AT} [8] LOG:  connection authorized: user=main-app database=app",
        f"{AT} [9] LOG:  connection authorized: user=main-app database=app",
    ]
    verdict = judge(lines, users)
    assert (verdict.peak, verdict.opened, verdict.refused) == (2, 3, 1)
    assert judge(lines[:3], users).peak == 1


@pytest.mark.parametrize(
    ("since", "until", "peak"),
    [(0, 1, 3), (2, 3, 2), (2, 4, 2), (4, 5, 1), (3, 6, 2), (6, 9, 0)],
    ids=["from the start", "nothing changes", "an end", "from there on", "over a crash", "after it"],
)
def test_the_peak_of_a_part_of_the_time_is_what_was_open_when_it_began_or_more(
    since: int, until: int, peak: int
) -> None:
    verdict = judge(
        [
            f"{_second(1)} [9] LOG:  disconnection: session time: 0:00:01.0",
            f"{_second(4)} [8] LOG:  disconnection: session time: 0:00:01.0",
            f"{_second(6)} [1] LOG:  database system is ready to accept connections",
        ],
        frozenset({"main-app"}),
        open_before=[7, 8, 9],
    )
    assert verdict.peak_between(_at(since), _at(until)) == peak


def _at(second: int) -> datetime:
    return datetime(2026, 11, 25, 12, 0, second, tzinfo=UTC)


def _second(second: int) -> str:
    return f"{_at(second):%Y-%m-%d %H:%M:%S.000} UTC"


def test_sessions_that_ended_because_their_client_had_vanished_are_counted() -> None:
    lines = [
        f"{AT} [7] LOG:  connection authorized: user=main-app database=app",
        f"{AT} [8] LOG:  connection authorized: user=postgres database=app",
        f"{AT} [7] app=[unknown],user=main-app,db=app,client=10.1.0.7(4711) FATAL:  connection to client lost",
        f"{AT} [7] LOG:  disconnection: session time: 0:00:01.0",
        f"{AT} [8] app=,user=postgres,db=app,client=[local] FATAL:  connection to client lost",
    ]
    assert judge(lines, frozenset({"main-app"})).ghosts == 1
