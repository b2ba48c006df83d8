"""What to do next, decided from what should be and what is. Pure; runner carries it out, supervisor asks again.

Every step leaves the sum of the pod's connections within its cap, whatever the engine does until the next one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pgpool_pooler.contract import Grant, Mode, PoolMode, ServerGrant
from pgpool_pooler.engines.base import EngineStatus, Material, Setup

from .lately import Lately
from .limits import exceeded, next_limits
from .shedding import shed


@dataclass(frozen=True)
class Idle:
    """Nothing to do, or nothing that can be done before something else happens; `why` is for a person."""

    why: str = ""


@dataclass(frozen=True)
class Start:
    """Start the engine."""

    setup: Setup


@dataclass(frozen=True)
class Apply:
    """Put a setup in force in the running engine."""

    setup: Setup


@dataclass(frozen=True)
class Restart:
    """End the engine gently, so that it can start with what a reload cannot change."""


@dataclass(frozen=True)
class Pause:
    """Clients wait from now on."""


@dataclass(frozen=True)
class Resume:
    """Clients are served again."""


@dataclass(frozen=True)
class Retire:
    """Close one database: it is no longer granted or configured."""

    database: str


@dataclass(frozen=True)
class Revive:
    """Open one database again that was being closed."""

    database: str


@dataclass(frozen=True)
class AbortBusy:
    """Cut off the transactions that hang on a server that the pod has to leave."""


Command = Start | Apply | Pause | Resume | Retire | Revive | AbortBusy
"""What the running engine is told, or started with."""
Step = Idle | Restart | Command


@dataclass(frozen=True)
class View:
    """All that a decision depends on."""

    grant: Grant
    material: Material
    in_force: Setup | None
    """What the engine runs with; None when it does not run."""
    status: EngineStatus = field(default_factory=EngineStatus)
    lately: Lately = field(default_factory=Lately)
    holding: bool = False
    """Backends of an earlier engine of this pod may still exist."""
    outage: bool = False
    """The server does not take connections."""
    unsure: bool = False
    """A change had no answer; `in_force` has the highest limits that the engine may have."""
    takes_away: bool = False
    """The grant allows no more than the one before it."""
    move_overdue: bool = False
    """What runs on the server that the pod has to leave has had its time."""
    restart_needed: bool = False
    """The engine takes the material only at its start."""

    @property
    def server(self) -> ServerGrant:
        """The one server that engines of this kind are granted."""
        return self.grant.servers[0]


def shares(view: View) -> dict[str, int]:
    """The limits to reach: what is granted of what is configured, the monitor's entry included."""
    configured = set(view.material.entries)
    return {name: share for name, share in view.server.shares.items() if share > 0 and name in configured}


def decide(view: View) -> Step:
    """The next step."""
    if view.in_force is None:
        return _start(view)
    if moving(view):
        return _move(view, view.in_force)
    if wants_pause(view) and not view.status.paused:
        return Pause()
    if view.restart_needed and not wants_pause(view):
        return Restart()
    step = _databases(view, view.in_force)
    if step is None and view.server.cap > 0:
        step = _limits(view, view.in_force)
    if step is None and view.status.paused and not wants_pause(view):
        step = Resume()
    return step or Idle()


def shrink(view: View) -> Step:
    """What an engine that ends still does: its limits follow the grant."""
    if view.in_force is None or moving(view) or view.server.cap == 0:
        return Idle()
    return _limits(_without_restart(view), view.in_force) or Idle()


def serve_on(view: View) -> Step:
    """The next step of an engine that is to end and still serves: nobody is paused whom nothing would resume."""
    return shrink(view) if _paused_by_grant(view) else decide(_without_restart(view))


def interrupted(view: View) -> bool:
    """Whether clients wait for something that passes by itself: an outage, a switchover."""
    return not _paused_by_grant(view) and (view.status.paused or view.outage or moving(view))


def _paused_by_grant(view: View) -> bool:
    return view.grant.mode is Mode.PAUSE or view.server.cap == 0


def _without_restart(view: View) -> View:
    """What takes a restart is for the next engine."""
    if view.in_force is None or not view.restart_needed:
        return view
    return replace(view, material=view.in_force.material, restart_needed=False)


def _start(view: View) -> Step:
    if view.server.cap == 0 or not shares(view):
        return Idle("no connections granted")
    if view.holding:
        return Idle("waiting until the backends of the earlier engine are gone")
    return Start(_setup(view, shares(view)))


def moving(view: View) -> bool:
    """Whether the engine is connected to another server than the granted one."""
    now = view.in_force
    return now is not None and (now.host, now.port) != (view.server.host, view.server.port)


def wants_pause(view: View) -> bool:
    """Whether clients have to wait."""
    return view.grant.mode is Mode.PAUSE or view.outage or view.server.cap == 0


def _move(view: View, now: Setup) -> Step:
    """Leave one server for another: nothing may be open there when the first connection opens here."""
    if not view.status.paused:
        return Pause()
    if view.status.open > 0:
        return AbortBusy() if view.move_overdue else Idle("waiting for transactions on the old server")
    limits = shares(view) or dict(now.limits)
    return Apply(_setup(view, limits))


def _databases(view: View, now: Setup) -> Step | None:
    if view.status.paused:
        return None
    wanted = shares(view)
    for name in sorted(now.limits):
        if name not in wanted and name not in view.status.retired:
            return Retire(name)
        if name in wanted and name in view.status.withheld:
            return Revive(name)
    return None


def _limits(view: View, now: Setup) -> Step | None:
    following = next_limits(
        now.limits, _target_limits(view, now), view.status.opened, view.server.cap, view.lately.open
    )
    limits = {name: limit for name, limit in following.items() if limit > 0 or _still_held(view, now, name)}
    setup = _setup(view, limits)
    return Apply(setup) if setup != now or view.unsure else None


def _target_limits(view: View, now: Setup) -> Mapping[str, int]:
    """The shares; a database that goes keeps its limit until the engine cannot open more there."""
    wanted = shares(view)
    closing = {
        name: 0 if _closed(view, name) else now.limits[name] for name in now.limits if name not in wanted
    }
    return wanted | closing


def _closed(view: View, name: str) -> bool:
    return name in view.status.retired or (view.status.paused and view.status.open_of(name) == 0)


def _still_held(view: View, now: Setup, name: str) -> bool:
    return name in now.limits and name not in shares(view) and view.status.open_of(name) > 0


def _setup(view: View, limits: Mapping[str, int]) -> Setup:
    setup = Setup(
        material=view.material,
        peer_id=view.grant.peer_id,
        host=view.server.host,
        port=view.server.port,
        cap=view.server.cap,
        limits=dict(limits),
        crowd={name: users for name, users in view.status.crowd.items() if name in limits},
    )
    if _leaves_session_mode(view.in_force, setup):
        setup = replace(setup, had_sessions=True)
    return shed(setup, view.in_force, view.status, view.lately)


def _leaves_session_mode(now: Setup | None, setup: Setup) -> bool:
    """Whether connections are used on that sessions have reset: a change of the mode closes none."""
    return now is not None and now.pool_mode is PoolMode.SESSION and setup.pool_mode is not PoolMode.SESSION


def still_closing(view: View) -> bool:
    """Whether the engine closes connections of which there are too many, or did so just now, or has to again."""
    now = view.in_force
    if now is None or view.server.cap == 0:
        return False
    return bool(now.closing or now.held_back or view.status.overdrawn & now.limits.keys())


def over_limit(view: View) -> bool:
    """Whether the engine holds more connections than it may open."""
    if view.in_force is None:
        return False
    return exceeded(view.in_force.limits, view.status.opened)


def obeyed_by_nothing(grant: Grant, *, takes_away: bool) -> bool:
    """Whether a grant is obeyed where no engine runs: the next one starts within it.

    One that gives is not, as it is not in force: who has no use for what it has would be given more.
    """
    return takes_away or grant.servers[0].cap == 0


def settled(view: View) -> bool:
    """Whether the grant is in force and drained: what is acknowledged, once that has lasted and the backends of
    earlier engines are gone."""
    if view.in_force is None:
        return obeyed_by_nothing(view.grant, takes_away=view.takes_away)
    if moving(view):
        return False
    if view.server.cap == 0 or view.grant.mode is Mode.PAUSE:
        if not view.status.paused or view.status.open > 0:
            return False
        if view.server.cap == 0:
            return True
    reached = dict(view.in_force.limits) == shares(view) and view.in_force.peer_id == view.grant.peer_id
    return (
        reached
        and not view.unsure
        and not over_limit(view)
        and not (view.status.withheld & set(shares(view)))
    )
