"""When the agent looks at the server's backends, how, and how long it believes what it saw."""

from pathlib import Path

import psycopg
import pytest

from pgpool_pooler.agent import enquiries as module
from pgpool_pooler.agent import sql
from pgpool_pooler.agent.activity import CHECK_SECONDS, KEEP_SECONDS, LOOK_SECONDS, TRY_SECONDS
from pgpool_pooler.agent.enquiries import Enquiries
from pgpool_pooler.agent.sql import Access
from pgpool_pooler.contract import Activity
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

    async def count_backends(self, access: Access, _material: Material) -> Activity:
        self.looked_as.append((access.database, access.user.name, access.user.password))
        await self.clock.sleep(self.takes_seconds)
        if isinstance(self.finds, Exception):
            raise self.finds
        return self.finds

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
