"""The operator's loop in virtual time: when it looks, plans and decides. How it decides is its own code."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import partial
from random import Random

from pgpool_operator.agents import BUSY_SECONDS, QUIET_SECONDS, UNSETTLED_SECONDS
from pgpool_operator.budget import (
    Ask,
    Ledger,
    NodeFacts,
    Order,
    PodView,
    PoolWants,
    Report,
    Size,
    expected_demand,
    fit,
    life,
    plan,
    size,
)
from pgpool_operator.scaling import (
    EndpointView,
    History,
    Remembered,
    ServerView,
    cause_of,
    least_missed,
    look,
    prevailing,
    sample,
)
from pgpool_operator.scaling.saturation import saturation
from pgpool_pooler.contract import Endpoint, State

from .clock import Clock
from .pod import Pod
from .record import Look, Run
from .scenario import Database

DECIDE_SECONDS = 5.0
COMMIT_SECONDS = 0.05
"""From an observation to the ledger's write; all that is observed meanwhile goes into it."""
DELIVERY_SECONDS = (0.1, 0.2)
"""From the write of a grant until the kubelet shows it to the pod, at least and at most (seen: p50 0.14 s, p95
0.19 s)."""
POOL = "shop/app"
_EPOCH = datetime(2026, 11, 20, tzinfo=UTC)


def size_of(database: Database) -> Size:
    """B, of a server that takes many more connections."""
    ask = Ask(POOL, Fraction(database.cpus), "Spec", database.connections_per_cpu, reserved_connections=0)
    return size([ask], max_connections=1000)


@dataclass
class _Followed:
    """What the operator knows of a pod."""

    pod: Pod
    history: History = field(default_factory=History)
    state: State | None = None
    demand: float | None = None
    heard_at: float = 0.0
    expected: int = 0
    looks: int = 0


class Control:
    """One operator, one endpoint, one server."""

    def __init__(self, clock: Clock, rng: Random, run: Run, create: Callable[[], Pod]) -> None:
        scenario = run.scenario
        self.replicas = 0
        """Pods that shall run: what was decided, as far as it fits."""
        self._clock = clock
        self._rng = rng
        self._scenario = scenario
        self._run = run
        self._create = create
        self._size = size_of(scenario.database)
        self._ledger = Ledger(self._size.connections)
        self._remembered = Remembered()
        self._followed: dict[str, _Followed] = {}
        self._floor = 1 + scenario.poolers.monitor
        self._planned = False
        self._resize(self._fitting(scenario.autoscaling.min_replicas))
        clock.every(DECIDE_SECONDS, self._decide)

    # Looks at pods

    def _follow(self, followed: _Followed) -> None:
        """Look now, and again after as long as the operator would wait."""
        followed.looks += 1
        number = followed.looks

        def hear() -> None:
            if followed.looks == number and followed.pod.ended_at is None:
                self._clock.after(self._look(followed), hear)

        hear()

    def _look(self, followed: _Followed) -> float:
        """Hear a pod; returns the pause until the next time."""
        pod, before = followed.pod, followed.state
        if not pod.running or self._silent(pod):
            return BUSY_SECONDS
        state = pod.state()
        followed.state = state
        followed.history.add(sample(state, self._clock.now))
        demand = followed.demand or 0.0
        if state.databases:
            database = state.databases[0]
            seconds = self._clock.now - followed.heard_at
            followed.demand = expected_demand(followed.demand, database.active, database.waiting, seconds)
        followed.heard_at = self._clock.now
        moved = round(demand) != round(followed.demand or 0.0)
        if before is None or moved or before.acknowledged != state.acknowledged:
            self._reconcile_soon()
        if state.acknowledged < max(followed.expected, state.generation):
            return UNSETTLED_SECONDS
        return BUSY_SECONDS if pod.active or pod.queue else QUIET_SECONDS

    def _silent(self, pod: Pod) -> bool:
        now = self._clock.now
        return any(s.pod == pod.number and s.at <= now < s.at + s.seconds for s in self._scenario.silences)

    # The ledger

    def _reconcile_soon(self) -> None:
        if not self._planned:
            self._planned = True
            self._clock.after(COMMIT_SECONDS, self._reconcile)

    def _reconcile(self) -> None:
        self._planned = False
        views = [self._view(followed) for followed in self._followed.values() if self._counts(followed)]
        now = _EPOCH + timedelta(seconds=self._clock.now)
        decided = plan(self._ledger, self._size, views, now, server_seen=True)
        self._ledger = decided.ledger
        self._send(decided.orders)
        if decided.look_again is not None:
            self._clock.after(decided.look_again, self._reconcile_soon)

    def _counts(self, followed: _Followed) -> bool:
        return followed.pod.facts.exists or followed.pod.uid in self._ledger.reservations

    def _send(self, orders: Mapping[str, Order]) -> None:
        for uid, order in orders.items():
            followed = self._followed[uid]
            pod = followed.pod
            if pod.annotation is None or pod.annotation.generation < order.generation:
                pod.annotation = order
                self._run.grants.append(self._clock.now)
                self._clock.after(self._rng.uniform(*DELIVERY_SECONDS), partial(pod.deliver, order))
                followed.expected = order.generation
                self._follow(followed)

    def _view(self, followed: _Followed) -> PodView:
        pod, annotation, state = followed.pod, followed.pod.annotation, followed.state
        written = annotation.generation if annotation else 0
        here = state.servers[0] if state and state.servers else None
        return PodView(
            uid=pod.uid,
            pod=pod.uid,
            pool=POOL,
            endpoint=Endpoint.WRITE,
            node="node",
            life=life(pod.facts, NodeFacts(ready=True)),
            assigned=pod.facts.exists,
            floor=self._floor,
            demand=followed.demand or 0.0,
            annotated=(annotation.generation, annotation.cap) if annotation else None,
            known_generation=written,
            written_generation=written,
            report=Report(
                generation=state.generation,
                acknowledged=state.acknowledged,
                cap_here=here.cap if here else 0,
                open_here=here.open if here else 0,
            )
            if state
            else None,
            grace_seconds=pod.facts.grace_seconds,
            detects_dead_clients=True,
            dead_for=self._clock.now - pod.ended_at if pod.ended_at is not None else 0.0,
        )

    # The number of pods

    def _staying(self) -> list[_Followed]:
        return [followed for followed in self._followed.values() if not followed.pod.leaving]

    def _decide(self) -> None:
        now, autoscaling = self._clock.now, self._scenario.autoscaling
        cpus = self._scenario.database.cpus
        loads = [followed.history.load(now) for followed in self._staying()]
        known = [load for load in loads if load is not None]
        view = EndpointView(
            current=min(max(self.replicas, autoscaling.min_replicas), autoscaling.max_replicas),
            minimum=autoscaling.min_replicas,
            maximum=autoscaling.max_replicas,
            room=self._fitting(autoscaling.max_replicas),
            servers=(ServerView(loads, prevailing(cause_of(load.backends, cpus) for load in known)),),
        )
        outlook, self._remembered = look(view, self._remembered, now, autoscaling.behavior)
        decision = outlook.decision
        assert decision is not None
        fitting = self._fitting(decision.replicas)
        self._run.looks.append(
            Look(
                at=now,
                current=view.current,
                replicas=decision.replicas,
                fitting=fitting,
                reason=decision.reason,
                limit=decision.limit,
                saturation=saturation(view),
                said=outlook.said.saturation if outlook.said else None,
                cpu=view.cpu,
            )
        )
        self._resize(fitting)

    def _fitting(self, replicas: int) -> int:
        return fit(self._size.connections, [PoolWants(POOL, self._floor, replicas)])[POOL].replicas

    def _resize(self, replicas: int) -> None:
        """As a Deployment does: those that are missed least go first."""
        self.replicas = replicas
        staying = self._staying()
        loads = {followed.pod.uid: followed.history.load(self._clock.now) for followed in staying}
        for uid in least_missed(loads, len(staying) - replicas):
            self._followed[uid].pod.delete()
            self._reconcile_soon()
        for _ in range(replicas - len(staying)):
            pod = self._create()
            self._followed[pod.uid] = _Followed(pod)
            self._follow(self._followed[pod.uid])
            self._reconcile_soon()
