"""One server with its ledger and its pods, as the plan wants to see them. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pgpool_pooler.contract import Grant, ServerIdentity, ServerState, State

from ..api import GrantRecord, PgBudget
from ..budget import Life, Order, PodView, Report, Size
from ..discovery import Server
from .bookkeeping import last_size
from .capacity import floor, has_sessions, session_share
from .grants import PeerIds, compose
from .pods import PoolerPod
from .sizing import size_of
from .world import PoolFacts, World

Object = dict[str, Any]


FIRST_VERSION_THAT_LOOKS_FOR_CLIENTS = 14
"""PostgreSQL's client_connection_check_interval is from 14."""


@dataclass(frozen=True)
class Heard:
    """What is known of a pod from its agent."""

    state: State | None
    demand: Mapping[str, float]


@dataclass(frozen=True)
class Scene:
    """Everything about one server at the time of one reconcile."""

    raw: Object
    budget: PgBudget
    pools: tuple[PoolFacts, ...]
    server: Server | None
    """None: it is not to be found now, or no pool names it any more."""
    size: Size
    pods: Mapping[str, PoolerPod]
    """The pods of the server's pools, and those that have a reservation; by uid."""
    owners: Mapping[str, PoolFacts]
    """The pool of each pod, if it has one that is not being deleted."""
    placed: frozenset[str]
    """The pods whose connections shall go to this server."""
    elsewhere: Mapping[str, int]
    """By uid of those pods and of all that have a reservation: the highest generation that another ledger knows."""
    heard: Callable[[str], Heard]
    peers: PeerIds

    @property
    def name(self) -> str:
        """Of the ledger, and of the server."""
        return self.budget.metadata.name

    @property
    def records(self) -> Mapping[str, GrantRecord]:
        """The reservations as they were committed last, by pod uid."""
        return {record.uid: record for record in self.budget.status.grants}

    @property
    def others(self) -> tuple[PoolerPod, ...]:
        """Pods of the server's pools that have no reservation here."""
        pods = (pod for facts in self.pools for pod in facts.pods)
        return tuple(pod for pod in pods if pod.uid in self.pods and pod.uid not in self.records)

    @property
    def identity(self) -> ServerIdentity | None:
        """What the server said of itself, to whichever pod saw its newest start."""
        found = [
            here.identity
            for uid in self.pods
            if (here := self._here(self.heard(uid).state)) is not None and here.identity is not None
        ]
        return max(found, key=lambda identity: identity.started_at, default=None)

    def view(self, uid: str, verdict: Life, dead_for: float) -> PodView:
        """A pod as the plan wants to see it; it has a reservation or is placed here, or both."""
        record, pod = self.records.get(uid), self.pods.get(uid)
        owner = self.owners.get(uid) if uid in self.placed else None
        heard = self.heard(uid)
        identity = here.identity if (here := self._here(heard.state)) else None
        fixed = session_share(owner, self.server, self.size.connections) if owner and self.server else None
        written = pod.grant.generation if pod and pod.grant else 0
        lost = self._lost(pod, record, heard.state)
        seen = pod or record
        assert seen is not None
        return PodView(
            uid=uid,
            pod=pod.name if pod else seen.pod if isinstance(seen, GrantRecord) else "",
            pool=pod.full_pool if pod else seen.pool,
            endpoint=seen.endpoint,
            node=seen.node,
            life=Life.TERMINATING if pod and pod.finished and verdict is Life.ALIVE else verdict,
            assigned=owner is not None,
            floor=fixed or (floor(owner) if owner else 0),
            demand=sum(heard.demand.values()),
            most=fixed,
            annotated=self._annotated(pod),
            known_generation=max(lost, written, self.elsewhere[uid]),
            written_generation=written,
            report=self._report(heard.state),
            stale=bool(lost) or self._stale(uid, record),
            grace_seconds=pod.grace_seconds if pod else 0.0,
            addresses=(identity.client_address,) if identity else (),
            detects_dead_clients=self._detects_dead_clients(uid, identity),
            dead_for=dead_for,
            released=bool(record and record.pod in self.budget.spec.release),
        )

    def grant(self, uid: str, order: Order) -> Grant:
        """The complete grant for an order; the pod has an owner."""
        pod, owner = self.pods[uid], self.owners[uid]
        assert self.server is not None
        peer_id = self.peers.of(uid, owner.key, owner.pods)
        return compose(pod, owner.pool, self.server, order, self.heard(uid).demand, peer_id)

    def _detects_dead_clients(self, uid: str, identity: ServerIdentity | None) -> bool:
        """Whether the server notices within seconds that the pod is gone.

        A pod that could not log in yet, or never will (its Secret is wrong), has not read that itself: the others
        of its pool log in with the same settings. Where none of them could, it is enough that another pool has read
        a version which can: in transaction mode no backend is used before the pooler's connect_query has set it.
        """
        if identity is not None:
            return identity.detects_dead_clients
        owner = self.owners.get(uid)
        states = (self.heard(pod.uid).state for pod in owner.pods) if owner else iter(())
        others = [here.identity for state in states if (here := self._here(state)) and here.identity]
        if others:
            return all(other.detects_dead_clients for other in others)
        return owner is not None and not has_sessions(owner.pool) and self._server_can_look_for_clients

    def _lost(self, pod: PoolerPod | None, record: GrantRecord | None, state: State | None) -> int:
        """The generation of a grant that the pod has taken in and that somebody then took off it; 0: none.

        It is not written again: with other shares it would be another grant of the same generation.
        """
        if pod is None or pod.grant is not None or record is None or state is None:
            return 0
        return record.generation if state.generation == record.generation else 0

    @property
    def _server_can_look_for_clients(self) -> bool:
        version = self.identity.version if self.identity else self.budget.status.version
        major = version.partition(".")[0]
        return major.isdigit() and int(major) >= FIRST_VERSION_THAT_LOOKS_FOR_CLIENTS

    def _stale(self, uid: str, record: GrantRecord | None) -> bool:
        pod = self.pods.get(uid)
        if record is None or pod is None or pod.grant is None or uid not in self.placed:
            return False
        return self.grant(uid, Order(pod.grant.generation, record.cap)) != pod.grant

    def _annotated(self, pod: PoolerPod | None) -> tuple[int, int] | None:
        if pod is None or pod.grant is None or self.server is None:
            return None
        for granted in pod.grant.servers:
            if (granted.host, granted.port) == (self.server.host, self.server.port):
                return pod.grant.generation, granted.cap
        return None

    def _report(self, state: State | None) -> Report | None:
        if state is None:
            return None
        here = self._here(state)
        return Report(
            generation=state.generation,
            acknowledged=state.acknowledged,
            cap_here=here.cap if here else 0,
            open_here=here.open if here else 0,
        )

    def _here(self, state: State | None) -> ServerState | None:
        if state is None or self.server is None:
            return None
        address = self.server.host, self.server.port
        return next((s for s in state.servers if (s.host, s.port) == address), None)


def observe(
    raw: Object,
    world: World,
    heard: Callable[[str], Heard],
    peers: PeerIds,
) -> Scene:
    """The scene of the ledger `raw`."""
    name = raw["metadata"]["name"]
    budget, pools = world.budgets[name], world.on_server(name)
    reserved = (world.pooler(record) for record in budget.status.grants)
    present = {pod.uid: pod for facts in pools for pod in facts.pods}
    present |= {pod.uid: pod for pod in reserved if pod is not None}
    known = present.keys() | {record.uid for record in budget.status.grants}
    owners = {uid: world.pools[pod.pool] for uid, pod in present.items() if pod.pool in world.pools}
    placed = {uid for uid, facts in owners.items() if facts.placement.get(uid) == name}
    size = size_of(name, pools, budget)
    return Scene(
        raw=raw,
        budget=budget,
        pools=pools,
        server=next((server for facts in pools if (server := facts.server(name))), None),
        size=size or last_size(budget.status),
        pods=present,
        owners=owners,
        placed=frozenset(placed),
        elsewhere={uid: world.generation_elsewhere(uid, name) for uid in known},
        heard=heard,
        peers=peers,
    )
