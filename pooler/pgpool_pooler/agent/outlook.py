"""What the agent makes of its looks: what was so lately, whether the server is away, whether a move is overdue."""

from collections.abc import Callable
from dataclasses import replace

import structlog

from pgpool_pooler.contract import ServerIdentity
from pgpool_pooler.engines.base import EngineStatus, ServerFailure, Setup

from . import plan
from .crowd import Crowd
from .drain import Clock
from .enquiries import Enquiries
from .lately import Memory
from .reach import Answer, Reachability, matters

log = structlog.get_logger()


class Outlook:
    """Remembers from look to look, and asks the server beside the loop about what no look at the engine tells."""

    def __init__(self, enquiries: Enquiries, clock: Clock, wake: Callable[[], None]) -> None:
        """`wake` is called when something was heard that the loop has to look at."""
        self._enquiries = enquiries
        self._clock = clock
        self._wake = wake
        self.reach = Reachability()
        """Of the server that the engine connects to."""
        self._memory = Memory()
        self._crowd = Crowd()
        self._move_since: float | None = None

    def server_failed(self, failure: ServerFailure, in_force: Setup | None) -> None:
        """The engine could not open a connection."""
        if in_force is not None and not matters(failure, in_force.material):
            return
        self.reach.failed(failure, self._clock.now())
        self._wake()

    def observed(self, status: EngineStatus, now: float) -> None:
        """The engine answered a question that was put to it at `now`."""
        self.reach.observed(status, now)

    def server_left(self) -> None:
        """The engine connects to another server from now on, of which what was known says nothing."""
        self.reach = Reachability()

    def engine_started(self, setup: Setup) -> None:
        """An engine has started."""
        self._enquiries.engine_started(setup)

    def logins_changed(self) -> None:
        """Passwords or certificates have changed in the engine."""
        self.reach.retry_logins()

    def engine_moved(self) -> None:
        """The engine that runs has another server: what the one before said of itself says nothing of that."""
        self._enquiries.server_changed()

    def complete(self, view: plan.View) -> plan.View:
        """What is so now, with what was so lately; once for each look."""
        now, status = self._clock.now(), view.status
        return replace(
            view,
            status=replace(status, crowd=self._crowd.look(status.crowd, now)),
            lately=self._memory.look(status, view.in_force, now),
            outage=self.reach.outage,
            move_overdue=self._move_is_overdue(view, now),
        )

    def enquire(self, view: plan.View, *, ending: bool) -> ServerIdentity | None:
        """Ask what is due, and of an engine that ends nothing else than what its end depends on.

        Returns who the server is that the engine connects to; None if that is not known now.
        """
        if view.in_force is None:
            return None
        now, status = self._clock.now(), view.status
        if self.reach.needs_probe(now) or plan.moving(view):
            self._enquiries.probe(view.in_force, self._probed, now)
        if status.paused:
            # It is not asked anew who the server is; what is known may be of another mode.
            return None
        self._enquiries.identify(view.in_force, status.at_work, now)
        if not ending:
            self._enquiries.look(view.in_force, status.queues, now)
            self._enquiries.count(view.in_force, now)
        return self._enquiries.identity

    def room_in(self) -> float:
        """Seconds until a server that was full a moment ago may have room; 0: now."""
        return self.reach.room_in(self._clock.now())

    def _move_is_overdue(self, view: plan.View, now: float) -> bool:
        if not plan.moving(view):
            self._move_since = None
            return False
        if self._move_since is None:
            self._move_since = now
        patience = view.material.config.timeouts.switchover_seconds
        return self.reach.silent or now - self._move_since > patience

    def _probed(self, answer: Answer) -> None:
        if (answer is Answer.ACCEPTS) is self.reach.outage:
            log.info("server probed", answer=answer)
            self._enquiries.ask_again()
        self.reach.probed(answer)
        self._wake()
