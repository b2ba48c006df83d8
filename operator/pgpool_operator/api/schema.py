"""A pydantic model's JSON schema -> the structural schema of a CRD.

A structural schema has no references, no null and one type for each node; see the Kubernetes documentation,
"Specifying a structural schema".
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]

_EMPTY: tuple[Any, ...] = (None, {}, [], "")


def structural_schema(model: type[BaseModel]) -> Schema:
    """The schema of `model` as a CRD can hold it."""
    raw = model.model_json_schema(by_alias=True, mode="validation")
    return _convert(raw, raw.get("$defs", {}))


def _convert(raw: Schema, definitions: Mapping[str, Schema]) -> Schema:
    node = _without_null(_inlined(raw, definitions), definitions)
    result: Schema = {key: value for key, value in node.items() if key not in _DROPPED}
    if "const" in node:
        result["enum"] = [node["const"]]
    if "description" in node:
        result["description"] = " ".join(node["description"].split())
    if "properties" in node:
        result["properties"] = {
            name: _convert(child, definitions) for name, child in node["properties"].items()
        }
    if "items" in node:
        result["items"] = _convert(node["items"], definitions)
    if isinstance(node.get("additionalProperties"), dict):
        result["additionalProperties"] = _convert(node["additionalProperties"], definitions)
    default = _spelled_out(node.get("default"))
    if default not in _EMPTY:
        result["default"] = default
    return result


_DROPPED = frozenset({"$defs", "title", "const", "default", "additionalProperties"})


def _inlined(node: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """What stands beside a reference (the field's description, default, rules) wins over its target."""
    if "$ref" not in node:
        return node
    target = _inlined(definitions[node["$ref"].removeprefix("#/$defs/")], definitions)
    return {**target, **{key: value for key, value in node.items() if key != "$ref"}}


def _without_null(node: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """An optional field may be absent in Kubernetes, which prunes null."""
    if "anyOf" not in node:
        return node
    (value,) = (option for option in node["anyOf"] if option != {"type": "null"})
    return {**_inlined(value, definitions), **{key: item for key, item in node.items() if key != "anyOf"}}


def _spelled_out(default: Any) -> Any:
    """A default without what is empty: an absent field and an empty one mean the same."""
    if isinstance(default, dict):
        members = {key: _spelled_out(value) for key, value in default.items()}
        return {key: value for key, value in members.items() if value not in _EMPTY}
    return default
