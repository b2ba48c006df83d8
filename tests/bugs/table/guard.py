"""What is promised, in plain names: each has a bug that breaks it, and a test that catches that."""

from enum import Enum


class Guard(Enum):
    """A promise to users, a rule of the ledger by which it is kept, or a fault in which it has to be."""

    # To users
    BUDGET_HOLDS = "at every instant PostgreSQL counts no more connections than the budget"
    NO_MORE_BACKENDS = "more poolers never mean more backends"
    CLIENTS_SURVIVE = "clients survive what is done to their poolers"
    WITHOUT_CONTROL_PLANE = "pods serve on without the operator and the API server"
    NOTHING_HIDDEN = "all that is decided is said, and why"
    COMES_BACK = "after a fault the whole budget comes back into use, without help"

    # Rules of the ledger
    RESERVED_FIRST = "R1: what is sent was reserved, and committed, before"
    RELEASED_WHEN_DRAINED = "R2: what is released was acknowledged, in this generation, and drained"
    ABSENCE_IS_NOT_DEATH = "R3: who is not seen is not dead"
    DEAD_IS_NOT_DRAINED = "R3b: what the dead have opened is counted until it must have ended"
    FAIL_CLOSED = "R4: without a grant there is no engine"
    GENERATIONS_RISE = "R5: generations never go back, and a late write is refused"
    WAITS_FOR_ITS_OWN = "R6: after a restart a pod waits until its own old backends are gone"
    SHRINKS_FIRST = "a lower budget, or share, is given back before anybody grows, and then committed"
    MOVES = "a move holds connections at the new server, or the old one, and never at both"
    QUIET = "what has not changed is not written again"

    # Proofs of death, and what frees what the dead held
    END_IS_REPORTED = "the kubelet reports the end of all containers"
    NEVER_BOUND = "the pod never came to a node"
    KUBELET_LIVED_ON = "the pod is gone, and its kubelet lived on for long enough to have ended it"
    OUT_OF_SERVICE = "the node is tainted out-of-service"
    RELEASED_BY_A_PERSON = "a person releases a pod, by its name"
    UNKNOWN_IS_COUNTED = "who is not proven dead is counted, and named"
    FREED_BY_A_COUNT = "another agent counts no backend of the dead pod"
    FREED_BY_THE_SERVER = "the server itself notices dead clients"
    FREED_BY_A_HOLD = "the time is over in which a backend can outlive its pod"

    # Faults of the ledger, and several ledgers
    LEDGER_LOST = "a ledger is lost, deleted or edited"
    LEDGER_ROLLED_BACK = "a ledger, or all of the cluster, is as it was before"
    LEDGER_OUTLIVES_ITS_POOLS = "the pools of a ledger are deleted while it holds something"
    SEVERAL_NAMES = "a server has several names"
    SEVERAL_NAMESPACES = "a server is used from several namespaces"
    MANY_SERVERS = "several servers answer at one address"
    LIMIT = "an administrator sets a limit"
    STRICTEST = "pools on one server disagree"

    # Faults of agents and clients
    GRANT_REFUSED = "a grant is older than the last, or was altered"
    DISK_LOST = "a pod loses its volumes"
    NEW_ADDRESS = "a pod gets another address"
    CRASH_LOOP = "an engine crashes again and again"
    OWN_GHOSTS = "backends of an earlier life are there, or another pod's at the same address"
    WRONG_CLOCK = "the clock on the wall is wrong, or is set"
    VANISHED_CLIENTS = "clients vanish in the middle of a query"
