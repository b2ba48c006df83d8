"""The agent's one loop: it computes what should be from grant, configuration and Secrets, looks at the engine,
and takes one step towards it. Events only wake it up; it never depends on having seen one."""

import asyncio
import contextlib
import math
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Final

import structlog

from pgpool_pooler.contract import Grant, Peers, Problem
from pgpool_pooler.engines.base import (
    Engine,
    EngineError,
    EngineRejected,
    EngineStatus,
    Material,
    ServerFailure,
    Setup,
)
from pgpool_pooler.engines.process import cpu_seconds, reap_orphans

from . import grants, plan
from .acknowledge import Acknowledgement
from .cpu import cpu_available
from .crowd import Crowd
from .drain import UNREADY_SECONDS, Clock, drain
from .enquiries import Enquiries
from .hold import MUTE_SECONDS, Lives
from .inputs import Inputs, Reading
from .lately import Memory
from .limits import highest
from .materials import Materials
from .reach import Answer, Reachability, matters
from .report import Facts
from .settings import Settings
from .sockets import GIVEN_UP_SECONDS
from .store import Store

TICK_SECONDS: Final = 1.0
BUSY_TICK_SECONDS: Final = 0.05
"""While connections close, or a grant is not acknowledged yet."""
BUSY_SECONDS: Final = 10.0
"""For so long at a time the loop looks that often: what is not done by then waits for a transaction or a session,
which may last for hours, and each look costs the engine's CPU."""
LONG_TICK_SECONDS: Final = 0.5
"""After BUSY_SECONDS, until what is being waited for is done."""
log = structlog.get_logger()


class Supervisor:
    """Runs one engine for one pod."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        inputs: Inputs,
        engine: Engine,
        enquiries: Enquiries,
        clock: Clock,
        unconfirmed_ends: Callable[[Collection[str]], int],
    ) -> None:
        """`unconfirmed_ends`, of the pod's connections to others than these addresses: see sockets."""
        self._settings = settings
        self._store = store
        self._inputs = inputs
        self._engine = engine
        self._enquiries = enquiries
        enquiries.answered = self.wake
        self._clock = clock
        self._unconfirmed_ends = unconfirmed_ends
        self._unconfirmed = 0
        self._unconfirmed_since = 0.0
        self._unconfirmed_is_detected = False
        self._unconfirmed_was_left = False
        self._sockets_seen_at = -math.inf
        self._wake = asyncio.Event()
        self._reach = Reachability()
        self._reached: tuple[str, int] | None = None
        self._acknowledgement = Acknowledgement()
        self._memory = Memory()
        self._crowd = Crowd()
        self._grant = store.grant()
        self._takes_away = False
        self._materials = Materials(store)
        self._reading = Reading("", None, "starting", "", ())
        self._status = EngineStatus()
        self._in_force: Setup | None = None
        self._refused_grant = ""
        self._refusals = 0
        self._agent_error = ""
        self._engine_error = ""
        self._last_end = ""
        self._seen = True
        self._unsure = False
        self._move_since: float | None = None
        self._busy_since: float | None = None
        self._drain: asyncio.Task[bool] | None = None
        self._accepts = True
        self._interrupted = False
        self._leaving = False
        self._ticked_at = clock.now()
        self.changed = asyncio.Condition()
        self._lives = Lives(
            clock.now(),
            lived_before=store.lived(),
            detects_dead_clients=self._materials.detects_dead_clients,
        )

    def wake(self) -> None:
        """Something happened; look at once."""
        self._wake.set()

    def server_failed(self, failure: ServerFailure) -> None:
        """The engine said that it could not open a connection."""
        if self._in_force is not None and not matters(failure, self._in_force.material):
            return
        self._reach.failed(failure, self._clock.now())
        self.wake()

    def leave(self) -> None:
        """The pod is to end (SIGTERM)."""
        self._leaving = True
        self.wake()

    def seconds_since_tick(self) -> float:
        """How long ago the loop came round."""
        return self._clock.now() - self._ticked_at

    async def run(self) -> bool:
        """Work until the pod has been drained after `leave`; returns whether it has left no backend that works."""
        while not (self._leaving and self._may_end()):
            pause = await self._safe_tick()
            async with self.changed:
                self.changed.notify_all()
            if pause > 0:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), pause)
            self._wake.clear()
        return self._lives.left_nothing(self._clock.now())

    async def _safe_tick(self) -> float:
        """A tick whose failure is reported instead of ending process 1, and with it every client's connection."""
        try:
            pause = await self.tick()
        except Exception as error:
            log.exception("tick failed")
            self._agent_error = f"the agent failed: {type(error).__name__}: {error}"
            return TICK_SECONDS
        self._agent_error = ""
        return pause

    async def tick(self) -> float:
        """Look at everything, take one step, and say after how many seconds to look again."""
        self._ticked_at = self._clock.now()
        reap_orphans(self._engine.pid)
        self._reading = self._inputs.read()
        self._take_grant()
        await self._look()
        if self._should_drain():
            await self._drive_drain()
        in_force = self._in_force.material if self._in_force is not None else None
        material = self._materials.choose(self._reading.material, in_force)
        newest = material or self._materials.accepted
        peers = newest.peers if newest is not None else Peers()
        self._watch_closings(peers)
        if self._grant is None:
            return TICK_SECONDS
        if material is None:
            self._look_without_material(self._grant, peers)
            return TICK_SECONDS
        if not self._seen:
            # What it was like before says nothing of now, and it would not hear a command.
            self._acknowledgement.look(self._grant.generation, settled=False, now=self._clock.now())
            return TICK_SECONDS
        view = self._view(self._grant, material)
        self._interrupted = plan.interrupted(view)
        step = self._decide(view)
        settled = self._settled(view)
        if not isinstance(step, plan.Idle):
            if not settled:
                # Many steps may follow each other before the next look.
                self._acknowledgement.look(self._grant.generation, settled=False, now=self._clock.now())
            done = await self._carry_out(step)
            # What failed, or waits for its effect, would be repeated at once.
            return BUSY_TICK_SECONDS if not done or isinstance(step, plan.AbortBusy) else 0.0
        self._acknowledgement.look(self._grant.generation, settled=settled, now=self._clock.now())
        if view.in_force is None and not view.holding:
            # None is wanted: what became of the last one is no problem any more.
            self._engine_error = ""
        self._enquire(view)
        acknowledged = self._acknowledgement.generation == self._grant.generation
        if not settled or not acknowledged or plan.still_closing(view):
            return self._busy_tick()
        self._busy_since = None
        return min(TICK_SECONDS, self._reach.room_in(self._clock.now()) or TICK_SECONDS)

    def _decide(self, view: plan.View) -> plan.Step:
        if self._drain is None and not self._leaving:
            return plan.decide(view)
        if self._drain is None or not self._engine.running:
            return plan.Idle()
        return plan.serve_on(view) if self._accepts else plan.shrink(view)

    def _look_without_material(self, grant: Grant, peers: Peers) -> None:
        """Nothing can run, perhaps for long: what is taken away is given back all the same."""
        settled = plan.obeyed_by_nothing(grant, takes_away=self._takes_away) and self._all_ended(peers)
        self._acknowledgement.look(grant.generation, settled=settled, now=self._clock.now())

    def _settled(self, view: plan.View) -> bool:
        """Whether the grant is in force and drained, to the server too. Sockets are looked at last, and seldom."""
        if not plan.settled(view):
            return False
        acknowledged = self._acknowledgement.generation == view.grant.generation
        return acknowledged or self._all_ended(view.material.peers)

    def _all_ended(self, peers: Peers) -> bool:
        """Whether the backends of all that was closed are gone, as far as anybody knows."""
        return self._all_confirmed(peers) and not self._lives.ending(self._clock.now())

    def _all_confirmed(self, peers: Peers) -> bool:
        """Whether the servers know of everything that was closed, or the kernel has given up telling them."""
        now, before = self._clock.now(), self._unconfirmed
        self._sockets_seen_at = now
        self._unconfirmed = self._unconfirmed_ends(peers.addresses.values())
        if self._unconfirmed and not before:
            self._unconfirmed_since = now
            self._unconfirmed_is_detected = self._materials.detects_dead_clients
            self._unconfirmed_was_left = False
            log.info("waiting until the server has noticed what was closed", connections=self._unconfirmed)
        if before and not self._unconfirmed and now - self._unconfirmed_since >= GIVEN_UP_SECONDS:
            log.warning("the server may never have noticed what was closed", connections=before)
            if not self._unconfirmed_was_left:
                self._lives.given_up(detects_dead_clients=self._unconfirmed_is_detected)
        return not self._unconfirmed

    def _watch_closings(self, peers: Peers) -> None:
        """Look once a second where one would be missed of which the kernel gives up telling the server: while the
        engine ends and after that, and while a grant is not obeyed where the server finds nothing out itself."""
        ending = self._drain is not None or self._in_force is None
        obeyed = self._grant is None or self._acknowledgement.generation == self._grant.generation
        missed = self._unconfirmed or ending or not (obeyed or self._materials.detects_dead_clients)
        if missed and self._clock.now() - self._sockets_seen_at >= TICK_SECONDS:
            self._all_confirmed(peers)

    def _holding(self, material: Material) -> bool:
        """Whether backends of an earlier engine may exist."""
        if self._lives.holding(self._clock.now()):
            return True
        return self._in_force is None and not self._all_confirmed(material.peers)

    def _busy_tick(self) -> float:
        """Seconds until the next look, while something is not done yet.

        Few, for however long that lasts, while the engine is paused: every client waits then.
        """
        now = self._clock.now()
        self._busy_since = now if self._busy_since is None else self._busy_since
        is_long = now - self._busy_since >= BUSY_SECONDS and not self._status.paused
        return LONG_TICK_SECONDS if is_long else BUSY_TICK_SECONDS

    def facts(self) -> Facts:
        """What there is to report."""
        now = self._clock.now()
        return Facts(
            identity=self._settings.identity,
            grant=self._grant,
            acknowledged=self._acknowledgement.generation,
            in_force=self._in_force,
            status=self._status,
            running=self._engine.running and self._in_force is not None,
            warm=self._enquiries.warm or now - self._lives.started_at > self._enquiries.warm_seconds,
            holding=self._lives.holding(now) or (self._in_force is None and self._unconfirmed > 0),
            mute=not self._seen,
            refusals=self._refusals,
            crashes=self._lives.all_crashes,
            draining=self._drain is not None or self._leaving,
            reach=self._reach,
            server_identity=self._enquiries.identity,
            other_servers=self._enquiries.others,
            activity=self._enquiries.activity(now),
            backends=self._enquiries.backends(now),
            cpu_seconds=cpu_seconds(self._engine.pid),
            cpu_available=cpu_available(self._engine.traits.threads),
            config_hash=self._materials.accepted.config_hash if self._materials.accepted is not None else "",
            secrets_version=self._reading.secrets_version,
            missing=self._reading.missing,
            problems=self._problems(),
        )

    def _take_grant(self) -> None:
        verdict = grants.judge(self._reading.grant_text, self._grant, self._settings.identity.uid)
        if isinstance(verdict, grants.Accepted):
            verdict = self._accept(verdict)
        refused = verdict.why if isinstance(verdict, grants.Refused) else ""
        if refused and refused != self._refused_grant:
            self._refusals += 1
            log.warning("grant refused", why=refused)
        self._refused_grant = refused

    def _accept(self, verdict: grants.Accepted) -> grants.Verdict:
        """Persist a grant, then follow it."""
        try:
            self._store.keep_grant(verdict.grant)
        except OSError as error:
            return grants.Refused(f"cannot be persisted, free the pod's volume for its data: {error}")
        if self._grant is None and grants.may_have_been_followed(verdict.grant):
            self._lives.ended(self._clock.now(), detects_dead_clients=False)
        self._takes_away = self._grant is not None and grants.takes_away(verdict.grant, self._grant)
        self._grant, self._busy_since = verdict.grant, None
        log.info("grant accepted", grant=verdict.grant.model_dump(mode="json", by_alias=True))
        return verdict

    def _view(self, grant: Grant, material: Material) -> plan.View:
        now, status = self._clock.now(), self._status
        view = plan.View(
            grant=grant,
            material=material,
            in_force=self._in_force,
            status=replace(status, crowd=self._crowd.look(status.crowd, now)),
            lately=self._memory.look(status, self._in_force, now),
            holding=self._holding(material),
            takes_away=self._takes_away,
            outage=self._reach.outage,
            unsure=self._unsure,
        )
        if not plan.moving(view):
            self._move_since = None
            return replace(view, restart_needed=self._restart_needed(view))
        if self._move_since is None:
            self._move_since = now
        patience = material.config.timeouts.switchover_seconds
        overdue = self._reach.silent or now - self._move_since > patience
        return replace(view, move_overdue=overdue)

    def _restart_needed(self, view: plan.View) -> bool:
        now = view.in_force
        return now is not None and self._engine.needs_restart(now, replace(now, material=view.material))

    async def _look(self) -> None:
        now = self._clock.now()
        self._seen = True
        if self._in_force is not None and not self._engine.running and self._drain is None:
            self._ended("the engine ended by itself")
        if self._in_force is None or not self._engine.running:
            self._status = EngineStatus()
            return
        try:
            self._status = await self._engine.observe()
        except EngineError as error:
            await self._no_answer(error, now)
            return
        self._engine_error = ""
        self._lives.answered(now)
        self._reach.observed(self._status, now)

    def _ended(self, how: str) -> None:
        self._in_force, self._unsure = None, False
        self._lives.crashed(self._clock.now())
        self._may_have_left_backends()
        self._engine_error = f"{how} ({self._engine.last_words or 'no error said'})"
        self._last_end = f"it does not stay up; the last time: {self._engine_error}"
        log.error(how, crashes=self._lives.crashes, words=self._engine.last_words)

    async def _no_answer(self, error: EngineError, now: float) -> None:
        self._seen = False
        self._engine_error = str(error)
        if self._lives.mute_too_long(now) and self._drain is None:
            await self._engine.kill()
            self._ended(f"the engine did not answer for {MUTE_SECONDS:.0f} s and was ended")

    async def _carry_out(self, step: plan.Step) -> bool:
        """Take a step; returns whether the engine took it."""
        log.info("step", step=type(step).__name__, detail=_detail(step))
        try:
            await self._do(step)
        except EngineRejected as rejected:
            self._reject(step, rejected)
            return False
        except EngineError as error:
            self._engine_error = str(error)
            log.warning("step failed", step=type(step).__name__, error=str(error))
            self._may_have_done(step, error)
            return False
        return True

    def _may_have_done(self, step: plan.Step, error: EngineError) -> None:
        """The engine did not answer: it may have taken the command, or may yet."""
        match step:
            case plan.Start():
                self._ended(str(error))
            case plan.Apply(setup) if self._in_force is not None:
                self._in_force = replace(self._in_force, limits=highest(self._in_force.limits, setup.limits))
                self._unsure = True

    async def _do(self, step: plan.Step) -> None:
        match step:
            case plan.Start(setup):
                self._store.engine_starts()
                self._reaches(setup)
                await self._engine.start(setup)
                self._lives.started(self._clock.now())
                self._in_force_is(setup)
                self._enquiries.engine_started(setup)
            case plan.Apply(setup):
                await self._engine.apply(setup)
                self._applied(setup)
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
            case plan.Restart():
                self._begin_drain(unready_seconds=0.0)

    async def _abort_busy(self) -> None:
        """With or without an answer it may have cut off queries, which the server may yet work on."""
        detects = self._materials.detects_dead_clients
        try:
            await self._engine.abort_busy()
        finally:
            self._lives.cut_off(self._clock.now(), detects_dead_clients=detects)

    def _applied(self, setup: Setup) -> None:
        before = self._in_force
        self._unsure = False
        self._in_force_is(setup)
        if before is not None and (before.host, before.port) != (setup.host, setup.port):
            self._reaches(setup)
            self._enquiries.server_changed()

    def _reaches(self, setup: Setup) -> None:
        """What was known of another server says nothing of this one.

        What was closed there is still waited for, but not for ever: mostly that server is gone itself.
        """
        server = setup.host, setup.port
        if server == self._reached:
            return
        self._reached, self._reach = server, Reachability()
        self._lives.moved()
        self._unconfirmed_was_left = not self._all_confirmed(setup.material.peers)

    def _in_force_is(self, setup: Setup) -> None:
        before, self._in_force = self._in_force, setup
        self._materials.accept(setup)
        if before is None or before.material.logins != setup.material.logins:
            self._reach.retry_logins()

    def _reject(self, step: plan.Step, rejected: EngineRejected) -> None:
        words = str(rejected)
        log.error("engine refused the configuration", words=words)
        if not isinstance(step, plan.Start | plan.Apply):
            return
        self._materials.reject(step.setup.material, words)
        if isinstance(step, plan.Start):
            self._lives.crashed(self._clock.now())
            if rejected.ran:
                self._may_have_left_backends()

    def _enquire(self, view: plan.View) -> None:
        if view.in_force is None:
            return
        now = self._clock.now()
        if self._reach.needs_probe(now) or plan.moving(view):
            self._enquiries.probe(view.in_force, self._probed, now)
        if not self._status.paused:
            self._enquiries.identify(view.in_force, self._status.at_work, now)
            if self._drain is None:
                self._enquiries.look(view.in_force, self._status.queues, now)
                self._enquiries.count(view.in_force, now)
            # Not while it is paused: the identity is not asked anew then, and may be of another mode.
            identity = self._enquiries.identity
            if identity is not None:
                self._materials.server_said(detects_dead_clients=identity.detects_dead_clients)

    def _probed(self, answer: Answer) -> None:
        if (answer is Answer.ACCEPTS) is self._reach.outage:
            log.info("server probed", answer=answer)
            self._enquiries.ask_again()
        self._reach.probed(answer)
        self.wake()

    def _should_drain(self) -> bool:
        return self._drain is not None or (self._leaving and self._in_force is not None)

    async def _drive_drain(self) -> None:
        if self._drain is None:
            self._begin_drain(unready_seconds=UNREADY_SECONDS)
        elif self._drain.done():
            ended, self._drain = self._drain, None
            await self._drain_ended(ended)

    async def _drain_ended(self, drain: asyncio.Task[bool]) -> None:
        """The engine is gone after a drain, whatever became of that."""
        if (error := drain.exception()) is not None:
            log.error("the drain failed", error=repr(error))
        if self._engine.running:
            await self._engine.kill()
        self._in_force, self._unsure = None, False
        self._status, self._engine_error = EngineStatus(), ""
        if error is None and drain.result():
            self._lives.ended_clean(self._clock.now())
        else:
            self._may_have_left_backends()

    def _may_have_left_backends(self) -> None:
        self._lives.ended(self._clock.now(), detects_dead_clients=self._materials.detects_dead_clients)

    def _begin_drain(self, unready_seconds: float) -> None:
        log.info("draining", seconds=self._settings.drain_seconds)
        self._engine.expect_end()
        self._accepts = True
        self._drain = asyncio.create_task(self._drain_engine(unready_seconds))
        self._drain.add_done_callback(lambda _: self.wake())

    async def _drain_engine(self, unready_seconds: float) -> bool:
        """Until it takes no more clients the engine serves as always; then it cannot be resumed any more."""
        await self._clock.sleep(unready_seconds)
        end = self._clock.now() + self._settings.drain_seconds
        while self._interrupted and self._engine.running and self._clock.now() < end:
            await self._clock.sleep(BUSY_TICK_SECONDS)
        self._accepts = False
        return await drain(self._engine, end - self._clock.now(), self._clock)

    def _may_end(self) -> bool:
        """Whether the pod may end: what it closed and the server does not know yet, nobody could see after it."""
        if self._drain is not None or self._in_force is not None:
            return False
        accepted = self._materials.accepted
        return accepted is None or self._all_confirmed(accepted.peers)

    def _problems(self) -> tuple[Problem, ...]:
        problems = list(self._reading.problems)
        if self._refused_grant:
            where = "metadata.annotations[pgpool.dev/grant]"
            text = f"{self._settings.identity.name} refuses it: {self._refused_grant}"
            problems.append(Problem(field=where, text=text, reason="GrantRefused"))
        if self._materials.refusal:
            text = f"{self._settings.identity.name}: {self._materials.refusal}"
            problems.append(Problem(field=self._engine_name(), text=text, reason="EngineRejected"))
        if self._materials.unkept:
            text = f"{self._settings.identity.name}: {self._materials.unkept}"
            problems.append(Problem(field="data", text=text, reason="NotPersisted"))
        if error := self._agent_error or self._engine_error:
            problems.append(Problem(field="engine", text=error, reason="EngineFailed"))
        elif self._lives.crash_loop and self._last_end:
            problems.append(Problem(field="engine", text=self._last_end, reason="EngineFailed"))
        return (*problems, *self._enquiries.problems)

    def _engine_name(self) -> str:
        offered = self._reading.material
        return offered.config.engine if offered is not None else "engine"


def _detail(step: plan.Step) -> dict[str, object]:
    match step:
        case plan.Start(setup) | plan.Apply(setup):
            return {"host": setup.host, "limits": dict(setup.limits), "config": setup.material.config_hash}
        case plan.Retire(database) | plan.Revive(database):
            return {"database": database}
        case _:
            return {}
