"""What the operator has observed: the newest known version of every object it cares for.

Fed by watch events, by the replies to the operator's own writes (so that it never acts on what it knows to be
old), and by `Store.replace`, which a periodic listing calls: a watch that restarts can lose deletions.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, NamedTuple, TypeVar

from .index import Index, Reading
from .kinds import Kind

Object = dict[str, Any]
Key = tuple[str, str]
M = TypeVar("M")


def key_of(obj: Object) -> Key:
    """(namespace, name); the namespace is empty for cluster-scoped objects."""
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def version_of(obj: Object) -> int:
    """resourceVersion as a number. Kubernetes compares them so too (KEP-5504)."""
    return int(obj["metadata"].get("resourceVersion") or 0)


def _content(obj: Object) -> Object:
    meta = {key: value for key, value in obj["metadata"].items() if key != "resourceVersion"}
    return {**obj, "metadata": meta}


@dataclass
class _Shelf:
    objects: dict[Key, Object] = field(default_factory=dict)
    by_namespace: dict[str, set[Key]] = field(default_factory=dict)
    buried: dict[str, int] = field(default_factory=dict)
    missed: set[str] = field(default_factory=set)
    """Those of the buried (uid) whose end was not seen."""
    old: set[str] = field(default_factory=set)
    """Those of the buried or missed (uid) that were so at the listing before."""
    indexes: dict[str | None, dict[Reading[Any], Index[Any]]] = field(default_factory=dict)
    """By namespace; None: over all of them."""

    def put(self, key: Key, obj: Object) -> None:
        self.objects[key] = obj
        self.by_namespace.setdefault(key[0], set()).add(key)
        self._index(key, obj)

    def remove(self, key: Key) -> None:
        del self.objects[key]
        there = self.by_namespace[key[0]]
        there.discard(key)
        if not there:
            del self.by_namespace[key[0]]
        self._index(key, None)

    def forget_old(self) -> None:
        """Forget the ends that the listing before knew of: what is late of those objects has come by now."""
        for uid in self.old:
            self.buried.pop(uid, None)
        self.missed -= self.old
        self.old = self.buried.keys() | self.missed

    def _index(self, key: Key, obj: Object | None) -> None:
        for index in self.indexes.get(key[0], {}).values():
            index.changed(key[1], obj)
        for index in self.indexes.get(None, {}).values():
            index.changed("/".join(key), obj)


class Change(Enum):
    """What happened to an object."""

    PUT = auto()
    """It is there, with this version."""
    DELETED = auto()
    """It is gone; this is the last version that it had."""
    MISSED = auto()
    """It was found to be gone; this is the last version that was seen, not the last that it had."""


Listener = Callable[[Kind, Object, Change], None]


class Untold(NamedTuple):
    """What a listing said that the watch had not told of."""

    changed: list[Object]
    """Versions that were not known yet."""
    gone: list[Object]
    """The last known version of what is there no more."""


class Store:
    """Objects by kind, namespace and name; listeners hear of every change of content once."""

    def __init__(self) -> None:
        self._shelves: dict[Kind, _Shelf] = {}
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Call `listener` on every change from now on."""
        self._listeners.append(listener)

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """The newest version known, or None."""
        return self._shelf(kind).objects.get((namespace, name))

    def all(self, kind: Kind, namespace: str | None = None) -> Iterator[Object]:
        """Every object of a kind, or those of one namespace."""
        shelf = self._shelf(kind)
        if namespace is None:
            yield from shelf.objects.values()
            return
        for key in sorted(shelf.by_namespace.get(namespace, ())):
            yield shelf.objects[key]

    def read(self, reading: Reading[M], namespace: str | None) -> Index[M]:
        """The objects of one namespace as `reading` has them; the index is kept up to date from now on.

        None: those of all namespaces, each by namespace/name.
        """
        shelf = self._shelf(reading.kind)
        indexes = shelf.indexes.setdefault(namespace, {})
        if reading not in indexes:
            indexes[reading] = Index(reading)
            keys = shelf.objects if namespace is None else shelf.by_namespace.get(namespace, ())
            for key in sorted(keys):
                name = "/".join(key) if namespace is None else key[1]
                indexes[reading].changed(name, shelf.objects[key])
        return indexes[reading]

    def put(self, kind: Kind, obj: Object) -> bool:
        """Take in a version; False where it is not newer than what is known (or known to be deleted).

        Listeners hear of it if it says anything new: a version may differ only in what is not kept.
        """
        shelf, key = self._shelf(kind), key_of(obj)
        known = shelf.objects.get(key)
        if known is not None and version_of(obj) <= version_of(known):
            return False
        if version_of(obj) <= shelf.buried.get(obj["metadata"]["uid"], -1):
            return False
        replaced = known if known is not None and known["metadata"]["uid"] != obj["metadata"]["uid"] else None
        shelf.put(key, obj)
        if replaced is not None:
            shelf.missed.add(replaced["metadata"]["uid"])
            self._tell(kind, replaced, Change.MISSED)
        if known is None or _content(known) != _content(obj):
            self._tell(kind, obj, Change.PUT)
        return True

    def remove(self, kind: Kind, obj: Object, change: Change = Change.DELETED) -> None:
        """The object is gone; `obj` is its last version, or the last that was seen.

        Where a deletion that was missed is seen after all, listeners hear of the object a second time: its last
        version tells more than its absence.
        """
        shelf, key, uid = self._shelf(kind), key_of(obj), obj["metadata"]["uid"]
        shelf.buried[uid] = max(version_of(obj), shelf.buried.get(uid, 0))
        known = shelf.objects.get(key)
        if known is not None and known["metadata"]["uid"] == uid:
            shelf.remove(key)
        elif change is Change.MISSED or uid not in shelf.missed:
            return
        (shelf.missed.add if change is Change.MISSED else shelf.missed.discard)(uid)
        self._tell(kind, obj, change)

    def replace(self, kind: Kind, listed: Iterable[Object], list_version: str) -> Untold:
        """Make the shelf what a listing says.

        The ends that are known stay so until the listing after the next one: a DELETED event, which tells more of
        a missed one, or an older reply, which must bring nothing back, may be on its way.
        """
        listed, shelf = list(listed), self._shelf(kind)
        present = {obj["metadata"]["uid"] for obj in listed}
        changed = [obj for obj in listed if self.put(kind, obj)]
        shelf.forget_old()
        gone = [
            known
            for known in self.all(kind)
            if known["metadata"]["uid"] not in present and version_of(known) <= int(list_version)
        ]
        for known in gone:
            shelf.buried[known["metadata"]["uid"]] = int(list_version)
            self.remove(kind, known, Change.MISSED)
        return Untold(changed, gone)

    def _shelf(self, kind: Kind) -> _Shelf:
        return self._shelves.setdefault(kind, _Shelf())

    def _tell(self, kind: Kind, obj: Object, change: Change) -> None:
        for listener in self._listeners:
            listener(kind, obj, change)
