"""What should exist for a PgPool: its children as manifests, and whether a live one is what it should be.

Pure: a PgPool and decisions in, manifests for server-side apply out.
"""

from .children import children, stale
from .common import (
    APPLIED_ANNOTATION,
    ENDPOINT_LABEL,
    POOL_LABEL,
    EndpointPlan,
    Manifest,
    endpoint_name,
    endpoints,
    selector,
)
from .configmap import config_hash
from .deployment import CONTAINER
from .drift import differs

__all__ = [
    "APPLIED_ANNOTATION",
    "CONTAINER",
    "ENDPOINT_LABEL",
    "POOL_LABEL",
    "EndpointPlan",
    "Manifest",
    "children",
    "config_hash",
    "differs",
    "endpoint_name",
    "endpoints",
    "selector",
    "stale",
]
