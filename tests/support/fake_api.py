"""An API server in memory, behind the real client: objects, versions, preconditions, and who wrote what."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pgpool_operator.cluster.api import Api, ApiError
from pgpool_operator.cluster.kinds import LEASE, NODE, OBSERVED, Kind
from pgpool_operator.cluster.store import Store
from pgpool_operator.watching import slim

Object = dict[str, Any]

_COLLECTIONS = {kind.plural for kind in (*OBSERVED, NODE, LEASE)}

CREATED = "2026-11-20T10:00:00Z"


@dataclass(frozen=True)
class Write:
    """One accepted write."""

    verb: str
    plural: str
    name: str
    body: Object

    @property
    def annotations(self) -> Mapping[str, str]:
        """Those that it sets."""
        found: Mapping[str, str] = self.body["metadata"].get("annotations", {})
        return found


@dataclass
class FakeServer:
    """Objects by path. Every change gives a new resourceVersion; a write that changes nothing does not."""

    objects: dict[str, Object] = field(default_factory=dict)
    writes: list[Write] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    events: list[Object] = field(default_factory=list)
    refuse: Callable[[str, str], ApiError | None] = lambda _method, _path: None
    """What to refuse, by method and path."""
    version: int = 100

    def get(self, kind: Kind, name: str, namespace: str | None = "shop") -> Object | None:
        """An object as it is now."""
        return copy.deepcopy(self.objects.get(kind.path(namespace, name)))

    def there(self, kind: Kind, name: str) -> Object:
        """An object that must be there."""
        found = self.get(kind, name)
        assert found is not None, f"no {kind.name} {name}"
        return found

    def save(self, kind: Kind, obj: Object) -> Object:
        """Somebody else creates or changes an object."""
        meta = {"namespace": "shop"} | obj["metadata"] if kind.namespaced else obj["metadata"]
        named = {"apiVersion": kind.api_version, "kind": kind.name, **obj, "metadata": meta}
        return self._keep(kind.path(meta.get("namespace"), meta["name"]), named)

    def remove(self, kind: Kind, name: str) -> Object:
        """Somebody else deletes an object; returns its last version, as a DELETED event has it."""
        self.version += 1
        gone = self.objects.pop(kind.path("shop", name))
        gone["metadata"]["resourceVersion"] = str(self.version)
        return gone

    def written(self, plural: str) -> list[Write]:
        """The accepted writes to one kind."""
        return [write for write in self.writes if write.plural == plural]

    def handle(self, method: str, path: str, body: Object | None, content_type: str) -> Object:
        """Answer one request as the API server does."""
        refused = self.refuse(method, path)
        if refused is not None:
            raise refused
        if method == "get":
            self.reads.append(path)
            return self._read(path)
        assert body is not None
        if method == "post":
            self.events.append(body)
            return body
        target = path.removesuffix("/status")
        handlers = {
            ("patch", "application/apply-patch+yaml"): ("apply", self._apply),
            ("patch", "application/merge-patch+json"): ("annotate", self._merge),
            ("put", ""): ("status", self._status),
            ("delete", ""): ("delete", self._delete),
        }
        verb, handler = handlers[method, content_type]
        answer = handler(target, copy.deepcopy(body))
        *_, plural, name = target.split("/")
        self.writes.append(Write(verb, plural, name, copy.deepcopy(body)))
        return copy.deepcopy(answer)

    def _read(self, path: str) -> Object:
        if path in self.objects:
            return copy.deepcopy(self.objects[path])
        if path.rpartition("/")[2] not in _COLLECTIONS:
            raise ApiError(404, "not found")
        items = [obj for key, obj in self.objects.items() if key.rpartition("/")[0] == path]
        return {"metadata": {"resourceVersion": str(self.version)}, "items": copy.deepcopy(items)}

    def _apply(self, path: str, body: Object) -> Object:
        return self._keep(path, _merged(self.objects.get(path, {}), body))

    def _merge(self, path: str, body: Object) -> Object:
        live = self._expected(path, body["metadata"])
        return self._keep(path, _merged(live, body))

    def _status(self, path: str, body: Object) -> Object:
        live = self._expected(path, body["metadata"])
        return self._keep(path, {**live, "status": body["status"]})

    def _delete(self, path: str, body: Object) -> Object:
        self._expected(path, body["preconditions"])
        return self.objects.pop(path)

    def _expected(self, path: str, preconditions: Object) -> Object:
        live = self.objects.get(path)
        if live is None:
            raise ApiError(404, "not found")
        for key in ("uid", "resourceVersion"):
            if preconditions[key] != live["metadata"][key]:
                raise ApiError(409, f"{key} is not what was expected")
        return copy.deepcopy(live)

    def _keep(self, path: str, obj: Object) -> Object:
        live = self.objects.get(path)
        namespace, name = obj["metadata"].get("namespace", "shop"), obj["metadata"]["name"]
        uid = f"uid-{name}" if namespace == "shop" else f"uid-{namespace}-{name}"
        meta = {"uid": uid, "generation": 1, "creationTimestamp": CREATED}
        obj = {**copy.deepcopy(obj), "metadata": meta | copy.deepcopy(obj["metadata"])}
        if live is not None:
            obj["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
            if obj == live:
                return live
            if obj.get("spec") != live.get("spec"):
                obj["metadata"]["generation"] = live["metadata"]["generation"] + 1
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        self.objects[path] = obj
        return obj


def _merged(live: Any, change: Any) -> Any:
    if not isinstance(live, dict) or not isinstance(change, dict):
        return change
    merged = {**live, **{key: _merged(live.get(key), value) for key, value in change.items()}}
    return {key: value for key, value in merged.items() if value is not None}


class FakeApi(Api):
    """The real client, whose requests a `FakeServer` answers."""

    def __init__(self, server: FakeServer) -> None:
        self._server = server

    async def _request(self, method: str, path: str, **params: Any) -> Object:
        return self._server.handle(method, path, params.get("body"), params.get("content_type", ""))


def watch(server: FakeServer, store: Store, *kinds: Kind) -> None:
    """What the watches of these kinds deliver: the store sees every object as it is now."""
    for kind in kinds or OBSERVED:
        prefix = kind.path("shop")
        for path, obj in server.objects.items():
            if path.rpartition("/")[0] == prefix:
                store.put(kind, slim(kind, copy.deepcopy(obj)))
