"""When the agent looks at the server's backends, how, and how long it believes what it saw."""

from pathlib import Path

import psycopg
import pytest

from pgpool_pooler.agent import enquiries as module
from pgpool_pooler.agent import sql
from pgpool_pooler.agent.activity import (
    ADDRESSES_AT_MOST,
    CHECK_SECONDS,
    COUNT_SECONDS,
    KEEP_SECONDS,
    LOOK_SECONDS,
    TRY_SECONDS,
    count_by_address,
)
from pgpool_pooler.agent.enquiries import Enquiries
from pgpool_pooler.agent.sql import Access
from pgpool_pooler.contract import Activity, Backends
from pgpool_pooler.engines.base import Material, Setup, User
from pgpool_pooler.engines.pgbouncer.build import clear_users

from .builders import APP, material, monitored, setup
from .fakes import FakeClock

NOBODY: frozenset[tuple[str, str]] = frozenset()
APP_WAITS = frozenset({("app", "app")})
WITH_MONITOR = setup({"app": 2, "pgpool_monitor": 1}, material=monitored("app"))
WITHOUT = setup({"app": 2}, material=material("app"))


class Lookout:
    """Enquiries whose looks are recorded instead of made; what a test sets is what they find."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.enquiries = Enquiries(Path("/run/pgpool"), 5432, clear_users, self.clock)
        self.enquiries.warm = True
        self.looked_as: list[tuple[str, str, str]] = []
        self.finds: Activity | Exception = Activity(age_seconds=0, cpu=3, lock=1)
        self.takes_seconds = 0.0
        self.counted_as: list[str] = []
        self.counts: Backends | Exception = Backends(age_seconds=0, complete=True, by_address={"10.0.2.9": 2})

    async def count_backends(self, access: Access, _material: Material) -> Activity:
        self.looked_as.append((access.database, access.user.name, access.user.password))
        await self.clock.sleep(self.takes_seconds)
        if isinstance(self.finds, Exception):
            raise self.finds
        return self.finds

    async def count_by_address(self, access: Access) -> Backends:
        self.counted_as.append(access.user.name)
        await self.clock.sleep(self.takes_seconds)
        if isinstance(self.counts, Exception):
            raise self.counts
        return self.counts

    async def count(self, given: Setup, after: float = 0.0) -> int:
        """Give an occasion to count after so many seconds; return how many counts there have been."""
        self.clock.time += after
        self.enquiries.count(given, self.clock.now())
        task = self.enquiries._tasks.get("count")
        if task is not None:
            await task
        return len(self.counted_as)

    @property
    def backends(self) -> Backends | None:
        return self.enquiries.backends(self.clock.now())

    async def look(self, given: Setup, queues: frozenset[tuple[str, str]], after: float = 0.0) -> int:
        """Give an occasion to look after so many seconds; return how many looks there have been."""
        self.clock.time += after
        self.enquiries.look(given, queues, self.clock.now())
        task = self.enquiries._tasks.get("look")
        if task is not None:
            await task
        return len(self.looked_as)

    @property
    def activity(self) -> Activity | None:
        return self.enquiries.activity(self.clock.now())


@pytest.fixture
def lookout(monkeypatch: pytest.MonkeyPatch) -> Lookout:
    lookout = Lookout()
    monkeypatch.setattr(module, "count_backends", lookout.count_backends)
    monkeypatch.setattr(module, "count_by_address", lookout.count_by_address)
    return lookout


async def test_while_nobody_waits_nobody_looks(lookout: Lookout) -> None:
    assert await lookout.look(WITHOUT, NOBODY) == 0
    assert lookout.activity is None


async def test_while_clients_wait_there_is_a_look_every_2_seconds(lookout: Lookout) -> None:
    assert await lookout.look(WITHOUT, APP_WAITS) == 1
    assert await lookout.look(WITHOUT, APP_WAITS, after=LOOK_SECONDS - 0.1) == 1
    assert await lookout.look(WITHOUT, APP_WAITS, after=0.1) == 2


async def test_an_engine_that_is_not_warm_is_not_asked(lookout: Lookout) -> None:
    lookout.enquiries.warm = False
    assert await lookout.look(WITH_MONITOR, APP_WAITS) == 0


async def test_the_monitor_looks_past_the_clients_queue(lookout: Lookout) -> None:
    await lookout.look(WITH_MONITOR, APP_WAITS)
    assert lookout.looked_as == [("pgpool_monitor", "seer", "sees")]


async def test_a_monitor_that_is_a_user_too_logs_in_with_the_users_password(lookout: Lookout) -> None:
    twice = monitored("app", monitor=User("app", password="other"))
    await lookout.look(setup({"app": 1, "pgpool_monitor": 1}, material=twice), APP_WAITS)
    assert lookout.looked_as == [("pgpool_monitor", "app", "secret")]


@pytest.mark.parametrize(
    "given",
    [
        setup({"app": 2}, material=monitored("app")),
        setup({"app": 2, "pgpool_monitor": 1}, material=monitored("app", monitor=None)),
    ],
    ids=["no connection granted for it", "a Secret that was never good"],
)
async def test_where_the_monitor_cannot_log_in_a_user_looks(lookout: Lookout, given: Setup) -> None:
    await lookout.look(given, APP_WAITS)
    assert lookout.looked_as == [("app", "app", "secret")]


async def test_without_a_monitor_it_looks_as_one_who_waits_so_as_to_be_no_further_user(
    lookout: Lookout,
) -> None:
    users = (APP, User("report", "known"))
    given = setup({"app": 2, "b": 2}, material=material("app", "b", users=users))
    await lookout.look(given, frozenset({("b", "report")}))
    assert lookout.looked_as == [("b", "report", "known")]


async def test_who_waits_without_a_clear_password_cannot_be_looked_as(lookout: Lookout) -> None:
    users = (APP, User("report", verifier="SCRAM-SHA-256$4096:x$y:z"))
    given = setup({"app": 2}, material=material("app", users=users))
    assert await lookout.look(given, frozenset({("app", "report")})) == 0


async def test_a_monitor_is_tried_before_anybody_waits_and_every_minute_so_that_a_refusal_shows(
    lookout: Lookout,
) -> None:
    assert await lookout.look(WITH_MONITOR, NOBODY) == 1
    assert await lookout.look(WITH_MONITOR, NOBODY, after=CHECK_SECONDS - 0.1) == 1
    assert await lookout.look(WITH_MONITOR, NOBODY, after=0.1) == 2
    assert await lookout.look(WITHOUT, NOBODY, after=CHECK_SECONDS) == 2


async def test_a_new_password_of_the_monitor_is_tried(lookout: Lookout) -> None:
    await lookout.look(WITH_MONITOR, NOBODY)
    rotated = monitored("app", monitor=User("seer", "new"))
    assert await lookout.look(setup(WITH_MONITOR.limits, material=rotated), NOBODY, after=LOOK_SECONDS) == 2


async def test_a_monitor_that_is_refused_is_tried_seldom_whoever_waits(lookout: Lookout) -> None:
    lookout.finds = psycopg.OperationalError("password authentication failed")
    assert await lookout.look(WITH_MONITOR, APP_WAITS) == 1
    assert await lookout.look(WITH_MONITOR, APP_WAITS, after=TRY_SECONDS - 0.1) == 1
    assert await lookout.look(WITH_MONITOR, NOBODY, after=0.1) == 2


async def test_a_monitor_that_was_let_in_and_is_refused_now_is_tried_seldom_too(lookout: Lookout) -> None:
    await lookout.look(WITH_MONITOR, APP_WAITS)
    lookout.finds = psycopg.OperationalError("password authentication failed")
    assert await lookout.look(WITH_MONITOR, APP_WAITS, after=LOOK_SECONDS) == 2
    assert await lookout.look(WITH_MONITOR, APP_WAITS, after=LOOK_SECONDS) == 3
    assert await lookout.look(WITH_MONITOR, APP_WAITS, after=TRY_SECONDS - 0.1) == 3


async def test_an_activity_has_the_age_of_its_answer_and_goes_when_it_is_old(lookout: Lookout) -> None:
    lookout.takes_seconds = 9
    await lookout.look(WITHOUT, APP_WAITS)
    lookout.clock.time += KEEP_SECONDS
    assert lookout.activity == Activity(age_seconds=KEEP_SECONDS, cpu=3, lock=1)
    lookout.clock.time += 0.1
    assert lookout.activity is None


@pytest.mark.parametrize("error", [psycopg.OperationalError("no"), TimeoutError()])
async def test_a_look_that_fails_leaves_no_activity_and_no_problem(
    lookout: Lookout, error: Exception
) -> None:
    lookout.finds = error
    await lookout.look(WITHOUT, APP_WAITS)
    assert lookout.activity is None
    assert lookout.enquiries.problems == ()


async def test_what_was_seen_on_another_server_is_forgotten(lookout: Lookout) -> None:
    await lookout.look(WITHOUT, APP_WAITS)
    lookout.enquiries.server_changed()
    assert lookout.activity is None


async def test_the_monitors_connection_is_not_warmed_up_as_one_for_clients(
    lookout: Lookout, monkeypatch: pytest.MonkeyPatch
) -> None:
    warmed: list[tuple[str, int]] = []

    async def warm(access: Access, count: int) -> None:
        warmed.append((access.database, count))

    monkeypatch.setattr(sql, "warm", warm)
    lookout.enquiries.engine_started(WITH_MONITOR)
    await lookout.enquiries._tasks["warm"]
    assert warmed == [("app", 2)]


# Backends by where they come from


async def test_a_monitor_that_was_let_in_counts_every_3_seconds_whoever_waits(lookout: Lookout) -> None:
    assert await lookout.count(WITH_MONITOR) == 0
    await lookout.look(WITH_MONITOR, NOBODY)
    assert await lookout.count(WITH_MONITOR) == 1
    assert lookout.counted_as == ["seer"]
    assert await lookout.count(WITH_MONITOR, after=COUNT_SECONDS - 0.1) == 1
    assert await lookout.count(WITH_MONITOR, after=0.1) == 2


async def test_nobody_else_counts(lookout: Lookout) -> None:
    await lookout.look(WITHOUT, APP_WAITS)
    assert await lookout.count(WITHOUT) == 0


async def test_a_count_has_the_age_of_its_question_and_goes_when_it_is_old(lookout: Lookout) -> None:
    await lookout.look(WITH_MONITOR, NOBODY)
    lookout.takes_seconds = 9
    await lookout.count(WITH_MONITOR)
    assert lookout.backends == Backends(age_seconds=9, complete=True, by_address={"10.0.2.9": 2})
    lookout.clock.time += KEEP_SECONDS - 9
    assert lookout.backends is not None
    lookout.clock.time += 0.1
    assert lookout.backends is None


@pytest.mark.parametrize("error", [psycopg.OperationalError("no"), TimeoutError()])
async def test_a_count_that_fails_takes_the_last_one_back_and_is_tried_seldom(
    lookout: Lookout, error: Exception
) -> None:
    await lookout.look(WITH_MONITOR, NOBODY)
    await lookout.count(WITH_MONITOR)
    lookout.counts = error
    assert await lookout.count(WITH_MONITOR, after=COUNT_SECONDS) == 2
    assert lookout.backends is None
    assert await lookout.count(WITH_MONITOR, after=TRY_SECONDS - 0.1) == 2
    assert await lookout.count(WITH_MONITOR, after=0.1) == 3


async def test_what_was_counted_on_another_server_is_forgotten(lookout: Lookout) -> None:
    await lookout.look(WITH_MONITOR, NOBODY)
    await lookout.count(WITH_MONITOR)
    lookout.enquiries.server_changed()
    assert lookout.backends is None


class Answering(Access):
    """A login whose query has these rows."""

    rows: tuple[dict[str, object], ...] = ()

    async def connect(self) -> "Answering":  # type: ignore[override]
        return self

    async def __aenter__(self) -> "Answering":
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    async def execute(self, _query: str, _names: object) -> "Answering":
        return self

    async def fetchall(self) -> tuple[dict[str, object], ...]:
        return self.rows


def row(address: str | None, *, sees_all: bool = True) -> dict[str, object]:
    return {"address": address, "backends": 1, "sees_all": sees_all}


@pytest.mark.parametrize(
    ("rows", "complete"),
    [
        ([row("10.0.2.1"), row(None)], True),
        ([row("10.0.2.1"), row("10.0.2.2", sees_all=False)], False),
        ([row(f"10.0.2.{number}") for number in range(ADDRESSES_AT_MOST)], True),
        ([row(f"10.0.2.{number}") for number in range(ADDRESSES_AT_MOST + 1)], False),
        ([], False),
    ],
    ids=["all are seen", "others' are not", "as many as are told", "more", "no answer"],
)
async def test_a_count_is_complete_if_all_users_and_all_addresses_are_seen(
    rows: list[dict[str, object]], complete: bool
) -> None:
    access = Answering(Path("/run/pgpool"), 5432, APP, "pgpool_monitor")
    object.__setattr__(access, "rows", tuple(rows))
    counted = await count_by_address(access)
    assert counted.complete is complete
    assert len(counted.by_address) == min(len([r for r in rows if r["address"]]), ADDRESSES_AT_MOST)
