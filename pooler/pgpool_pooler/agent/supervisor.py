"""The agent's one loop: it computes what should be from grant, configuration and Secrets, looks at the engine,
and takes one step towards it. Events only wake it up; it never depends on having seen one."""

import asyncio
import contextlib
from collections.abc import Callable, Collection
from dataclasses import replace

import structlog

from pgpool_pooler.contract import Grant, Peers, Problem
from pgpool_pooler.engines.base import Engine, Material, ServerFailure
from pgpool_pooler.engines.process import cpu_seconds, reap_orphans

from . import plan
from .acknowledge import Acknowledgement
from .closings import Closings
from .cpu import cpu_available
from .drain import UNREADY_SECONDS, Clock
from .ending import Ending
from .enquiries import Enquiries
from .granted import Granted
from .hold import Lives
from .inputs import Inputs, Reading
from .materials import Materials
from .outlook import Outlook
from .pace import BUSY_TICK_SECONDS, TICK_SECONDS, Pace
from .report import Facts
from .runner import Runner
from .settings import Settings
from .store import Store

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
        self._inputs = inputs
        self._engine = engine
        self._enquiries = enquiries
        enquiries.answered = self.wake
        self._clock = clock
        self._wake = asyncio.Event()
        self._acknowledgement = Acknowledgement()
        self._reading = Reading("", None, "starting", "", ())
        self._agent_error = ""
        self._pace = Pace()
        self._leaving = False
        self._ticked_at = clock.now()
        self.changed = asyncio.Condition()
        self._materials = materials = Materials(store)
        self._lives = lives = Lives(
            clock.now(),
            lived_before=store.lived(),
            detects_dead_clients=materials.detects_dead_clients,
            server=materials.server,
        )
        self._granted = Granted(store, settings.identity.uid, lives, clock)
        self._closings = closings = Closings(unconfirmed_ends, materials, lives, clock)
        self._outlook = outlook = Outlook(enquiries, clock, self.wake)
        self._runner = Runner(engine, store, materials, lives, closings, outlook, clock)
        self.ending = Ending(engine, settings.drain_seconds, clock, self.wake)

    def wake(self) -> None:
        """Something happened; look at once."""
        self._wake.set()

    def server_failed(self, failure: ServerFailure) -> None:
        """The engine said that it could not open a connection."""
        self._outlook.server_failed(failure, self._runner.in_force)

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
        if self._granted.take(self._reading.grant_text):
            self._pace.rest()
        await self._runner.look(ending=self.ending.under_way)
        if self._should_drain():
            await self._drive_drain()
        in_force = self._runner.in_force.material if self._runner.in_force is not None else None
        material = self._materials.choose(self._reading.material, in_force)
        newest = material or self._materials.accepted
        peers = newest.peers if newest is not None else Peers()
        self._watch_closings(peers)
        grant = self._granted.grant
        if grant is None:
            return TICK_SECONDS
        if material is None:
            self._look_without_material(grant, peers)
            return TICK_SECONDS
        if not self._runner.answers:
            # What it was like before says nothing of now, and it would not hear a command.
            self._acknowledge(grant, settled=False)
            return TICK_SECONDS
        return await self._work(self._view(grant, material))

    async def _work(self, view: plan.View) -> float:
        """Take one step, or see what has been reached; returns when to look again."""
        self.ending.interrupted = plan.interrupted(view)
        step = self._decide(view)
        settled = self._settled(view)
        if not isinstance(step, plan.Idle):
            if not settled:
                # Many steps may follow each other before the next look.
                self._acknowledge(view.grant, settled=False)
            return await self._act(step)
        self._acknowledge(view.grant, settled=settled)
        if view.in_force is None and not view.holding:
            self._runner.is_not_wanted()
        identity = self._outlook.enquire(view, ending=self.ending.under_way)
        if identity is not None:
            self._materials.server_said(detects_dead_clients=identity.detects_dead_clients)
        if not settled or not self._acknowledged(view.grant) or plan.still_closing(view):
            return self._pace.busy(self._clock.now(), paused=view.status.paused)
        self._pace.rest()
        return min(TICK_SECONDS, self._outlook.room_in() or TICK_SECONDS)

    def _decide(self, view: plan.View) -> plan.Step:
        if not self.ending.under_way:
            return plan.Idle() if self._leaving else plan.decide(view)
        if not self._engine.running:
            return plan.Idle()
        return plan.serve_on(view) if self.ending.accepts else plan.shrink(view)

    async def _act(self, step: plan.Restart | plan.Command) -> float:
        """Take a step; returns when to look again."""
        if isinstance(step, plan.Restart):
            log.info("step", step="Restart", detail={})
            self.ending.begin(unready_seconds=0.0)
            return 0.0
        taken = await self._runner.carry_out(step)
        # What failed, or waits for its effect, would be repeated at once.
        return BUSY_TICK_SECONDS if not taken or isinstance(step, plan.AbortBusy) else 0.0

    def _look_without_material(self, grant: Grant, peers: Peers) -> None:
        """Nothing can run, perhaps for long: what is taken away is given back all the same."""
        obeyed = plan.obeyed_by_nothing(grant, takes_away=self._granted.takes_away)
        settled = obeyed and self._closings.all_ended(peers)
        self._acknowledge(grant, settled=settled)

    def _settled(self, view: plan.View) -> bool:
        """Whether the grant is in force and drained, to the server too. Sockets are looked at last, and seldom."""
        if view.in_force is not None and not self._engine.running:
            # It died while it was drained: what it had open nobody knows, and the hold begins with the drain's end.
            return False
        if not plan.settled(view):
            return False
        return self._acknowledged(view.grant) or self._closings.all_ended(view.material.peers)

    def _acknowledge(self, grant: Grant, *, settled: bool) -> None:
        """Take in one look at the engine, made after the last thing that was changed."""
        self._acknowledgement.look(grant.generation, settled=settled, now=self._clock.now())
        if self._acknowledged(grant):
            self._lives.given_back()

    def _acknowledged(self, grant: Grant) -> bool:
        return self._acknowledgement.generation == grant.generation

    def _watch_closings(self, peers: Peers) -> None:
        """Look once a second where one would be missed of which the kernel gives up telling the server: while the
        engine ends and after that, and all the time where the server finds nothing out itself: what it keeps of one
        grant would be given back by the next."""
        ending = self.ending.under_way or self._runner.in_force is None
        if self._closings.unconfirmed or ending or not self._materials.server_gives_up:
            self._closings.watch(peers)

    def _holding(self, material: Material) -> bool:
        """Whether backends of an earlier engine may exist."""
        if self._lives.holding(self._clock.now()):
            return True
        return self._runner.in_force is None and not self._closings.all_confirmed(material.peers)

    def facts(self) -> Facts:
        """What there is to report."""
        now, in_force = self._clock.now(), self._runner.in_force
        return Facts(
            identity=self._settings.identity,
            grant=self._granted.grant,
            acknowledged=self._acknowledgement.generation,
            in_force=in_force,
            status=self._runner.status,
            running=self._engine.running and in_force is not None,
            warm=self._enquiries.warm or now - self._lives.started_at > self._enquiries.warm_seconds,
            holding=self._lives.holding(now) or (in_force is None and self._closings.unconfirmed > 0),
            mute=not self._runner.answers,
            refusals=self._granted.refusals,
            crashes=self._lives.all_crashes,
            draining=self.ending.under_way or self._leaving,
            reach=self._outlook.reach,
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

    def _view(self, grant: Grant, material: Material) -> plan.View:
        view = plan.View(
            grant=grant,
            material=material,
            in_force=self._runner.in_force,
            status=self._runner.status,
            holding=self._holding(material),
            takes_away=self._granted.takes_away,
            unsure=self._runner.unsure,
        )
        restart_needed = not plan.moving(view) and self._runner.needs_restart(material)
        return self._outlook.complete(replace(view, restart_needed=restart_needed))

    def _should_drain(self) -> bool:
        return self.ending.under_way or (self._leaving and self._runner.in_force is not None)

    async def _drive_drain(self) -> None:
        if not self.ending.under_way:
            self.ending.begin(unready_seconds=UNREADY_SECONDS)
        elif (clean := self.ending.take_result()) is not None:
            await self._runner.has_ended(clean=clean)

    def _may_end(self) -> bool:
        """Whether the pod may end: what it closed and the server does not know yet, nobody could see after it."""
        if self.ending.under_way or self._runner.in_force is not None:
            return False
        accepted = self._materials.accepted
        return accepted is None or self._closings.all_confirmed(accepted.peers)

    def _problems(self) -> tuple[Problem, ...]:
        problems = list(self._reading.problems)
        if self._granted.refused:
            where = "metadata.annotations[pgpool.dev/grant]"
            text = f"{self._settings.identity.name} refuses it: {self._granted.refused}"
            problems.append(Problem(field=where, text=text, reason="GrantRefused"))
        if self._materials.refusal:
            text = f"{self._settings.identity.name}: {self._materials.refusal}"
            problems.append(Problem(field=self._engine_name(), text=text, reason="EngineRejected"))
        if self._materials.unkept:
            text = f"{self._settings.identity.name}: {self._materials.unkept}"
            problems.append(Problem(field="data", text=text, reason="NotPersisted"))
        if error := self._agent_error or self._runner.problem:
            problems.append(Problem(field="engine", text=error, reason="EngineFailed"))
        return (*problems, *self._enquiries.problems)

    def _engine_name(self) -> str:
        offered = self._reading.material
        return offered.config.engine if offered is not None else "engine"
