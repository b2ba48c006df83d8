"""When a pod's connections are proven to be gone. Absence is not death (rules R3 and R3b of the design).

A pod that nobody can reach may go on using every connection it was ever granted. It is dead only if the kubelet
said so, or if its node's kubelet, alive, has had time to kill what has no object any more. And dead is not
drained: PostgreSQL notices a vanished client only when it writes to it, or by client_connection_check_interval.
"""

from dataclasses import dataclass
from enum import StrEnum

GONE_MARGIN_SECONDS = 120.0
"""Beyond the grace period, for a kubelet to find out that a pod's object is gone and to kill it.

One that was cut off renews its Lease as soon as it is back. It lists its pods again only when an attempt to connect
that began in the cut has ended (30 s) and its reflector has paused (up to 30 s, with jitter 60 s): 90 s, rounded up
for the kill (seen: 2.4 s).
"""

HOLD_REPORTED_SECONDS = 2.0
"""After the kubelet reported the end: the kernel sent FIN, and the server looks every second, or nothing works that
would have to look."""

HOLD_INFERRED_SECONDS = 25.0
"""Without a FIN: tcp_user_timeout on the server's side ends it after 20 s, and up to one keepalive more."""

COUNT_SECONDS = 2.0
"""Between two looks at a dead pod whose backends somebody counts."""

STILL_COUNTED_SECONDS = 15.0
"""After the hold: a backend that is counted then is not about to end, and a person is told."""

HOLD_NEVER_SEEN_SECONDS = 60.0
"""For a server that never served a client, as far as anybody knows: most likely there never was a backend to wait
for."""


class Life(StrEnum):
    """What is known of a pod."""

    ALIVE = "Alive"
    TERMINATING = "Terminating"
    NEVER_BOUND = "NeverBound"
    """Gone without ever having had a node: it never ran."""
    DEAD_REPORTED = "DeadReported"
    """The kubelet said that all its containers ended, and that it starts none again."""
    DEAD_CLEAN = "DeadClean"
    """And its agent said that it left no backend that works."""
    DEAD_INFERRED = "DeadInferred"
    """Its node's kubelet is alive and would have killed it, or the node was declared out of service."""
    UNKNOWN = "Unknown"

    @property
    def dead(self) -> bool:
        """Proven to run no more."""
        return self in (Life.NEVER_BOUND, Life.DEAD_REPORTED, Life.DEAD_CLEAN, Life.DEAD_INFERRED)

    @property
    def lost(self) -> bool:
        """Dead, or perhaps."""
        return self.dead or self is Life.UNKNOWN


@dataclass(frozen=True)
class PodFacts:
    """A pod as it was last seen. Times are seconds of the operator's own monotonic clock."""

    exists: bool
    node: str
    deleted: bool
    """deletionTimestamp is set."""
    finished: bool
    """It has a final phase: no container of it is started again."""
    ended: bool
    """Every container, init and ephemeral ones too, was reported as terminated, or as one that never ran. So is one
    that crashed, until its restart is reported."""
    grace_seconds: float
    """The longest that its kubelet may let it go on once it kills it. One that never saw the deletion goes by the
    spec, whatever the deletion said."""
    left_nothing: bool = False
    """Its agent's last word, which the kubelet reports with the container's end: each connection was closed between
    two transactions, and the server has confirmed that."""
    gone_since: float | None = None
    """When the object was first found missing, or finished without the end of all containers: since then a kubelet
    that looks kills what runs of it. None of any other pod that is there: nobody waits for that."""
    killed: bool = False
    """Its kubelet was once seen alive for long enough after that; no later silence undoes it."""
    overdue: bool = False
    """Its kubelet, alive, had not ended it long after it should have. That it is still alive does not prove that it
    has ended it since."""
    last_seen: bool = True
    """What is said here was the pod's last state (a DELETED event). False: it was gone before this operator
    looked, or while it did not, and may have changed after it was seen."""


@dataclass(frozen=True)
class NodeFacts:
    """The pod's node."""

    ready: bool = False
    lease_renewed_at: float | None = None
    """When this operator saw the kubelet renew its Lease last."""
    alive_since: float | None = None
    """Since when this operator has seen it do so without a break."""
    out_of_service: bool = False
    """Tainted node.kubernetes.io/out-of-service: somebody vouches that it is off."""


def life(pod: PodFacts, node: NodeFacts | None) -> Life:
    """The verdict; `node` None means that the node is not there or may not be seen, which proves nothing.

    What a kubelet reports as the end is the final phase: it gives one to a pod that is deleted or evicted, with or
    after the last states of its containers (KEP-3329, in Kubernetes from 1.27), and never to a pod of a Deployment
    that only crashed. Without all of those states it is a pod that the kubelet refused, when it came or after a
    restart of its own: what runs of it is killed, but nobody says so.
    """
    if pod.last_seen and pod.finished and pod.ended:
        return Life.DEAD_CLEAN if pod.left_nothing else Life.DEAD_REPORTED
    if pod.exists and pod.gone_since is None:
        return _going(pod, node) if pod.deleted or pod.finished else Life.ALIVE
    if pod.last_seen and not pod.exists and not pod.node:
        return Life.NEVER_BOUND
    if pod.killed or (node is not None and _proves_the_end(node, pod)):
        return Life.DEAD_INFERRED
    being_killed = pod.exists and not pod.overdue and node is not None and node.ready
    return Life.TERMINATING if being_killed else Life.UNKNOWN


def _going(pod: PodFacts, node: NodeFacts | None) -> Life:
    """Of a deleted pod: on a silent node nobody carries the deletion out, or could say that it was; and where that
    hangs, nobody knows for how long."""
    if node is not None and node.out_of_service:
        return Life.DEAD_INFERRED
    if pod.overdue:
        return Life.UNKNOWN
    return Life.TERMINATING if node is None or node.ready else Life.UNKNOWN


def _proves_the_end(node: NodeFacts, pod: PodFacts) -> bool:
    return node.out_of_service or _killed_by_kubelet(pod, node)


def _killed_by_kubelet(pod: PodFacts, node: NodeFacts) -> bool:
    """One renewal proves nothing: a kubelet that was cut off is back with it, and has not looked yet."""
    if pod.overdue:
        return False
    if not node.ready or node.lease_renewed_at is None or node.alive_since is None or pod.gone_since is None:
        return False
    looking_since = max(pod.gone_since, node.alive_since)
    return node.lease_renewed_at >= looking_since + pod.grace_seconds + GONE_MARGIN_SECONDS


def hold_seconds(verdict: Life, *, detects_dead_clients: bool, server_seen: bool) -> float | None:
    """How long a dead pod's reservation is kept; None: until a person releases it.

    `server_seen` says whether anybody was ever let in to the server: an agent that asked it, or a client.
    """
    if verdict is Life.NEVER_BOUND:
        return 0.0
    if verdict is Life.DEAD_CLEAN:
        return HOLD_REPORTED_SECONDS
    if not server_seen:
        return HOLD_NEVER_SEEN_SECONDS
    if not detects_dead_clients:
        return None
    return HOLD_REPORTED_SECONDS if verdict is Life.DEAD_REPORTED else HOLD_INFERRED_SECONDS
