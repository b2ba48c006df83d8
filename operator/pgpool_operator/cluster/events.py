"""Kubernetes Events about PgPools and PgBudgets."""

import datetime
import uuid
from typing import Any

import structlog

from .api import FIELD_MANAGER, Api, ApiError

log = structlog.get_logger()

Object = dict[str, Any]


async def post(api: Api, about: Object, kind: str, reason: str, message: str) -> None:
    """Post one Event (`kind`: Normal or Warning) that `kubectl describe` shows with the object.

    Best effort: an event that cannot be posted holds up nothing.
    """
    try:
        await api.create_event(_event(about, kind, reason, message))
    except ApiError as error:
        log.warning("event not posted", reason=reason, name=about["metadata"]["name"], error=str(error))


def _event(about: Object, kind: str, reason: str, message: str) -> Object:
    meta = about["metadata"]
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{meta['name']}.{uuid.uuid4().hex[:16]}", "namespace": meta["namespace"]},
        "involvedObject": {
            "apiVersion": about["apiVersion"],
            "kind": about["kind"],
            "namespace": meta["namespace"],
            "name": meta["name"],
            "uid": meta["uid"],
            "resourceVersion": meta["resourceVersion"],
        },
        "type": kind,
        "reason": reason,
        "message": message[:1024],
        "source": {"component": FIELD_MANAGER},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
