"""What all children of a pool have in common: names, labels, owner."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from pgpool_pooler.contract import Endpoint

from ..api import PgPool
from ..api.crd import GROUP, VERSION

Manifest = dict[str, Any]
"""A Kubernetes object as the API server takes it."""

MANAGER = "pgpool-operator"
POOL_LABEL = "pgpool.dev/pool"
ENDPOINT_LABEL = "pgpool.dev/endpoint"
APPLIED_ANNOTATION = "pgpool.dev/applied"
"""Hash of the manifest as applied last, so that a field which is no longer desired is a difference too."""

OWN_PREFIX = "pgpool.dev/"
"""Labels and annotations that only the operator sets."""

_SUFFIXES = {Endpoint.WRITE: "rw", Endpoint.READ: "ro"}


@dataclass(frozen=True)
class EndpointPlan:
    """What was decided about an endpoint's pods; how many fit into the budget is not decided here."""

    replicas: int
    max_surge: int
    max_unavailable: int


def endpoint_name(pool_name: str, endpoint: Endpoint) -> str:
    """The name of an endpoint's Deployment, Service and PodDisruptionBudget."""
    return f"{pool_name}-{_SUFFIXES[endpoint]}"


def endpoints(pool: PgPool) -> tuple[Endpoint, ...]:
    """The endpoints that the spec asks for: one exists when its block does."""
    blocks = {Endpoint.WRITE: pool.spec.write, Endpoint.READ: pool.spec.read}
    return tuple(endpoint for endpoint, block in blocks.items() if block is not None)


def selector(pool_name: str, endpoint: Endpoint) -> dict[str, str]:
    """The labels that select an endpoint's pods; never changed, a Deployment's selector is immutable."""
    return {POOL_LABEL: pool_name, ENDPOINT_LABEL: endpoint.value}


def labels(pool_name: str, endpoint: Endpoint | None = None) -> dict[str, str]:
    """The labels of a child; those of one endpoint also say which."""
    common = {
        "app.kubernetes.io/name": "pgpool",
        "app.kubernetes.io/instance": pool_name,
        "app.kubernetes.io/managed-by": MANAGER,
        POOL_LABEL: pool_name,
    }
    if endpoint is None:
        return common
    return common | {"app.kubernetes.io/component": endpoint.value, ENDPOINT_LABEL: endpoint.value}


def child(
    pool: PgPool,
    api_version: str,
    kind: str,
    name: str,
    content: Manifest,
    *,
    endpoint: Endpoint | None = None,
    annotations: dict[str, str] | None = None,
) -> Manifest:
    """A manifest that the pool owns, with the hash of all that it says."""
    metadata: Manifest = {
        "name": name,
        "namespace": pool.metadata.namespace,
        "labels": labels(pool.metadata.name, endpoint),
        "annotations": dict(annotations or {}),
        "ownerReferences": [_owner(pool)],
    }
    manifest = {"apiVersion": api_version, "kind": kind, "metadata": metadata, **content}
    metadata["annotations"][APPLIED_ANNOTATION] = _hash(manifest)
    return manifest


def foreign(entries: dict[str, str]) -> dict[str, str]:
    """A user's labels or annotations without those that belong to the operator."""
    return {key: value for key, value in entries.items() if not key.startswith(OWN_PREFIX)}


def _owner(pool: PgPool) -> Manifest:
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "PgPool",
        "name": pool.metadata.name,
        "uid": pool.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _hash(manifest: Manifest) -> str:
    canonical = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
