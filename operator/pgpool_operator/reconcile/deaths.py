"""What is known of pods that hold a reservation: alive, going, proven dead, or unknown.

Keeps the last sight of pods that are gone, and watches the Leases of nodes whose pods vanished without a word. All
times are of this process's monotonic clock, so a restart of the operator only makes it wait longer.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..api import GrantRecord
from ..budget import Life, NodeFacts, PodFacts, life
from ..cluster.api import Api
from ..cluster.kinds import LEASE, NODE, PGBUDGET, POD, Kind
from ..cluster.store import Change, Store
from .pods import PoolerPod, pooler

Object = dict[str, Any]

NODE_LEASES = "kube-node-lease"
LEASE_PAUSE_SECONDS = 2.0
"""Between two looks at one node's Lease, however many pods are missing there; the kubelet renews every 10 s."""
KEEP_SECONDS = 600.0
"""The end of a pod that no ledger names is kept for as long: the ledger may be about to name it."""
_OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"


@dataclass
class _Gone:
    since: float
    pod: PoolerPod | None
    """Its last version; None if that was not seen."""


@dataclass
class _Lease:
    renew_time: str
    looked_at: float
    renewed_at: float | None = None
    """No later than its last renewal: when this process looked last and the renewal was not there yet."""


@dataclass
class Deaths:
    """Verdicts on pods by uid."""

    api: Api
    store: Store
    nodes_visible: bool
    clock: Callable[[], float] = time.monotonic
    _gone: dict[str, _Gone] = field(default_factory=dict)
    _dead_since: dict[str, float] = field(default_factory=dict)
    _leases: dict[str, _Lease] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store.listen(self._changed)

    async def verdict(self, namespace: str, record: GrantRecord) -> tuple[Life, float]:
        """The life of a pod with a reservation, and for how many seconds it has been proven dead."""
        return await self._verdict(record.uid, self._facts(namespace, record))

    async def verdict_on(self, pod: PoolerPod) -> tuple[Life, float]:
        """The same of a pod that is there and has no reservation."""
        return await self._verdict(pod.uid, _seen(pod))

    async def _verdict(self, uid: str, facts: PodFacts) -> tuple[Life, float]:
        now = self.clock()
        node = await self._node(facts.node, missing=not facts.exists) if self.nodes_visible else None
        found = life(facts, node)
        if not found.dead:
            self._dead_since.pop(uid, None)
            return found, 0.0
        return found, now - self._dead_since.setdefault(uid, now)

    def _changed(self, kind: Kind, obj: Object, change: Change) -> None:
        if change is Change.PUT:
            return
        if kind is NODE:
            self._leases.pop(obj["metadata"]["name"], None)
        elif kind is POD and (pod := pooler(obj)) is not None:
            self._prune()
            self._gone[pod.uid] = _Gone(self.clock(), pod if change is Change.DELETED else None)

    def _prune(self) -> None:
        """Drop the old ends that no ledger asks for: most pods give their connections back before they go."""
        old = {uid for uid, gone in self._gone.items() if gone.since < self.clock() - KEEP_SECONDS}
        for ledger in self.store.all(PGBUDGET) if old else ():
            old -= {grant["uid"] for grant in ledger.get("status", {}).get("grants", ())}
        for uid in old:
            del self._gone[uid]
            self._dead_since.pop(uid, None)

    def _facts(self, namespace: str, record: GrantRecord) -> PodFacts:
        raw = self.store.get(POD, namespace, record.pod)
        if raw is not None and raw["metadata"]["uid"] == record.uid:
            pod = pooler(raw)
            return _seen(pod) if pod is not None else _stripped(raw, record)
        gone = self._gone.setdefault(record.uid, _Gone(self.clock(), None))
        if gone.pod is not None:
            return _seen(gone.pod, gone_since=gone.since)
        return PodFacts(
            exists=False,
            node=record.node,
            deleted=False,
            ended=False,
            grace_seconds=record.grace_seconds,
            gone_since=gone.since,
            last_seen=False,
        )

    async def _node(self, name: str, *, missing: bool) -> NodeFacts | None:
        raw = self.store.get(NODE, "", name) if name else None
        if raw is None:
            return None
        ready = any(
            c["type"] == "Ready" and c["status"] == "True"
            for c in raw.get("status", {}).get("conditions", ())
        )
        taints = {taint["key"] for taint in raw.get("spec", {}).get("taints", ())}
        renewed = await self._renewed(name) if missing else None
        return NodeFacts(ready, renewed, out_of_service=_OUT_OF_SERVICE in taints)

    async def _renewed(self, node: str) -> float | None:
        """A time that the node's kubelet has certainly renewed its Lease after; None before it was seen to."""
        known, now = self._leases.get(node), self.clock()
        if known is not None and now < known.looked_at + LEASE_PAUSE_SECONDS:
            return known.renewed_at
        lease = await self.api.get(LEASE, NODE_LEASES, node)
        renew_time = str((lease or {}).get("spec", {}).get("renewTime", ""))
        known = self._leases.setdefault(node, _Lease(renew_time, now))
        if now < known.looked_at:
            return known.renewed_at
        if renew_time != known.renew_time:
            known.renew_time, known.renewed_at = renew_time, known.looked_at
        known.looked_at = now
        return known.renewed_at


def _stripped(raw: Object, record: GrantRecord) -> PodFacts:
    """Of a pod that somebody took labels and grant off: little of it is kept, and its end is not among that."""
    return PodFacts(
        exists=True,
        node=record.node,
        deleted="deletionTimestamp" in raw["metadata"],
        ended=False,
        grace_seconds=record.grace_seconds,
    )


def _seen(pod: PoolerPod, gone_since: float | None = None) -> PodFacts:
    return PodFacts(
        exists=gone_since is None,
        node=pod.node,
        deleted=pod.deleted or pod.finished,
        ended=pod.ended,
        grace_seconds=pod.grace_seconds,
        gone_since=gone_since,
    )
