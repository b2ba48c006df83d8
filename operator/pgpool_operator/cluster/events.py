"""Kubernetes Events about PgPools and PgBudgets."""

import datetime
import uuid
from typing import Any

from .api import FIELD_MANAGER, Api

Object = dict[str, Any]


async def post(api: Api, about: Object, kind: str, reason: str, message: str) -> None:
    """Post one Event (`kind`: Normal or Warning) that `kubectl describe` shows with the object."""
    meta = about["metadata"]
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    await api.create_event(
        {
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
    )
