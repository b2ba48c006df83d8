"""Whether a live object still is what the operator applied."""

from collections.abc import Mapping, Sequence
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from .common import Manifest

_MERGE_KEYS: Mapping[str, tuple[str, ...]] = {
    "containers": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "ownerReferences": ("uid",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}
"""Lists that the API server merges element by element: other people's elements may stand beside ours. Source:
x-kubernetes-list-map-keys in Kubernetes' OpenAPI. Ports have keys too (`_PORT_KEYS`), other lists none."""

_PORT_KEYS = (("containerPort", "protocol"), ("port", "protocol"))

_DEFAULTS = {"protocol": "TCP"}

_LEFT_OUT = ("", None)
"""The API server leaves out empty strings: none is the same as an empty one."""

_QUANTITIES = ("limits", "requests")


def differs(desired: Manifest, live: Manifest) -> bool:
    """True if a field that the operator applies is missing or has another value in the live object.

    What the server added (defaults, other managers' fields) is no difference. A field that is no longer
    desired shows in the annotation `pgpool.dev/applied`, a hash of the whole manifest.
    """
    return not _holds(desired, live)


def _holds(desired: Any, live: Any, field: str = "") -> bool:
    if isinstance(desired, Mapping):
        return _mapping_holds(desired, live, field)
    if isinstance(desired, Sequence) and not isinstance(desired, str):
        return _list_holds(desired, live if live is not None else [], field)
    return bool(desired == live) or (desired in _LEFT_OUT and live in _LEFT_OUT)


def _mapping_holds(desired: Mapping[str, Any], live: Any, field: str) -> bool:
    if live is None:
        live = {}
    if not isinstance(live, Mapping):
        return False
    if field in _QUANTITIES:
        return all(key in live and _same_quantity(value, live[key]) for key, value in desired.items())
    return all(_holds(value, live.get(key), key) for key, value in desired.items())


def _list_holds(desired: Sequence[Any], live: Any, field: str) -> bool:
    if not isinstance(live, Sequence) or isinstance(live, str):
        return False
    keys = _keys(field, desired)
    if keys is None:
        return len(desired) == len(live) and all(map(_holds, desired, live))
    by_key = {_key(element, keys): element for element in live}
    return all(_holds(element, by_key.get(_key(element, keys))) for element in desired)


def _keys(field: str, elements: Sequence[Any]) -> tuple[str, ...] | None:
    if field == "ports":
        return next(keys for keys in _PORT_KEYS if all(keys[0] in element for element in elements))
    return _MERGE_KEYS.get(field)


def _key(element: Mapping[str, Any], keys: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(element.get(key, _DEFAULTS.get(key)) for key in keys)


def _same_quantity(desired: Any, live: Any) -> bool:
    return bool(parse_quantity(desired) == parse_quantity(live))  # type: ignore[no-untyped-call]
