"""The ledger: who may hold how many connections of one server."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pgpool_pooler.contract import Endpoint

from ..api import GrantState


@dataclass(frozen=True)
class Reservation:
    """One pod's part of the budget. `cap` <= `reserved`, always."""

    uid: str
    pod: str
    pool: str
    """namespace/name of its PgPool."""
    endpoint: Endpoint
    node: str
    cap: int
    """What the newest grant allows."""
    reserved: int
    """What any grant that is or was on its way may still allow: this counts."""
    generation: int
    """Of the newest grant."""
    state: GrantState
    since: datetime
    grace_seconds: float = 0.0
    """How long the kubelet lets the pod go on after its deletion: kept here for when the object is gone."""
    node_uid: str = ""
    """Of the node that the pod ran on: its name may come to be another machine's."""
    overdue: bool = False
    """Its kubelet, alive, had not ended it long after it should have: kept here for whoever leads next."""
    addresses: tuple[str, ...] = ()
    """The pod's addresses, as the server saw them and as Kubernetes gave them."""
    direct: bool | None = None
    """The server sees the pod under an address of its own, with no NAT in between. None: not known."""
    detects_dead_clients: bool | None = None
    """The server ends this pod's backends within seconds when the pod vanishes, by the pod's own newest word. None:
    it never said."""
    assumed_to_detect: bool = False
    """What is taken for that of a pod that never said anything: kept for when its pool is gone."""
    backends: int | None = None
    """What the server still has of it, where it is dead and that keeps its reservation."""


@dataclass(frozen=True)
class Ledger:
    """All reservations of one server, by pod uid. The invariant: `reserved` <= `connections`."""

    connections: int
    """B as it is in force; above the wanted B while a lowering drains."""
    reservations: Mapping[str, Reservation] = field(default_factory=dict)
    recovering: bool = False
    """The ledger was lost or rolled back, and not every pod has been heard since: nothing grows."""
    freed: frozenset[str] = frozenset()
    """Pods (uid) that gave back all when they were gone for good, as long as their objects are there: what such an
    object says is no sign that the ledger was rolled back."""

    @property
    def reserved(self) -> int:
        """The sum of all reservations."""
        return sum(reservation.reserved for reservation in self.reservations.values())
