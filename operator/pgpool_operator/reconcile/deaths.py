"""What is known of pods that hold a reservation: alive, going, proven dead, or unknown.

Keeps the last sight of pods that are gone, and watches the Leases of nodes whose pods are deleted, vanished, or
were refused, without a word on what ran of them. Every replica does so all the time, leading or not: times are of
this process's monotonic clock, and who leads next goes on with its own proofs. What speaks against a proof, the
ledger keeps: a restart only makes it wait longer.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, NoReturn

import structlog

from ..api import GrantRecord, InvalidResourceError, parse_pgbudget
from ..budget import GONE_MARGIN_SECONDS, Life, NodeFacts, PodFacts, life
from ..cluster.api import Api, ApiError
from ..cluster.kinds import LEASE, NODE, PGBUDGET, POD, Kind
from ..cluster.shared import pods_with
from ..cluster.store import Change, Store
from ..watching import slim
from .pods import PoolerPod, is_finished, pooler
from .writer import look_again

log = structlog.get_logger()

Object = dict[str, Any]

LOOK_SECONDS = 5.0
"""Between two looks at the pods that have something and go, or whose end is to be proven."""
NODE_LEASES = "kube-node-lease"
LEASE_PAUSE_SECONDS = 2.0
"""Between two looks at one node's Lease, however many pods go there; the kubelet renews every 10 s."""
LEASE_GAP_SECONDS = 25.0
"""Between two looks that found a Lease renewed, at the most, if the kubelet was not cut off in between for longer
than TCP mends within the margin of the proof. It renews every 10 s, and looks are `LOOK_SECONDS` apart."""
KEEP_SECONDS = 600.0
"""The end of a pod that no ledger names is kept for as long: the ledger may be about to name it."""
_OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"


@dataclass
class _Lost:
    """A pod that is gone, or that is there and will not be started again, without its end having been reported."""

    since: float
    pod: PoolerPod | None = None
    """The last version of one that is gone; None if that was not seen."""
    killed: bool = False
    """Its kubelet was seen alive for long enough since. It is not looked at all the time: that is remembered."""
    overdue: bool = False
    """When it was there last, its kubelet, seen alive all the time, should have ended it long before; it was so if
    that version proves to have been its last."""


@dataclass
class _Lease:
    renew_time: str
    looked_at: float
    renewed_at: float | None = None
    """No later than its last renewal: when this process looked last and the renewal was not there yet."""
    noticed_at: float | None = None
    """When this process looked and found it renewed, last."""
    alive_since: float | None = None
    """When it found so first, with no gap since."""

    def renewed(self, renew_time: str, begun: float, ended: float) -> None:
        """A look that began and ended then has found it renewed."""
        if self.noticed_at is None or ended > self.noticed_at + LEASE_GAP_SECONDS:
            self.alive_since = ended
        self.renew_time, self.renewed_at, self.noticed_at = renew_time, self.looked_at, begun

    def lived_on(self, since: float, seconds: float) -> bool:
        """Whether it was seen to be renewed for so long after `since`, with no gap."""
        if self.renewed_at is None or self.alive_since is None:
            return False
        return self.renewed_at >= max(since, self.alive_since) + seconds


@dataclass
class Deaths:
    """Verdicts on pods by uid."""

    api: Api
    store: Store
    nodes_visible: bool
    clock: Callable[[], float] = time.monotonic
    _gone: dict[str, _Lost] = field(default_factory=dict)
    _finished: dict[str, _Lost] = field(default_factory=dict)
    """Of pods that are there."""
    _going_since: dict[str, float] = field(default_factory=dict)
    """When a pod that is there was first seen to be deleted."""
    _overdue: set[str] = field(default_factory=set)
    """Pods of which the API server said that they are there when their kubelet, seen alive all the time, should
    have ended them long before; and those of which a ledger says so."""
    _dead_since: dict[str, float] = field(default_factory=dict)
    _leases: dict[str, _Lease] = field(default_factory=dict)
    _failed: dict[str, float] = field(default_factory=dict)
    """When a look at a node's Lease was last given up."""

    def __post_init__(self) -> None:
        self.store.listen(self._changed)

    async def follow(self) -> NoReturn:
        """Look for ever at the pods whose end may have to be proven."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Look once at every pod that has a reservation and goes, is gone, or is not started again."""
        for namespace, record in list(self._to_look_at()):
            await self.verdict(namespace, record)

    async def verdict(self, namespace: str, record: GrantRecord) -> tuple[Life, float]:
        """The life of a pod with a reservation, and for how many seconds it has been proven dead."""
        await self._look_for(namespace, record)
        await self._look_whether_overdue(namespace, record)
        return await self._verdict(record.uid, self._facts(namespace, record), record)

    async def verdict_on(self, pod: PoolerPod, *, freed: bool = False) -> tuple[Life, float]:
        """The same of a pod that is there and has no reservation; `freed` if it had one, until it was dead.

        One that was never granted anything has nothing to be proven dead for. One that was freed while it was there
        and being deleted, a person has released: that its kubelet is alive proves no more now than it did then.
        """
        facts = replace(_seen(pod), overdue=pod.uid in self._overdue or (freed and pod.deleted))
        if pod.grant is not None:
            facts = self._awaiting(pod.uid, facts)
        if freed and facts.gone_since is not None:
            return Life.DEAD_INFERRED, 0.0
        return await self._verdict(pod.uid, facts, None)

    def awaits(self, uid: str) -> bool:
        """Whether the pod is there, finished or deleted, and its kubelet is yet to be seen alive for long enough to
        have killed what runs of it. Nothing is written when it was: somebody has to look again."""
        lost = self._finished.get(uid)
        ends = uid in self._going_since and uid not in self._overdue
        return ends or (lost is not None and not lost.killed)

    def overdue(self, uid: str) -> bool:
        """Whether the pod was there when its kubelet, alive, should have ended it long before: that the kubelet is
        alive proves nothing of it any more. To be kept in the ledger."""
        return uid in self._overdue

    async def _verdict(self, uid: str, facts: PodFacts, record: GrantRecord | None) -> tuple[Life, float]:
        """A proof by the kubelet is remembered only if there is a record: that tells which machine the pod ran on,
        and what is remembered counts for every ledger."""
        now = self.clock()
        lost = (self._finished if facts.exists else self._gone).get(uid)
        awaited = facts.gone_since is not None or (record is not None and facts.deleted)
        watched = awaited and not (facts.overdue or life(facts, None).dead)
        node_uid = record.node_uid if record is not None else ""
        node = await self._node(facts.node, node_uid, watched=watched) if self.nodes_visible else None
        found = life(facts, node)
        if record is not None and lost is not None and node is not None and not node.out_of_service:
            lost.killed = lost.killed or found is Life.DEAD_INFERRED
        if not found.dead:
            self._dead_since.pop(uid, None)
            return found, 0.0
        return found, now - self._dead_since.setdefault(uid, now)

    def _changed(self, kind: Kind, obj: Object, change: Change) -> None:
        if kind is NODE and (change is not Change.PUT or not _is_ready(obj)):
            self._leases.pop(obj["metadata"]["name"], None)
        elif kind is POD and change is Change.PUT:
            self._came(obj["metadata"])
        elif kind is POD:
            self._went(obj, change)

    def _came(self, meta: Object) -> None:
        if self._gone.pop(meta["uid"], None) is not None:
            self._dead_since.pop(meta["uid"], None)
        if "deletionTimestamp" in meta:
            self._going_since.setdefault(meta["uid"], self.clock())

    def _went(self, obj: Object, change: Change) -> None:
        finished = self._finished.pop(obj["metadata"]["uid"], None)
        going_since = self._going_since.pop(obj["metadata"]["uid"], inf)
        if (pod := pooler(obj)) is None:
            return
        self._prune()
        last = pod if change is Change.DELETED else None
        lost = _Lost(self.clock(), overdue=self._is_late(pod.node, pod.grace_seconds, going_since))
        self._gone[pod.uid] = replace(finished or self._gone.get(pod.uid) or lost, pod=last)

    def _is_late(self, node: str, grace_seconds: float, going_since: float) -> bool:
        """Whether a kubelet that could have ended a pod that is there has not: some container hangs. That the
        kubelet is alive does not prove that it succeeds once somebody has forced the object away.

        Only the time counts in which this operator saw the kubelet live: while it saw nothing, the pod may have
        been ended in time, and its end be told late.
        """
        lease = self._leases.get(node)
        return lease is not None and lease.lived_on(going_since, grace_seconds + GONE_MARGIN_SECONDS)

    def _prune(self) -> None:
        """Drop the old ends that no ledger asks for: most pods give their connections back before they go."""
        old = {uid for uid, gone in self._gone.items() if gone.since < self.clock() - KEEP_SECONDS}
        for ledger in self.store.all(PGBUDGET) if old else ():
            old -= {grant["uid"] for grant in ledger.get("status", {}).get("grants", ())}
        for uid in old:
            del self._gone[uid]
            self._dead_since.pop(uid, None)
            self._overdue.discard(uid)

    def _to_look_at(self) -> Iterator[tuple[str, GrantRecord]]:
        """The reservations of such pods, each with the namespace of its pod."""
        for raw in self.store.all(PGBUDGET):
            grants = raw.get("status", {}).get("grants", ())
            lost = {grant["uid"] for grant in grants if self._goes_or_is_gone(grant["uid"])}
            for record in _records(raw) if lost else ():
                if record.uid in lost:
                    last = record.namespace_in(raw["metadata"]["namespace"])
                    yield next((there for there, _ in pods_with(self.store, record.uid)), last), record

    def _goes_or_is_gone(self, uid: str) -> bool:
        pods = (self.store.get(POD, *key) for key in pods_with(self.store, uid))
        return all(pod is None or is_finished(pod) or "deletionTimestamp" in pod["metadata"] for pod in pods)

    async def _look_for(self, namespace: str, record: GrantRecord) -> None:
        """Find out whether a pod that was never seen is gone: the watch of pods may be late, or stuck, while that
        of the ledgers is not. Until the API server has said so, its absence proves nothing."""
        if record.uid in self._gone or self._there(namespace, record) is not None:
            return
        try:
            found = await self.api.get(POD, namespace, record.pod)
        except ApiError as error:
            log.info("no look for a pod that was never seen", pod=record.pod, error=str(error))
            return
        if found is not None and found["metadata"]["uid"] == record.uid:
            self.store.put(POD, slim(POD, found))
        else:
            self._gone.setdefault(record.uid, _Lost(self.clock()))

    async def _look_whether_overdue(self, namespace: str, record: GrantRecord) -> None:
        """Find out whether a pod that should have ended long ago is there: the watch may be late, or stuck, and the
        pod have ended in time. Of one that the watch saw go late, that is known."""
        facts, going_since = self._facts(namespace, record), self._going_since.get(record.uid, inf)
        if record.overdue or facts.overdue:
            self._overdue.add(record.uid)
            return
        late = facts.exists and self._is_late(facts.node, facts.grace_seconds, going_since)
        if not late or life(facts, None).dead:
            return
        try:
            await look_again(self.api, self.store, POD, namespace, record.pod)
        except ApiError as error:
            log.info("no look at a pod that should have ended", pod=record.pod, error=str(error))
            return
        facts = self._facts(namespace, record)
        if facts.exists and not life(facts, None).dead:
            self._overdue.add(record.uid)

    def _there(self, namespace: str, record: GrantRecord) -> Object | None:
        raw = self.store.get(POD, namespace, record.pod)
        return raw if raw is not None and raw["metadata"]["uid"] == record.uid else None

    def _facts(self, namespace: str, record: GrantRecord) -> PodFacts:
        raw = self._there(namespace, record)
        if raw is not None:
            pod = pooler(raw)
            facts = self._seen_of(record, pod) if pod is not None else _stripped(raw, record)
            facts = replace(facts, overdue=record.uid in self._overdue)
            return self._awaiting(record.uid, _with_grace_of(record, facts))
        gone = self._gone.get(record.uid)
        if gone is None:
            return _never_seen(record)
        facts = self._seen_of(record, gone.pod) if gone.pod is not None else _never_seen(record)
        overdue = record.uid in self._overdue or (gone.overdue and gone.pod is not None)
        facts = replace(facts, exists=False, gone_since=gone.since, killed=gone.killed, overdue=overdue)
        return _with_grace_of(record, facts)

    def _seen_of(self, record: GrantRecord, pod: PoolerPod) -> PodFacts:
        """What another machine by the name of the pod's node never saw run may run on the one that it was on. Who
        sees no nodes believes it unless the pod's agent was heard to speak of the server: that one ran."""
        facts = _seen(pod)
        if not pod.assumed_ended:
            return facts
        if not self.nodes_visible:
            return replace(facts, ended=facts.ended and record.detects_dead_clients is None)
        node = self.store.get(NODE, "", record.node)
        own = node is not None and node["metadata"]["uid"] == record.node_uid
        return replace(facts, ended=facts.ended and own)

    def _awaiting(self, uid: str, facts: PodFacts) -> PodFacts:
        """What is known of a pod that is there, with since when only a living kubelet can tell that it ended."""
        if facts.ended or not facts.finished:
            self._finished.pop(uid, None)
            return facts
        lost = self._finished.setdefault(uid, _Lost(self.clock()))
        return replace(facts, gone_since=lost.since, killed=lost.killed)

    async def _node(self, name: str, uid: str, *, watched: bool) -> NodeFacts | None:
        """What is known of a pod's node; None also where another machine has its name by now (`uid`, if known)."""
        raw = self.store.get(NODE, "", name) if name else None
        if raw is None or (uid and raw["metadata"]["uid"] != uid):
            return None
        ready = _is_ready(raw)
        taints = {taint["key"] for taint in raw.get("spec", {}).get("taints", ())}
        lease = await self._lease(name) if watched and ready else None
        return NodeFacts(
            ready=ready,
            lease_renewed_at=lease.renewed_at if lease is not None else None,
            alive_since=lease.alive_since if lease is not None else None,
            out_of_service=_OUT_OF_SERVICE in taints,
        )

    async def _lease(self, node: str) -> _Lease | None:
        """What was seen of the Lease of a node since it is Ready, by now or when it could be looked at last."""
        known, begun = self._leases.get(node), self.clock()
        looked_at = max(known.looked_at if known is not None else -inf, self._failed.get(node, -inf))
        if begun < looked_at + LEASE_PAUSE_SECONDS:
            return known
        before = known.looked_at if known is not None else None
        try:
            lease = await self.api.get(LEASE, NODE_LEASES, node)
        except ApiError as error:
            log.info("no look at a node's Lease", node=node, error=str(error))
            self._failed[node] = self.clock()
            return self._leases.get(node)
        renew_time = str((lease or {}).get("spec", {}).get("renewTime", ""))
        known = self._leases.setdefault(node, _Lease(renew_time, begun))
        if known.looked_at != before:
            # This was the first look, or another one has ended meanwhile, which may have been answered later.
            return known
        if renew_time and renew_time != known.renew_time:
            known.renewed(renew_time, begun, self.clock())
        known.looked_at = begun
        return known


def _records(raw: Object) -> tuple[GrantRecord, ...]:
    """The reservations of a ledger; none of one that cannot be read, as its reconcile says."""
    try:
        return parse_pgbudget(raw).status.grants
    except InvalidResourceError:
        return ()


def _is_ready(node: Object) -> bool:
    conditions = node.get("status", {}).get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _with_grace_of(record: GrantRecord, facts: PodFacts) -> PodFacts:
    """The ledger may know of a longer one: of the pod's deletion this operator has not seen."""
    return replace(facts, grace_seconds=max(facts.grace_seconds, record.grace_seconds))


def _never_seen(record: GrantRecord) -> PodFacts:
    """Of a pod that was gone before this operator looked."""
    return PodFacts(
        exists=False,
        node=record.node,
        deleted=False,
        finished=False,
        ended=False,
        grace_seconds=record.grace_seconds,
        last_seen=False,
    )


def _stripped(raw: Object, record: GrantRecord) -> PodFacts:
    """Of a pod that somebody took labels and grant off: little of it is kept, and its end is not among that."""
    return PodFacts(
        exists=True,
        node=record.node,
        deleted="deletionTimestamp" in raw["metadata"],
        finished=is_finished(raw),
        ended=False,
        grace_seconds=record.grace_seconds,
    )


def _seen(pod: PoolerPod) -> PodFacts:
    return PodFacts(
        exists=True,
        node=pod.node,
        deleted=pod.deleted,
        finished=pod.finished,
        ended=pod.ended,
        left_nothing=pod.left_nothing,
        grace_seconds=pod.grace_seconds,
    )
