"""What scaling says of itself: with numbers for events, without moving ones for conditions."""

from .view import CLIENTS_TARGET, CPU_TARGET, EndpointView, Reason

_MEANINGS = {
    Reason.CPU_SATURATED: "clients wait for the database and its CPUs are all busy",
    Reason.IO_SATURATED: "clients wait for the database and most of its backends wait for IO",
    Reason.LOCK_CONTENTION: "clients wait for the database and most of its backends wait for locks",
    Reason.CLIENTS_HOLD_TRANSACTIONS: (
        "clients wait because others hold connections in transactions and ask nothing of them"
    ),
    Reason.BUDGET_EXHAUSTED: "clients wait and all connections are busy; on what, the pods' login cannot see",
}

_REMEDIES = {
    Reason.CPU_SATURATED: "give the database more CPU, or its queries less to do",
    Reason.IO_SATURATED: "give the database more memory or faster storage",
    Reason.LOCK_CONTENTION: "look for what holds the locks in pg_stat_activity and pg_locks",
    Reason.CLIENTS_HOLD_TRANSACTIONS: (
        "shorten the applications' transactions, or set timeouts.idleInTransactionSeconds"
    ),
    Reason.BUDGET_EXHAUSTED: "auth.monitor names the cause",
}


def meaning(reason: Reason) -> str:
    """Of a reason of `saturation`, and what can be done; no numbers."""
    return f"{_MEANINGS[reason]}: more pods cannot help; {_REMEDIES[reason]}"


def explained(reason: Reason, view: EndpointView) -> str:
    """The numbers behind a reason, for an event."""
    if reason is Reason.POOLER_BUSY:
        return f"pooler CPU {view.cpu:.0%} (target {CPU_TARGET:.0%})"
    if reason is Reason.CLIENT_LIMIT:
        return f"clients at {view.clients:.0%} of max_client_conn (target {CLIENTS_TARGET:.0%})"
    if reason is Reason.POOLER_IDLE:
        return f"pooler CPU {view.cpu:.0%}, clients at {view.clients:.0%} of max_client_conn: fewer suffice"
    return (
        f"{view.active:.0f} of {view.cap} connections busy, {view.waiting:.0f} clients wait "
        f"up to {view.longest_wait:.1f} s, pooler CPU {view.cpu:.0%}"
    )
