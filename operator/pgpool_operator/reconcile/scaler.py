"""The load of a pool's endpoints: observed by the agents, judged by `scaling`, remembered between two looks."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from pgpool_pooler.contract import Endpoint, State

from .. import metrics
from ..agents import Agents
from ..desired import endpoints
from ..scaling import (
    EndpointView,
    Outlook,
    Reason,
    Remembered,
    Said,
    ServerView,
    Settled,
    cause_of,
    crowded,
    least_missed,
    look,
    prevailing,
)
from .capacity import autoscaling, has_sessions, least, wanted
from .pods import PoolerPod
from .world import PoolFacts

LOOK_SECONDS = 5.0
"""Pause between two looks at a pool under load."""


class Scaler:
    """Looks at the load of pools. What it remembers is lost with the operator, as HPA's is."""

    def __init__(self, agents: Agents, now: Callable[[], float]) -> None:
        self._agents = agents
        self._now = now
        self._remembered: dict[tuple[str, Endpoint], Remembered] = {}

    def look(self, facts: PoolFacts, room: Mapping[Endpoint, int]) -> dict[Endpoint, Outlook]:
        """What the load of each endpoint comes to now. `room` are the pods that the budget can feed, as far as it
        is known."""
        present = endpoints(facts.pool)
        self._forget(facts.key, set(Endpoint) - set(present))
        return {endpoint: self._look(facts, endpoint, room.get(endpoint)) for endpoint in present}

    def forget(self, namespace: str, name: str) -> None:
        """The pool is gone."""
        self._forget(f"{namespace}/{name}", Endpoint)

    def pause(self, facts: PoolFacts) -> float | None:
        """When to look again: while something happens, soon; else when a pod says something new."""
        for endpoint in endpoints(facts.pool):
            scaling, said = autoscaling(facts, endpoint), self._remembered[facts.key, endpoint].said
            above = scaling is not None and wanted(facts, endpoint) > least(facts, scaling)
            unsaid = said is None and any(pod.endpoint is endpoint for pod in facts.pods)
            if above or unsaid or (said is not None and not _at_rest(said)):
                return LOOK_SECONDS
        states = (self._agents.state(pod.uid) for pod in facts.pods)
        return LOOK_SECONDS if any(state is not None and _loaded(state) for state in states) else None

    def least_missed(self, pods: Iterable[PoolerPod], count: int) -> tuple[PoolerPod, ...]:
        """Which of `pods` go if so many have to."""
        present = {pod.uid: pod for pod in pods}
        chosen = least_missed({uid: self._agents.load(uid) for uid in present}, count)
        return tuple(present[uid] for uid in chosen)

    def _forget(self, pool: str, gone: Iterable[Endpoint]) -> None:
        namespace, name = pool.split("/")
        for endpoint in gone:
            if self._remembered.pop((pool, endpoint), None) is not None:
                metrics.forget_load(namespace, name, endpoint.value, list(Reason))

    def _look(self, facts: PoolFacts, endpoint: Endpoint, room: int | None) -> Outlook:
        key, scaling = (facts.key, endpoint), autoscaling(facts, endpoint)
        outlook, self._remembered[key] = look(
            self._view(facts, endpoint, room),
            self._remembered.get(key, Remembered()),
            self._now(),
            scaling.behavior if scaling else None,
        )
        _measure(facts, endpoint, outlook)
        return outlook

    def _view(self, facts: PoolFacts, endpoint: Endpoint, room: int | None) -> EndpointView:
        pods: dict[str, list[PoolerPod]] = {}
        for pod in facts.pods:
            if pod.endpoint is endpoint and not (pod.deleted or pod.finished):
                pods.setdefault(facts.placement.get(pod.uid, ""), []).append(pod)
        current, scaling = wanted(facts, endpoint), autoscaling(facts, endpoint)
        maximum = scaling.max_replicas if scaling else current
        return EndpointView(
            current=current,
            minimum=least(facts, scaling) if scaling else current,
            maximum=maximum,
            room=maximum if room is None else room,
            servers=tuple(self._server(facts, name, pods[name]) for name in sorted(pods)),
            sessions=has_sessions(facts.pool),
            paused=facts.pool.spec.paused,
        )

    def _server(self, facts: PoolFacts, name: str, pods: Sequence[PoolerPod]) -> ServerView:
        loads = {pod.uid: self._agents.load(pod.uid) for pod in pods}
        server = facts.server(name)
        cpus = float(server.cpu or 0) if server else 0.0
        # A pod that is silent knows nothing of now: only those that are heard say whether the server answers.
        heard = [state for uid, load in loads.items() if load and (state := self._agents.state(uid))]
        tried = [s.reachable for state in heard for s in state.servers if s.reachable is not None]
        return ServerView(
            loads=tuple(loads.values()),
            cause=prevailing(cause_of(load.backends, cpus) for load in loads.values() if load),
            reachable=any(tried) or not tried,
        )


def _at_rest(said: Settled[Said]) -> bool:
    return said.quiet and said.said.saturation is None


def _loaded(state: State) -> bool:
    return crowded(state) or any(database.active or database.waiting for database in state.databases)


def _measure(facts: PoolFacts, endpoint: Endpoint, outlook: Outlook) -> None:
    view, meta = outlook.view, facts.pool.metadata
    labels = meta.namespace, meta.name, endpoint.value
    metrics.POOLER_CPU.labels(*labels).set(view.cpu)
    metrics.POOLER_CLIENTS.labels(*labels).set(view.clients)
    metrics.POOLER_WAITING.labels(*labels).set(view.waiting)
    metrics.POOLER_LONGEST_WAIT.labels(*labels).set(view.longest_wait)
    metrics.POOLER_BACKENDS.labels(*labels).set(view.active / view.cap if view.cap else 0.0)
    metrics.SATURATED.labels(*labels).set(bool(outlook.said and outlook.said.saturation))
    if outlook.decision is not None:
        metrics.DECISIONS.labels(*labels, outlook.decision.reason.value).inc()
        metrics.DECIDED.labels(*labels).set(outlook.decision.replicas)
    else:
        metrics.forget_decisions(*labels, list(Reason))
