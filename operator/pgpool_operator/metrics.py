"""Prometheus metrics of the operator itself; the poolers serve their own."""

from prometheus_client import Counter, Gauge, Histogram

RECONCILES = Counter("pgpool_reconciles_total", "Reconciles by kind and result.", ["kind", "result"])
RECONCILE_SECONDS = Histogram("pgpool_reconcile_seconds", "How long one reconcile took.", ["kind"])
QUEUE_DEPTH = Gauge("pgpool_queue_depth", "Keys that wait for a reconcile.")
LEADER = Gauge("pgpool_leader", "1 on the replica that holds the Lease.")
GRANTS = Counter("pgpool_grants_total", "Grants written to pods.")
POKES = Counter("pgpool_pokes_total", "Pods annotated again because a change was not noticed in time.")
ACKNOWLEDGED_SECONDS = Histogram(
    "pgpool_grant_acknowledged_seconds",
    "From writing a grant to reading its acknowledgement.",
    buckets=(0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0),
)
BUDGET = Gauge(
    "pgpool_budget_connections", "Connections that a server's budget allows.", ["namespace", "budget"]
)
RESERVED = Gauge("pgpool_budget_reserved", "Connections that grants hold.", ["namespace", "budget"])
UNKNOWN = Gauge(
    "pgpool_budget_unknown", "The part of the reserved that unreachable pods hold.", ["namespace", "budget"]
)


def forget_budget(namespace: str, budget: str) -> None:
    """It is gone: its last numbers are not shown for ever."""
    for gauge in (BUDGET, RESERVED, UNKNOWN):
        gauge.remove(namespace, budget)
