"""Pooler pods as the reconciles see them: the raw object, read once."""

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from pgpool_pooler.contract import CONFIG_HASH_ANNOTATION, GRANT_ANNOTATION, Endpoint, Grant

from ..desired import ENDPOINT_LABEL, POOL_LABEL

Object = dict[str, Any]

FINISHED = ("Failed", "Succeeded")
"""Phases of a pod that the kubelet does not start again."""
DELETION_COST_ANNOTATION = "controller.kubernetes.io/pod-deletion-cost"


@dataclass(frozen=True)
class PoolerPod:
    """One pod of a pool."""

    raw: Object
    uid: str
    name: str
    namespace: str
    pool: str
    endpoint: Endpoint
    node: str
    """Empty until it is bound to one."""
    address: str
    """Empty until the kubelet has given it one."""
    grace_seconds: float
    """How long the kubelet lets it go on after its deletion."""
    deleted: bool
    """deletionTimestamp is set."""
    ended: bool
    """Every container that ever started was reported as terminated, and none can start again."""
    finished: bool
    """The kubelet will not start it again: evicted, for instance."""
    ready: bool
    grant: Grant | None
    """What its annotation says; None without one, or with one that cannot be read."""
    config_hash: str
    deletion_cost: str
    """What its controller was told of its leaving; 0 if nothing."""

    @property
    def full_pool(self) -> str:
        """The PgPool as ledgers name it: namespace/name."""
        return f"{self.namespace}/{self.pool}"


def is_pooler(raw: Object) -> bool:
    """Whether the pod belongs to a PgPool."""
    labels = raw["metadata"].get("labels", {})
    return POOL_LABEL in labels and labels.get(ENDPOINT_LABEL) in tuple(Endpoint)


def read_pod(raw: Object) -> PoolerPod:
    """The facts of a pooler pod; `is_pooler` must hold."""
    meta, spec, status = raw["metadata"], raw.get("spec", {}), raw.get("status", {})
    annotations = meta.get("annotations", {})
    deleted = "deletionTimestamp" in meta
    return PoolerPod(
        raw=raw,
        uid=meta["uid"],
        name=meta["name"],
        namespace=meta["namespace"],
        pool=meta["labels"][POOL_LABEL],
        endpoint=Endpoint(meta["labels"][ENDPOINT_LABEL]),
        node=spec.get("nodeName", ""),
        address=status.get("podIP", ""),
        grace_seconds=float(
            meta.get("deletionGracePeriodSeconds", spec.get("terminationGracePeriodSeconds", 0))
        ),
        deleted=deleted,
        ended=_ended(spec, status),
        finished=status.get("phase") in FINISHED,
        ready=any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", ())),
        grant=_grant(annotations.get(GRANT_ANNOTATION, "")),
        config_hash=annotations.get(CONFIG_HASH_ANNOTATION, ""),
        deletion_cost=annotations.get(DELETION_COST_ANNOTATION, "0"),
    )


def _ended(spec: Object, status: Object) -> bool:
    """Every container of every sort is terminated; one without a status may run unreported."""
    sorts = (
        ("initContainers", "initContainerStatuses"),
        ("containers", "containerStatuses"),
        ("ephemeralContainers", "ephemeralContainerStatuses"),
    )
    for declared, reported in sorts:
        states = {s["name"]: s.get("state", {}) for s in status.get(reported, ())}
        if any("terminated" not in states.get(c["name"], {}) for c in spec.get(declared, ())):
            return False
    return True


def _grant(text: str) -> Grant | None:
    try:
        return Grant.model_validate_json(text) if text else None
    except ValidationError:
        return None
