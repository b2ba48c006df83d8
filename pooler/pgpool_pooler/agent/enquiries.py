"""Questions that take time, asked beside the loop: who the server is, whether it answers, and warming up."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import psycopg
import structlog

from pgpool_pooler.contract import MONITOR_DATABASE, Activity, Backends, PoolMode, Problem, ServerIdentity
from pgpool_pooler.engines.base import Material, Setup, User

from . import sql
from .activity import Counts, Looks, count_backends, count_by_address
from .drain import Clock
from .reach import Answer

IDENTITY_SECONDS: Final = 60.0
DISPUTED_SECONDS: Final = 5.0
"""Until the next question, where several servers have answered: is that so, or were they changed over just then?"""
RETRY_SECONDS: Final = 2.0
PROBE_SECONDS: Final = 1.0
_LONGEST_QUEUE_SECONDS: Final = 600
"""Where clients wait without a limit, an answer is not waited for any longer."""

log = structlog.get_logger()


class Enquiries:
    """Asks through the engine's unix socket, one question of a kind at a time."""

    warm_seconds: Final = sql.WARM_SECONDS

    def __init__(
        self, directory: Path, port: int, users: Callable[[Setup], tuple[User, ...]], clock: Clock
    ) -> None:
        self._directory = directory
        self._port = port
        self._users = users
        self._clock = clock
        self.answered: Callable[[], None] = lambda: None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._mode: PoolMode | None = None
        self._next_identity = 0.0
        self._next_probe = 0.0
        self._looks = Looks()
        self._counts = Counts()
        self.identity: ServerIdentity | None = None
        self.others: tuple[ServerIdentity, ...] = ()
        self.warm = False
        self.problems: tuple[Problem, ...] = ()

    def engine_started(self, setup: Setup) -> None:
        """A new engine: warm it up, and ask who the server is."""
        self.server_changed()
        self.warm = False
        access = self._access(setup)
        if access is None:
            self.warm = True
        else:
            self._begin("warm", self._warm(access, setup))

    def server_changed(self) -> None:
        """What was known of the server is about another one."""
        self.identity, self.others = None, ()
        self._next_identity = 0.0
        self._cancel("identity")
        self._next_probe = 0.0
        self._cancel("probe")
        self._looks = Looks()
        self._cancel("look")
        self._counts = Counts()
        self._cancel("count")

    def ask_again(self) -> None:
        """The server was away; it may be another one, or a newer version."""
        self._next_identity = 0.0

    def identify(self, setup: Setup, at_work: frozenset[tuple[str, str]], now: float) -> None:
        """Ask the server who it is, if that is due; `at_work` are the (database, user) that use connections."""
        if setup.pool_mode is not self._mode:
            self._mode_changed(setup.pool_mode)
        if now < self._next_identity or not self.warm:
            return
        access = self._as_one_of(at_work, setup) or self._access(setup)
        if access is None:
            text = "no user has a clear password, so the pods cannot ask the server for max_connections"
            self.problems = (Problem(field="auth.userSecrets", text=text, reason="NoClearPassword"),)
            return
        self.problems = ()
        if self._begin("identity", self._identify(access, setup)):
            self._next_identity = now + RETRY_SECONDS

    def _mode_changed(self, mode: PoolMode) -> None:
        """What the server does about dead clients was read in another mode: nothing, until it is read anew."""
        self._mode = mode
        self._next_identity = 0.0
        self._cancel("identity")
        if self.identity is not None:
            self.identity = self.identity.model_copy(update={"detects_dead_clients": False})

    def look(self, setup: Setup, queues: frozenset[tuple[str, str]], now: float) -> None:
        """Look what the pool's backends do, if that is due; `queues` are the (database, user) that wait."""
        access = self._monitor(setup) or self._as_one_of(queues, setup)
        if access is None or not self.warm or not self._looks.due(access, now, waiting=bool(queues)):
            return
        if self._begin("look", self._look(access, setup.material)):
            self._looks.began(access, now)

    def count(self, setup: Setup, now: float) -> None:
        """Count the server's backends by where they come from, if that is due and a monitor was let in to look."""
        access = self._monitor(setup)
        if access is None or not self._looks.worked(access) or not self._counts.due(now):
            return
        if self._begin("count", self._count(access, now)):
            self._counts.began(now)

    def backends(self, now: float) -> Backends | None:
        """What was counted last; None if that is too long ago."""
        return self._counts.backends(now)

    def activity(self, now: float) -> Activity | None:
        """What the backends did when somebody looked last; None if that is too long ago."""
        return self._looks.activity(now)

    def probe(self, setup: Setup, answered: Callable[[Answer], None], now: float) -> None:
        """Look whether the server takes connections, at most once a second."""
        if now >= self._next_probe and self._begin("probe", self._probe(setup, answered)):
            self._next_probe = now + PROBE_SECONDS

    async def stop(self) -> None:
        """Ask nothing any more."""
        for name in list(self._tasks):
            self._cancel(name)

    async def _warm(self, access: sql.Access, setup: Setup) -> None:
        try:
            for database in setup.limits:
                if database == MONITOR_DATABASE:
                    continue
                there = sql.Access(access.directory, access.port, access.user, database)
                await sql.warm(there, _backends(setup, there))
        finally:
            self.warm = True
            self.answered()

    async def _identify(self, access: sql.Access, setup: Setup) -> None:
        backends, longest = _backends(setup, access), _longest_answer_seconds(setup)
        try:
            self.identity, *others = await sql.identify(access, setup.pool_mode, backends, longest)
            self.others = tuple(others)
            self._next_identity = self._clock.now() + (DISPUTED_SECONDS if others else IDENTITY_SECONDS)
            self.answered()
        except (psycopg.Error, TimeoutError) as error:
            log.warning("the server did not say who it is", error=str(error).strip() or "no answer")

    async def _look(self, access: sql.Access, material: Material) -> None:
        try:
            seen = await count_backends(access, material)
            self._looks.took(access, seen, self._clock.now())
        except (psycopg.Error, TimeoutError) as error:
            self._looks.failed()
            log.info("no look at the backends", error=str(error).strip() or "no answer")

    async def _count(self, access: sql.Access, asked_at: float) -> None:
        try:
            counted = await count_by_address(access)
            self._counts.took(counted, asked_at, self._clock.now())
        except (psycopg.Error, TimeoutError) as error:
            self._counts.failed()
            log.info("backends not counted", error=str(error).strip() or "no answer")

    async def _probe(self, setup: Setup, answered: Callable[[Answer], None]) -> None:
        answered(await sql.ping(setup.host, setup.port))

    def _access(self, setup: Setup) -> sql.Access | None:
        """As the first user that has a clear password, be he there or not."""
        user = next((user for user in self._users(setup) if user.password), None)
        database = next((name for name in setup.material.databases if name in setup.limits), None)
        if user is None or database is None:
            return None
        return sql.Access(self._directory, self._port, user, database)

    def _as_one_of(self, pools: frozenset[tuple[str, str]], setup: Setup) -> sql.Access | None:
        """As one who is there: one more user of a database would cost the others a part of its pool."""
        users = {user.name: user for user in self._users(setup) if user.password}
        for database, user in sorted(pools):
            if database in setup.limits and user in users:
                return sql.Access(self._directory, self._port, users[user], database)
        return None

    def _monitor(self, setup: Setup) -> sql.Access | None:
        """The way around the clients' queue. A monitor that is also a user has the user's password here."""
        monitor = setup.material.monitor
        if monitor is None or MONITOR_DATABASE not in setup.limits:
            return None
        if any(user.name == monitor.name for user in setup.material.users):
            monitor = next((user for user in self._users(setup) if user.name == monitor.name), None)
        return sql.Access(self._directory, self._port, monitor, MONITOR_DATABASE) if monitor else None

    def _begin(self, name: str, question: Coroutine[Any, Any, None]) -> bool:
        running = self._tasks.get(name)
        if running is not None and not running.done():
            question.close()
            return False
        task = asyncio.create_task(question)
        task.add_done_callback(_report_failure)
        self._tasks[name] = task
        return True

    def _cancel(self, name: str) -> None:
        if name in self._tasks:
            self._tasks.pop(name).cancel()


def _backends(setup: Setup, access: sql.Access) -> int:
    """What the agent's user may have of a database at once, beside its other users."""
    size, limit = setup.pool_size(access.database), setup.user_limit(access.user.name)
    return size if limit is None else min(size, limit)


def _longest_answer_seconds(setup: Setup) -> float:
    """The longer clients wait, the more depends on the answer, and who gives up begins at the end of the queue."""
    return (setup.material.config.timeouts.queue_seconds or _LONGEST_QUEUE_SECONDS) + sql.QUERY_SECONDS


def _report_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("a question failed", error=repr(error))
