"""The pod's one engine: carries out what plan decides, and knows what became of that."""

from dataclasses import replace

import structlog

from pgpool_pooler.contract import PoolMode
from pgpool_pooler.engines.base import Engine, EngineError, EngineRejected, EngineStatus, Material, Setup

from . import plan
from .closings import Closings
from .drain import Clock
from .hold import MUTE_SECONDS, Lives
from .limits import highest
from .materials import Materials
from .outlook import Outlook
from .store import Store

log = structlog.get_logger()


class Runner:
    """Runs the engine, and tells the others of its starts, ends, changes and answers."""

    def __init__(
        self,
        engine: Engine,
        store: Store,
        materials: Materials,
        lives: Lives,
        closings: Closings,
        outlook: Outlook,
        clock: Clock,
    ) -> None:
        self._engine = engine
        self._store = store
        self._materials = materials
        self._lives = lives
        self._closings = closings
        self._outlook = outlook
        self._clock = clock
        self.in_force: Setup | None = None
        """What the engine runs with; None when it does not run."""
        self.status = EngineStatus()
        """What it said at the last look at which it answered."""
        self.unsure = False
        """A change had no answer; `in_force` has the highest limits that the engine may have."""
        self.answers = True
        """Whether it did when it was asked last; one that does not run has nothing to answer."""
        self._error = ""
        self._last_end = ""

    @property
    def problem(self) -> str:
        """What is wrong with the engine, for a person; empty if nothing is."""
        return self._error or (self._last_end if self._lives.crash_loop else "")

    async def look(self, *, ending: bool) -> None:
        """Ask the engine how it is; one that is `ending` may be gone or mute."""
        now = self._clock.now()
        self.answers = True
        if self.in_force is not None and not self._engine.running and not ending:
            self._ended("the engine ended by itself")
        if self.in_force is None or not self._engine.running:
            self.status = EngineStatus()
            return
        try:
            self.status = await self._engine.observe()
        except EngineError as error:
            await self._no_answer(error, now, ending=ending)
            return
        self._error = ""
        self._lives.answered(now)
        self._outlook.observed(self.status, now)

    async def carry_out(self, command: plan.Command) -> bool:
        """Have the engine do something; returns whether it took the command."""
        log.info("step", step=type(command).__name__, detail=_detail(command))
        try:
            await self._do(command)
        except EngineRejected as rejected:
            self._refused(command, rejected)
            return False
        except EngineError as error:
            self._error = str(error)
            log.warning("step failed", step=type(command).__name__, error=str(error))
            self._may_have_done(command, error)
            return False
        return True

    async def has_ended(self, *, clean: bool) -> None:
        """A drain is over: whatever became of that, the engine goes. `clean`: it left no backend that works."""
        if self._engine.running:
            await self._engine.kill()
        self.in_force, self.unsure = None, False
        self.status, self._error = EngineStatus(), ""
        if clean:
            self._lives.ended_clean(self._clock.now())
        else:
            self._may_have_left_backends()

    def is_not_wanted(self) -> None:
        """No engine is wanted: what became of the last one is no problem any more."""
        self._error = ""

    def needs_restart(self, material: Material) -> bool:
        """Whether the engine that runs takes the material only at its start."""
        now = self.in_force
        return now is not None and self._engine.needs_restart(now, replace(now, material=material))

    def _ended(self, how: str) -> None:
        self.in_force, self.unsure = None, False
        self._lives.crashed(self._clock.now())
        self._may_have_left_backends()
        self._error = f"{how} ({self._engine.last_words or 'no error said'})"
        self._last_end = f"it does not stay up; the last time: {self._error}"
        log.error(how, crashes=self._lives.crashes, words=self._engine.last_words)

    async def _no_answer(self, error: EngineError, now: float, *, ending: bool) -> None:
        self.answers = False
        self._error = str(error)
        if self._lives.mute_too_long(now) and not ending:
            await self._engine.kill()
            self._ended(f"the engine did not answer for {MUTE_SECONDS:.0f} s and was ended")

    async def _do(self, command: plan.Command) -> None:
        match command:
            case plan.Start(setup):
                await self._start(setup)
            case plan.Apply(setup):
                await self._apply(setup)
            case plan.Pause():
                await self._engine.pause()
            case plan.Resume():
                await self._engine.resume()
            case plan.Retire(database):
                await self._engine.retire(database)
            case plan.Revive(database):
                await self._engine.revive(database)
            case plan.AbortBusy():
                await self._abort_busy()

    async def _start(self, setup: Setup) -> None:
        self._store.engine_starts()
        self._reaches(setup)
        self._materials.starts(setup)
        await self._engine.start(setup)
        self._lives.started(self._clock.now())
        self._takes(setup)
        self._outlook.engine_started(setup)

    async def _apply(self, setup: Setup) -> None:
        await self._engine.apply(setup)
        before = self.in_force
        self.unsure = False
        # Before what is known of the server that was left is forgotten: by that is judged what was closed there.
        self._reaches(setup)
        self._takes(setup)
        if before is not None and (before.host, before.port) != (setup.host, setup.port):
            self._outlook.engine_moved()

    def _reaches(self, setup: Setup) -> None:
        """What is known of another server says nothing of this one."""
        server = setup.host, setup.port
        if server == self._lives.server:
            return
        self._outlook.server_left()
        self._closings.moved(server, setup.material.peers)

    def _takes(self, setup: Setup) -> None:
        before, self.in_force = self.in_force, setup
        self._materials.accept(setup)
        if before is None or before.material.logins != setup.material.logins:
            self._outlook.logins_changed()

    async def _abort_busy(self) -> None:
        """With or without an answer it may have cut off queries, which the server may yet work on."""
        detects = self._materials.detects_dead_clients
        try:
            await self._engine.abort_busy()
        finally:
            self._lives.cut_off(self._clock.now(), detects_dead_clients=detects)

    def _may_have_done(self, command: plan.Command, error: EngineError) -> None:
        """The engine did not answer: it may have taken the command, or may yet."""
        match command:
            case plan.Start():
                self._ended(str(error))
            case plan.Apply(setup) if self.in_force is not None:
                now = self.in_force
                had_sessions = now.had_sessions or setup.pool_mode is PoolMode.SESSION
                self.in_force = replace(
                    now, limits=highest(now.limits, setup.limits), had_sessions=had_sessions
                )
                self.unsure = True

    def _refused(self, command: plan.Command, rejected: EngineRejected) -> None:
        words = str(rejected)
        log.error("engine refused the configuration", words=words)
        if not isinstance(command, plan.Start | plan.Apply):
            return
        self._materials.reject(command.setup.material, words)
        if isinstance(command, plan.Start):
            self._lives.crashed(self._clock.now())
            if rejected.ran:
                self._may_have_left_backends()

    def _may_have_left_backends(self) -> None:
        self._lives.ended(self._clock.now(), detects_dead_clients=self._materials.detects_dead_clients)


def _detail(command: plan.Command) -> dict[str, object]:
    match command:
        case plan.Start(setup) | plan.Apply(setup):
            return {"host": setup.host, "limits": dict(setup.limits), "config": setup.material.config_hash}
        case plan.Retire(database) | plan.Revive(database):
            return {"database": database}
        case _:
            return {}
