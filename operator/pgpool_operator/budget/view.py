"""What was observed of a pod, as far as one server is concerned."""

from dataclasses import dataclass

from pgpool_pooler.contract import Endpoint

from .death import Life


@dataclass(frozen=True)
class Report:
    """What the pod's agent said last."""

    generation: int
    """Of the grant that it follows."""
    acknowledged: int
    """The newest generation that is in force and drained."""
    cap_here: int
    """The cap that it has for this server; 0 if it is granted another."""
    open_here: int
    """Its connections to this server."""


@dataclass(frozen=True)
class PodView:
    """One pod, as far as this server is concerned."""

    uid: str
    pod: str
    pool: str
    endpoint: Endpoint
    node: str
    life: Life
    assigned: bool
    """Its connections shall go to this server."""
    floor: int
    """What it needs at least."""
    node_uid: str = ""
    """Of its node, while it is alive."""
    listed: bool = False
    """Its object is there."""
    started: bool = False
    """A container of it has run, by the kubelet's word: it may follow a grant that nothing tells of any more."""
    was_ready: bool = False
    """It is or was Ready, so it had a grant (R4)."""
    orphan: bool = False
    """Its PgPool is gone or cannot be read: it counts for what it has, and nothing can be granted to it."""
    demand: float = 0.0
    fixed: int | None = None
    """What it shall have whatever its demand; None where demand decides."""
    annotated: tuple[int, int] | None = None
    """(generation, cap) of the grant on the pod, where that is for this server."""
    known_generation: int = 0
    """The highest one on the pod or in any other ledger."""
    written_generation: int = 0
    """Of the grant on the pod, for whichever server that is."""
    report: Report | None = None
    """None: the agent was not heard."""
    silent: bool = False
    """The agent was heard once, and is not now: what it said of its demand is old, and it cannot use more."""
    stale: bool = False
    """The grant on the pod must say something else (shares, mode, address), though perhaps not another cap."""
    grace_seconds: float = 0.0
    """How long its kubelet may let it go on after its deletion; 0 if the object is not there."""
    addresses: tuple[str, ...] = ()
    direct: bool | None = None
    """The server sees it under an address of its own; None: nobody has read that."""
    detects_dead_clients: bool | None = None
    """The server ends its backends within seconds when it vanishes, by its own word; None: it says nothing."""
    assumed_to_detect: bool | None = None
    """What is to be taken for that of a pod that never said anything; None: nobody can tell, its pool is gone."""
    dead_for: float = 0.0
    """Seconds since it was proven dead."""
    countable: bool = False
    """Somebody sees all backends of the server, and would see those of this pod as such."""
    counted: int | None = None
    """Its backends as somebody else saw them last, after it was proven dead; None: nobody did, or they were some
    and that is long ago."""
    overdue: bool = False
    """It was there when its kubelet, alive, should have ended it long before."""
    released: bool = False
    """A person declared it dead by name; obeyed only where nothing proves that its connections are gone."""
