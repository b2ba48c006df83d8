"""Objects as the API server gives them -> models."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from .base import ApiModel
from .pgbudget import PgBudget
from .pgpool import PgPool

_Resource = TypeVar("_Resource", bound=ApiModel)


class InvalidResourceError(ValueError):
    """An object that this release cannot read: its CRD was older or newer, or admission was bypassed."""


def parse_pgpool(obj: Mapping[str, Any]) -> PgPool:
    """A PgPool from its JSON. InvalidResourceError names each field that is wrong."""
    return _parse(PgPool, obj)


def parse_pgbudget(obj: Mapping[str, Any]) -> PgBudget:
    """A PgBudget from its JSON. InvalidResourceError names each field that is wrong."""
    return _parse(PgBudget, obj)


def _parse(model: type[_Resource], obj: Mapping[str, Any]) -> _Resource:
    try:
        return model.model_validate(obj)
    except ValidationError as error:
        metadata = obj.get("metadata") or {}
        who = f"{model.__name__} {metadata.get('namespace', '?')}/{metadata.get('name', '?')}"
        raise InvalidResourceError(f"{who}: {_explain(error)}") from error


def _explain(error: ValidationError) -> str:
    return "; ".join(f"{_path(item['loc'])}: {item['msg']}" for item in error.errors(include_url=False))


def _path(loc: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")
