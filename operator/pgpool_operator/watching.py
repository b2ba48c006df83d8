"""kopf wiring: what is watched, and how an event becomes a key in the work queue. Nothing is decided here."""

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import kopf

from pgpool_pooler.contract import GRANT_ANNOTATION

from .agents import Target
from .api import InvalidResourceError
from .cluster.api import FIELD_MANAGER
from .cluster.kinds import NODE, OBSERVED, PGBUDGET, PGPOOL, POD, Kind
from .cluster.near import grant_on, granted, labels_of, ledgers_near, ledgers_of, pools_near, pools_with
from .cluster.queue import WorkQueue
from .cluster.shared import ledgers_across, ledgers_beside, place_of, places_of, pools_naming
from .cluster.store import Change, Object, Store
from .desired import POOL_LABEL
from .discovery import Address

MANAGED_SELECTOR = f"app.kubernetes.io/managed-by={FIELD_MANAGER}"
"""On every child; only these are watched. One that loses the label looks deleted, and is applied again."""


class Key(NamedTuple):
    """What one reconcile is about."""

    kind: Kind
    namespace: str
    name: str


def slim(kind: Kind, obj: Object) -> Object:
    """The object without what the operator never reads.

    Memory is by far the largest cost of a cache; and a database's pods and the nodes tell of themselves every few
    seconds, which is no change where nothing that is read has changed.
    """
    meta = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    slimmed = {**obj, "apiVersion": kind.api_version, "kind": kind.name, "metadata": meta}
    if kind is NODE:
        slimmed["metadata"] = _only(meta, "name", "uid", "resourceVersion")
        slimmed["spec"] = _only(obj.get("spec", {}), "taints")
        slimmed["status"] = _status(obj, "allocatable")
    if kind is POD and not may_hold(meta):
        slimmed["metadata"] = {key: value for key, value in meta.items() if key != "annotations"}
        slimmed["spec"] = _only(obj.get("spec", {}), "nodeName", "containers")
        slimmed["status"] = _status(obj, "phase", "podIP", "podIPs")
    return slimmed


def may_hold(meta: Object) -> bool:
    """Whether it is a pooler pod, or was one until somebody took its label off."""
    return POOL_LABEL in meta.get("labels", {}) or GRANT_ANNOTATION in meta.get("annotations", {})


def _status(obj: Object, *keys: str) -> Object:
    status = obj.get("status", {})
    ready = [_only(c, "type", "status") for c in status.get("conditions", ()) if c["type"] == "Ready"]
    return {**_only(status, *keys), "conditions": ready}


def _only(obj: Object, *keys: str) -> Object:
    return {key: obj[key] for key in keys if key in obj}


def registry(store: Store, started: Callable[[Kind], None], *, nodes: bool) -> kopf.OperatorRegistry:
    """Handlers that put every observed object into the store.

    `started` is called for every object that is there when the watch of its kind starts, be it again: what was
    deleted before that is not told of.
    """
    handlers = kopf.OperatorRegistry()
    for kind in (*OBSERVED, *((NODE,) if nodes else ())):
        _watch(handlers, store, kind, partial(started, kind))
    return handlers


def _watch(handlers: kopf.OperatorRegistry, store: Store, kind: Kind, started: Callable[[], None]) -> None:
    @kopf.on.event(kind.group, kind.version, kind.plural, registry=handlers, id=kind.plural)
    async def observe(event: kopf.RawEvent, **_: Any) -> None:
        obj = slim(kind, dict(event["object"]))
        if event["type"] == "DELETED":
            store.remove(kind, obj)
        else:
            store.put(kind, obj)
        if event["type"] is None:
            started()


class Router:
    """Turns a change in the store into the keys that it concerns."""

    def __init__(self, store: Store, queue: WorkQueue[Key]) -> None:
        self._store = store
        self._queue = queue
        self._near: dict[Key, set[str]] = {}
        self._labels: dict[str, Mapping[str, str]] = {}
        """Of each pod, by uid, as they were last: what they were before is what a change takes away."""
        store.listen(self.changed)

    def changed(self, kind: Kind, obj: Object, change: Change) -> None:
        """Queue what the change of `obj` can concern."""
        for key in self._concerned(kind, obj):
            self._queue.add(key)
        if change is not Change.PUT:
            self._forget(kind, obj["metadata"])

    def everything(self) -> None:
        """Queue every PgPool and PgBudget: at start, and as a resync."""
        for kind in (PGPOOL, PGBUDGET):
            for obj in self._store.all(kind):
                self.changed(kind, obj, Change.PUT)

    def heard(self, target: Target) -> None:
        """Queue what a new state of a pod can concern."""
        pod = self._store.get(POD, target.namespace, target.name)
        if pod is not None and pod["metadata"]["uid"] == target.uid:
            self.changed(POD, pod, Change.PUT)

    def _concerned(self, kind: Kind, obj: Object) -> Iterator[Key]:
        meta = obj["metadata"]
        if kind is NODE:
            yield from self._all(PGBUDGET, None)
            return
        namespace = meta["namespace"]
        if kind is PGPOOL:
            yield Key(PGPOOL, namespace, meta["name"])
            yield from self._ledgers(namespace, partial(ledgers_near, self._store, namespace, meta["name"]))
            yield from self._ledgers_across(f"{namespace}/{meta['name']}", places_of(obj))
        elif kind is PGBUDGET:
            yield Key(PGBUDGET, namespace, meta["name"])
            yield from (Key(PGBUDGET, *key) for key in ledgers_beside(self._store, obj))
            yield from self._pools(Key(PGBUDGET, namespace, meta["name"]))
            yield from self._pools_across(obj)
        elif kind is POD:
            yield from self._of_pod(obj)
        else:
            yield from (Key(PGPOOL, namespace, name) for name in _pools_of(meta))

    def _of_pod(self, pod: Object) -> Iterator[Key]:
        """The pools that it belongs to or did, their ledgers, those that tell of it, and its own as a server."""
        meta, labels = pod["metadata"], labels_of(pod)
        namespace, own = meta["namespace"], Key(PGBUDGET, meta["namespace"], meta["name"])
        before = self._labels.get(meta["uid"], labels)
        self._labels[meta["uid"]] = labels
        if self._store.get(*own) is not None:
            yield own
        yield from self._ledgers(namespace, partial(ledgers_of, self._store, pod))
        yield from self._ledgers_across(meta["uid"], granted(grant_on(pod)))
        for pool in {name for one in (before, labels) for name in pools_with(self._store, namespace, one)}:
            yield Key(PGPOOL, namespace, pool)
            yield from self._ledgers(namespace, partial(ledgers_near, self._store, namespace, pool))
            yield from self._ledgers_across(f"{namespace}/{pool}", ())

    def _forget(self, kind: Kind, meta: Object) -> None:
        if kind is POD:
            self._labels.pop(meta["uid"], None)
        elif kind is PGBUDGET:
            self._near.pop(Key(kind, meta["namespace"], meta["name"]), None)

    def _ledgers(self, namespace: str, find: Callable[[], set[str]]) -> Iterator[Key]:
        """The ledgers that are found; all of them where one cannot be read, which may be the one."""
        try:
            near = find()
        except InvalidResourceError:
            yield from self._all(PGBUDGET, namespace)
        else:
            yield from (Key(PGBUDGET, namespace, name) for name in near)

    def _pools(self, ledger: Key) -> Iterator[Key]:
        """The pools near a ledger, and those that were: they want to know that it has let them go."""
        try:
            near = pools_near(self._store, ledger.namespace, ledger.name)
        except InvalidResourceError:
            yield from self._all(PGPOOL, ledger.namespace)
        else:
            before, self._near[ledger] = self._near.get(ledger, set()), near
            yield from (Key(PGPOOL, ledger.namespace, name) for name in before | near)

    def _ledgers_across(self, subject: str, places: Collection[Address]) -> Iterator[Key]:
        yield from (Key(PGBUDGET, *key) for key in ledgers_across(self._store, subject, places))

    def _pools_across(self, ledger: Object) -> Iterator[Key]:
        """The pools of all namespaces that name its server, be it only to hear whose it is."""
        place = place_of(ledger)
        yield from (Key(PGPOOL, *key) for key in (pools_naming(self._store, place) if place else ()))

    def _all(self, kind: Kind, namespace: str | None) -> Iterator[Key]:
        for obj in self._store.all(kind, namespace):
            yield Key(kind, obj["metadata"]["namespace"], obj["metadata"]["name"])


def _pools_of(meta: Object) -> set[str]:
    """Whose child it is: a hand may have taken away the label or the owner, and the other still says it."""
    owners = {owner["name"] for owner in meta.get("ownerReferences", ()) if owner["kind"] == PGPOOL.name}
    label = meta.get("labels", {}).get(POOL_LABEL)
    return owners | ({label} if label else set())
