"""Pooler pods as the reconciles see them: the raw object, read once."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pgpool_pooler.contract import CONFIG_HASH_ANNOTATION, GRANT_ANNOTATION, LEFT_NOTHING, Endpoint, Grant

from ..cluster.near import grant_on
from ..desired import CONTAINER, ENDPOINT_LABEL, POOL_LABEL

Object = dict[str, Any]

FINISHED = ("Failed", "Succeeded")
"""Phases of a pod that the kubelet does not start again."""
_ORPHANED = "DeletionByPodGC"
"""Reason of the condition DisruptionTarget."""
_NOT_FOUND = "ContainerStatusUnknown"
"""Reason of a container's end that the kubelet assumes: it does not know of the container."""
_CONTAINERS = {
    "initContainers": "initContainerStatuses",
    "containers": "containerStatuses",
    "ephemeralContainers": "ephemeralContainerStatuses",
}
"""Where the spec declares each sort of container -> where the status reports it."""
DELETION_COST_ANNOTATION = "controller.kubernetes.io/pod-deletion-cost"


@dataclass(frozen=True)
class PoolerPod:
    """One pod of a pool, or one that has a grant although it is of no pool any more."""

    raw: Object
    uid: str
    name: str
    namespace: str
    pool: str
    """Empty where somebody took the pod's labels off."""
    endpoint: Endpoint
    node: str
    """Empty until it is bound to one."""
    address: str
    """Empty until the kubelet has given it one."""
    addresses: frozenset[str]
    """All of them: of both families where the cluster has two."""
    grace_seconds: float
    """How long the kubelet may let it go on after its deletion: what the spec says, if it never saw that."""
    deleted: bool
    """deletionTimestamp is set."""
    ended: bool
    """The kubelet reported every container as terminated, which one that crashed is until it runs again; or as one
    that it does not find and that never ran (`assumed_ended`)."""
    assumed_ended: bool
    """Some container was taken for ended because its kubelet knows of none that ever ran."""
    left_nothing: bool
    """Its agent's last word, if its container has ended: no backend of it works any more."""
    finished: bool
    """The kubelet will not start it again: evicted, for instance."""
    ready: bool
    started: bool
    """A container of it runs or ran."""
    was_ready: bool
    """It is Ready, or stopped being so after its container had started: before that, no pod is."""
    grant: Grant | None
    """What its annotation says; None without one, or with one that cannot be read."""
    config_hash: str
    deletion_cost: str
    """What its controller was told of its leaving; 0 if nothing."""

    @property
    def full_pool(self) -> str:
        """The PgPool as ledgers name it: namespace/name; empty if it has none."""
        return f"{self.namespace}/{self.pool}" if self.pool else ""


def is_pooler(raw: Object) -> bool:
    """Whether the pod belongs to a PgPool."""
    labels = raw["metadata"].get("labels", {})
    return POOL_LABEL in labels and labels.get(ENDPOINT_LABEL) in tuple(Endpoint)


def pooler(raw: Object) -> PoolerPod | None:
    """The pod if it may hold connections: it belongs to a PgPool, or it was granted some when it did."""
    if not is_pooler(raw) and GRANT_ANNOTATION not in raw["metadata"].get("annotations", {}):
        return None
    return read_pod(raw)


def is_finished(raw: Object) -> bool:
    """Whether it has a final phase."""
    return raw.get("status", {}).get("phase") in FINISHED


def read_pod(raw: Object) -> PoolerPod:
    """The facts of a pod for which `pooler` is not None."""
    meta, spec, status = raw["metadata"], raw.get("spec", {}), raw.get("status", {})
    labels = meta.get("labels", {}) if is_pooler(raw) else {}
    annotations = meta.get("annotations", {})
    deleted = "deletionTimestamp" in meta
    return PoolerPod(
        raw=raw,
        uid=meta["uid"],
        name=meta["name"],
        namespace=meta["namespace"],
        pool=labels.get(POOL_LABEL, ""),
        endpoint=Endpoint(labels.get(ENDPOINT_LABEL, Endpoint.WRITE)),
        node=spec.get("nodeName", ""),
        address=status.get("podIP", ""),
        addresses=_addresses(status),
        grace_seconds=float(
            max(meta.get("deletionGracePeriodSeconds", 0), spec.get("terminationGracePeriodSeconds", 0))
        ),
        deleted=deleted,
        ended=_ended(spec, status) and not _given_up(status),
        assumed_ended=_assumed_ended(status),
        left_nothing=_left_nothing(status),
        finished=is_finished(raw),
        ready=_ready(status).get("status") == "True",
        started=_started(status),
        was_ready=_was_ready(status),
        grant=grant_on(raw),
        config_hash=annotations.get(CONFIG_HASH_ANNOTATION, ""),
        deletion_cost=annotations.get(DELETION_COST_ANNOTATION, "0"),
    )


def _addresses(status: Object) -> frozenset[str]:
    found = (status.get("podIP", ""), *(one.get("ip", "") for one in status.get("podIPs", ())))
    return frozenset(address for address in found if address)


def _ready(status: Object) -> Object:
    """The condition; empty before anybody has looked at the pod."""
    conditions: Iterable[Object] = status.get("conditions", ())
    return next((condition for condition in conditions if condition["type"] == "Ready"), {})


def _started(status: Object) -> bool:
    return any(
        {"running", "terminated"} & state.keys()
        for container in status.get("containerStatuses", ())
        for state in (container.get("state", {}), container.get("lastState", {}))
    )


def _left_nothing(status: Object) -> bool:
    said = (
        container.get("state", {}).get("terminated", {}).get("message", "")
        for container in status.get("containerStatuses", ())
        if container["name"] == CONTAINER
    )
    return any(message.startswith(LEFT_NOTHING) for message in said)


def _was_ready(status: Object) -> bool:
    """Times are of RFC 3339 and in UTC: they sort as text."""
    ready = _ready(status)
    starts = [
        one["startedAt"]
        for container in status.get("containerStatuses", ())
        for state in (container.get("state", {}), container.get("lastState", {}))
        for one in state.values()
        if one.get("startedAt")
    ]
    changed = ready.get("lastTransitionTime") or ""
    return ready.get("status") == "True" or any(changed > started for started in starts)


def _given_up(status: Object) -> bool:
    """Its Node object is gone, and the control plane, not the kubelet, gave it its final phase: what was reported
    of its containers before may not be their end."""
    conditions: Iterable[Object] = status.get("conditions", ())
    return any(condition.get("reason") == _ORPHANED for condition in conditions)


def _ended(spec: Object, status: Object) -> bool:
    """Every container of every sort is terminated; one without a status may run unreported."""
    for declared, reported in _CONTAINERS.items():
        ended = {s["name"] for s in status.get(reported, ()) if _is_end(s)}
        if any(container["name"] not in ended for container in spec.get(declared, ())):
            return False
    return True


def _assumed_ended(status: Object) -> bool:
    """Who reports that the container of the pooler has ended has run the pod, and knows what of it never ran."""
    mine = (one for one in status.get("containerStatuses", ()) if one["name"] == CONTAINER)
    if any("terminated" in one.get("state", {}) and not _not_found(one) for one in mine):
        return False
    return any(
        _not_found(container) and _never_ran(container)
        for reported in _CONTAINERS.values()
        for container in status.get(reported, ())
    )


def _is_end(container: Object) -> bool:
    """Whether the kubelet has seen the container end, or knows that it never ran. One that ran, and that it only
    cannot find, may run elsewhere: on the machine that had the node's name before, for instance."""
    ended = "terminated" in container.get("state", {})
    return ended and (not _not_found(container) or _never_ran(container))


def _not_found(container: Object) -> bool:
    return bool(container.get("state", {}).get("terminated", {}).get("reason") == _NOT_FOUND)


def _never_ran(container: Object) -> bool:
    """As far as the kubelet knows: of one that it once reported as running it writes an end into lastState, even
    if it does not find it any more. A machine that refused the pod before has wiped that out."""
    return not container.get("lastState") and not container.get("restartCount")
