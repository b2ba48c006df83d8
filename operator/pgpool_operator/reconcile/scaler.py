"""The load of a pool's endpoints: observed by the agents, judged by `scaling`, remembered between two looks."""

from collections.abc import Callable, Iterable

from pgpool_pooler.contract import Endpoint, State

from .. import metrics
from ..agents import Agents
from ..desired import endpoints
from ..scaling import (
    Cause,
    EndpointView,
    Outlook,
    PodLoad,
    Remembered,
    cause_of,
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

    def look(self, facts: PoolFacts) -> dict[Endpoint, Outlook]:
        """What the load of each endpoint comes to now."""
        found = {endpoint: self._look(facts, endpoint) for endpoint in endpoints(facts.pool)}
        for endpoint, outlook in found.items():
            _measure(facts, endpoint, outlook)
        return found

    def forget(self, namespace: str, name: str) -> None:
        """The pool is gone."""
        for endpoint in Endpoint:
            if self._remembered.pop((f"{namespace}/{name}", endpoint), None) is not None:
                metrics.forget_load(namespace, name, endpoint.value)

    def pause(self, facts: PoolFacts) -> float | None:
        """When to look again: while something happens, soon; else when a pod says something new."""
        for endpoint in endpoints(facts.pool):
            scaling = autoscaling(facts, endpoint)
            above = scaling is not None and wanted(facts, endpoint) > least(facts, scaling)
            said = self._remembered[facts.key, endpoint].said
            unsaid = bool(facts.pods) and (said is None or not said.quiet)
            if above or unsaid or (said is not None and said.said.saturation is not None):
                return LOOK_SECONDS
        states = (self._agents.state(pod.uid) for pod in facts.pods)
        return LOOK_SECONDS if any(state is not None and _loaded(state) for state in states) else None

    def least_missed(self, pods: Iterable[PoolerPod], count: int) -> tuple[PoolerPod, ...]:
        """Which of `pods` go if so many have to."""
        present = {pod.uid: pod for pod in pods}
        chosen = least_missed({uid: self._agents.load(uid) for uid in present}, count)
        return tuple(present[uid] for uid in chosen)

    def _look(self, facts: PoolFacts, endpoint: Endpoint) -> Outlook:
        key, scaling = (facts.key, endpoint), autoscaling(facts, endpoint)
        outlook, self._remembered[key] = look(
            self._view(facts, endpoint),
            self._remembered.get(key, Remembered()),
            self._now(),
            scaling.behavior if scaling else None,
        )
        return outlook

    def _view(self, facts: PoolFacts, endpoint: Endpoint) -> EndpointView:
        pods = [p for p in facts.pods if p.endpoint is endpoint and not (p.deleted or p.finished)]
        loads = {pod.uid: self._agents.load(pod.uid) for pod in pods}
        states = [state for pod in pods if (state := self._agents.state(pod.uid)) is not None]
        current, scaling = wanted(facts, endpoint), autoscaling(facts, endpoint)
        return EndpointView(
            current=current,
            minimum=least(facts, scaling) if scaling else current,
            maximum=scaling.max_replicas if scaling else current,
            loads=tuple(loads.values()),
            cause=prevailing(_cause(facts, uid, load) for uid, load in loads.items()),
            reachable=not any(server.reachable is False for state in states for server in state.servers),
            sessions=has_sessions(facts.pool),
        )


def _cause(facts: PoolFacts, uid: str, load: PodLoad | None) -> Cause:
    """What the pod's server is busy with."""
    server = facts.server(facts.placement.get(uid, ""))
    if load is None or server is None:
        return Cause.UNKNOWN
    return cause_of(load.backends, float(server.cpu or 0))


def _loaded(state: State) -> bool:
    return any(database.active or database.waiting for database in state.databases)


def _measure(facts: PoolFacts, endpoint: Endpoint, outlook: Outlook) -> None:
    view, labels = outlook.view, (*facts.key.split("/"), endpoint.value)
    metrics.POOLER_CPU.labels(*labels).set(view.cpu)
    metrics.POOLER_CLIENTS.labels(*labels).set(view.clients)
    metrics.POOLER_WAITING.labels(*labels).set(view.waiting)
    metrics.POOLER_BACKENDS.labels(*labels).set(view.active / view.cap if view.cap else 0.0)
    metrics.SATURATED.labels(*labels).set(bool(outlook.said and outlook.said.saturation))
    if outlook.decision is not None:
        metrics.DECISIONS.labels(*labels, outlook.decision.reason.value).inc()
        metrics.DECIDED.labels(*labels).set(outlook.decision.replicas)
