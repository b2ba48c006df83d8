"""One server with its ledger and its pods, as the plan wants to see them. Pure."""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pgpool_pooler.contract import Grant, ServerIdentity, ServerState, State

from ..agents import SILENT_SECONDS
from ..api import GrantRecord, PgBudget
from ..budget import Identity, Life, Order, PodView, Report, Sighting, Size
from ..discovery import Address, Server, address_of
from ..status.problems import GRANT_REFUSED
from .bookkeeping import last_size, with_given_up
from .capacity import floor, has_sessions, in_session_mode, session_share
from .counts import Count, complete_counts, counted
from .grants import PeerIds, compose
from .pods import PoolerPod
from .sizing import size_of
from .world import PoolFacts, World, allowed

Object = dict[str, Any]


FIRST_VERSION_THAT_LOOKS_FOR_CLIENTS = 14
"""PostgreSQL's client_connection_check_interval is from 14."""


@dataclass(frozen=True)
class Heard:
    """What is known of a pod from its agent."""

    state: State | None
    demand: Mapping[str, float]
    age: float = math.inf
    """Seconds since the state was asked for."""


@dataclass(frozen=True)
class Scene:
    """Everything about one server at the time of one reconcile."""

    raw: Object
    budget: PgBudget
    owner: PgBudget
    """The ledger that the server belongs to; another one if that is older."""
    pools: tuple[PoolFacts, ...]
    server: Server | None
    """None: it is not to be found now, or no pool names it any more."""
    size: Size
    pods: Mapping[str, PoolerPod]
    """By uid: the pods of the server's pools, and those that have a reservation, are granted the server or report
    it, whatever has become of their pool."""
    owners: Mapping[str, PoolFacts]
    """The pool of each pod, if it has one that is not being deleted."""
    records: Mapping[str, GrantRecord]
    """The reservations as they were committed last, by pod uid: here, and in younger ledgers of the server."""
    placed: frozenset[str]
    """The pods whose connections shall go to this server."""
    barred: frozenset[str]
    """Those of them whose namespace may not draw on this ledger: they get nothing."""
    elsewhere: Mapping[str, int]
    """By uid of those pods and of all that have a reservation: the highest generation that another ledger knows."""
    heard: Callable[[str], Heard]
    peers: PeerIds
    node_uid: Callable[[str], str]
    """Of the node that has a name now; empty if there is none to be seen."""
    is_taken: Callable[[str, str], bool]
    """Whether a living pod other than one (uid) that may hold connections has an address."""
    is_used: Callable[[str, str], bool]
    """Whether any pod other than one (uid) has an address."""

    @property
    def name(self) -> str:
        """Of the ledger, and of the server."""
        return self.budget.metadata.name

    @property
    def address(self) -> Address | None:
        """Where the server is; None if that is not to be found now."""
        return _address(self.budget, self.server)

    @property
    def others(self) -> tuple[PoolerPod, ...]:
        """Pods that have no reservation here, and shall have one or may have had one."""
        return tuple(pod for uid, pod in self.pods.items() if uid not in self.records)

    @property
    def identity(self) -> ServerIdentity | None:
        """What the server said of itself, to whichever pod saw its newest start."""
        found = [here.identity for here in self._reports if here.identity is not None]
        return max(found, key=lambda identity: identity.started_at, default=None)

    @property
    def in_use(self) -> bool:
        """A client of some pod is being served. That a connection is open does not say so: its login may fail."""
        return any(here.active for here in self._reports)

    @property
    def sightings(self) -> tuple[Sighting, ...]:
        """The servers that answered the pods that have connections to this address."""
        return tuple(sighting for here in self._reports if here.open for sighting in seen(here))

    @property
    def former_sightings(self) -> tuple[Sighting, ...]:
        """The servers that ever answered here: good for who knows none, but no proof of anything now."""
        return tuple(sighting for here in self._reports for sighting in seen(here))

    @property
    def _reports(self) -> Iterator[ServerState]:
        found = (self._here(self.heard(uid).state) for uid in self.pods)
        return (here for here in found if here is not None)

    def namespace_of(self, record: GrantRecord) -> str:
        """Where the pod of a reservation is or was."""
        pod = self.pods.get(record.uid)
        return pod.namespace if pod else record.namespace_in(self.budget.metadata.namespace)

    def _released(self, namespace: str, pod: str) -> bool:
        """A person declared it dead: several namespaces may have a pod of one name."""
        released = self.budget.spec.release
        own = namespace == self.budget.metadata.namespace
        return f"{namespace}/{pod}" in released or (own and pod in released)

    def view(self, uid: str, verdict: Life, dead_for: float, *, overdue: bool = False) -> PodView:
        """A pod as the plan wants to see it; it has a reservation or is placed here, or both."""
        record, pod = self.records.get(uid), self.pods.get(uid)
        owner = self.owners.get(uid) if uid in self.placed else None
        heard = self.heard(uid)
        identity = here.identity if (here := self._here(heard.state)) else None
        written = pod.grant.generation if pod and pod.grant else 0
        lost = self._lost(pod, record, heard.state)
        own = pod.addresses if pod else frozenset()
        seen_as = {identity.client_address} if identity and identity.client_address else set()
        addresses = {*(record.addresses if record else ()), *own}
        counts = self._counts(uid, addresses) if verdict.dead and record and record.direct else ()
        known = pod or record
        assert known is not None
        name = pod.name if pod else record.pod if record else ""
        namespace = pod.namespace if pod else self.namespace_of(record) if record else ""
        return PodView(
            uid=uid,
            pod=name,
            pool=(pod.full_pool if pod else "") or (record.pool if record else self._of_no_pool(namespace)),
            endpoint=known.endpoint,
            node=known.node,
            node_uid=self.node_uid(known.node) if pod and verdict is Life.ALIVE else "",
            life=Life.TERMINATING if pod and pod.finished and verdict is Life.ALIVE else verdict,
            assigned=owner is not None,
            listed=pod is not None,
            started=pod is not None and pod.started,
            was_ready=pod is not None and pod.was_ready,
            orphan=uid not in self.owners,
            floor=floor(owner) if owner and uid not in self.barred else 0,
            demand=sum(heard.demand.values()),
            fixed=self._fixed(uid, owner),
            annotated=self._annotated(pod),
            known_generation=max(lost, written, self.elsewhere[uid]),
            written_generation=written,
            report=self._report(heard.state),
            silent=heard.state is not None and heard.age > SILENT_SECONDS,
            stale=bool(lost) or self._stale(uid, record),
            grace_seconds=pod.grace_seconds if pod else 0.0,
            addresses=tuple(sorted(own | seen_as)),
            direct=seen_as <= own if own and seen_as else None,
            detects_dead_clients=identity.detects_dead_clients if identity else None,
            assumed_to_detect=self._assumed_to_detect(uid) if identity is None else None,
            dead_for=dead_for,
            countable=bool(counts),
            counted=self._counted(uid, addresses, counts, dead_for),
            overdue=overdue,
            released=self._released(namespace, name),
        )

    def _of_no_pool(self, namespace: str) -> str:
        """What stands for the PgPool of a pod that has none: where the pod is must not be forgotten with it."""
        return "" if namespace == self.budget.metadata.namespace else f"{namespace}/"

    def _fixed(self, uid: str, owner: PoolFacts | None) -> int | None:
        """What a pod gets whatever its demand; None where demand decides."""
        if uid in self.barred:
            return 0
        if owner is None or not in_session_mode(owner.pool):
            return None
        return max(floor(owner), self._session_share)

    @cached_property
    def _session_share(self) -> int:
        """What is reserved for pods that ended, or that shall have nothing here, is not shared until it is free."""
        left_over = sum(record.reserved for uid, record in self.records.items() if not self._takes_part(uid))
        return session_share(self.pools, self.name, max(0, self.size.connections - left_over))

    def _takes_part(self, uid: str) -> bool:
        """Whether it is one of the pods among which the budget is divided."""
        return uid in self.placed and not self.pods[uid].finished

    def ours(self, leaving: Mapping[str, Order]) -> Mapping[str, Order]:
        """Without the pods whose grant for this address is another ledger's: that one makes the next, too."""
        return {
            uid: order
            for uid, order in leaving.items()
            if (grant := self.pods[uid].grant) is None or self.elsewhere[uid] < grant.generation
        }

    def grant(self, uid: str, order: Order) -> Grant:
        """The complete grant for an order; the pod has an owner."""
        pod, owner = self.pods[uid], self.owners[uid]
        assert self.server is not None
        peer_id = self.peers.of(uid, owner.key, owner.pods)
        return compose(pod, owner.pool, self.server, order, self.heard(uid).demand, peer_id)

    def _counts(self, uid: str, addresses: Iterable[str]) -> tuple[Count, ...]:
        """Counts of the server's backends in which those of a dead pod would be known as its own."""
        if len(self.budget.status.servers) > 1 or any(self.is_taken(address, uid) for address in addresses):
            return ()
        others = (
            (self._here((heard := self.heard(other)).state), heard.age) for other in self.pods if other != uid
        )
        return complete_counts((here, age) for here, age in others if here is not None)

    def _counted(
        self, uid: str, addresses: Collection[str], counts: Sequence[Count], dead_for: float
    ) -> int | None:
        """A dead pod's backends; None also where they may be those of a stranger's pod, which has its address by
        now and logs in without a pool."""
        found = counted(addresses, counts, dead_for)
        return None if found and any(self.is_used(address, uid) for address in addresses) else found

    def _assumed_to_detect(self, uid: str) -> bool | None:
        """Whether the server is to be taken to notice within seconds that a pod is gone which never said so.

        Such a pod could not log in yet, or never will (its Secret is wrong): the others of its pool log in with the
        same settings. Where none of them could, it is enough that another pool has read a version which can: in
        transaction mode no backend is used before the pooler's connect_query has set it.
        """
        owner = self.owners.get(uid)
        if owner is None:
            return None
        states = (self.heard(pod.uid).state for pod in owner.pods)
        said = [here.identity for state in states if (here := self._here(state)) and here.identity]
        if said:
            return all(identity.detects_dead_clients for identity in said)
        return not has_sessions(owner.pool) and self._server_can_look_for_clients

    def _lost(self, pod: PoolerPod | None, record: GrantRecord | None, state: State | None) -> int:
        """The generation of a grant that the pod has taken in, and that is not on it any more; 0: none.

        Somebody took it off, put an older one there, or altered it. It is not written again: with other shares it
        would be another grant of the same generation, which the pod refuses.
        """
        if pod is None or record is None or state is None or state.generation != record.generation:
            return 0
        there = pod.grant is not None and pod.grant.generation >= record.generation
        refused = any(problem.reason == GRANT_REFUSED for problem in state.problems)
        return record.generation if refused or not there else 0

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
        if pod is None or pod.grant is None:
            return None
        for granted in pod.grant.servers:
            if address_of(granted.host, granted.port) == self.address:
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
        if state is None:
            return None
        return next((s for s in state.servers if address_of(s.host, s.port) == self.address), None)


def observe(
    raw: Object,
    world: World,
    heard: Callable[[str], Heard],
    peers: PeerIds,
    reporting: Callable[[Address], Iterable[str]] = lambda _: (),
) -> Scene:
    """The scene of the ledger `raw`; `reporting` tells which pods (uid) last spoke of a server at an address."""
    name = raw["metadata"]["name"]
    budget = world.budgets[name]
    owner, *others = world.claimants(budget)
    is_owner = owner.metadata.namespace == budget.metadata.namespace
    pools = world.drawing_on(budget) if is_owner else ()
    records = with_given_up(budget, others if is_owner else ())
    server = _server(pools, name)
    reserved = (world.pooler(record) for record in records.values())
    present = {pod.uid: pod for facts in pools for pod in facts.pods}
    present |= {pod.uid: pod for pod in reserved if pod is not None}
    if (address := _address(budget, server)) is not None:
        present |= {pod.uid: pod for pod in world.holders(budget, address, reporting(address))}
    known = present.keys() | records.keys()
    owners = {uid: facts for uid, pod in present.items() if (facts := world.pool_of(pod)) is not None}
    placed = {uid for uid, facts in owners.items() if facts.placement.get(uid) == name}
    server = server or _server((owners[uid] for uid in placed), name)
    size = size_of(name, pools, budget)
    return Scene(
        raw=raw,
        budget=budget,
        owner=owner,
        pools=pools,
        server=server,
        size=size or last_size(budget.status),
        pods=present,
        owners=owners,
        records=records,
        placed=frozenset(placed),
        barred=frozenset(uid for uid in placed if present[uid].namespace not in allowed(budget)),
        elsewhere={uid: world.generation_elsewhere(uid, budget) for uid in known},
        heard=heard,
        peers=peers,
        node_uid=world.node_uid,
        is_taken=world.is_taken,
        is_used=world.is_used,
    )


def _server(pools: Iterable[PoolFacts], name: str) -> Server | None:
    return next((server for facts in pools if (server := facts.server(name))), None)


def seen(here: ServerState) -> Iterator[Sighting]:
    """Who answered a pod last. Without an address (a unix socket) no server is told from another."""
    for said in (here.identity, *here.others):
        if said is not None and said.address:
            identity = Identity(said.address, said.port, said.started_at)
            yield Sighting(identity, said.asked_at) if said.asked_at else Sighting(identity)


def _address(budget: PgBudget, server: Server | None) -> Address | None:
    """A server that no pool names any more is where its ledger says, unless that is an address that is reused."""
    known = server or budget.spec.server
    return address_of(known.host, known.port) if known.host else None
