"""Prometheus metrics of the operator itself; the poolers serve their own."""

from collections.abc import Iterable
from contextlib import suppress

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

_ENDPOINT = ["namespace", "pool", "endpoint"]
POOLER_CPU = Gauge(
    "pgpool_pooler_cpu_share", "Mean CPU of an endpoint's poolers, of what their process can use.", _ENDPOINT
)
POOLER_CLIENTS = Gauge(
    "pgpool_pooler_clients_share",
    "Mean client connections of an endpoint's poolers, of max_client_conn.",
    _ENDPOINT,
)
POOLER_WAITING = Gauge("pgpool_pooler_clients_waiting", "Clients in the queues of an endpoint.", _ENDPOINT)
POOLER_LONGEST_WAIT = Gauge(
    "pgpool_pooler_wait_seconds_longest",
    "How long the first client in a queue had waited, at most.",
    _ENDPOINT,
)
POOLER_BACKENDS = Gauge(
    "pgpool_pooler_backends_share", "Backends in use, of those that an endpoint's clients may use.", _ENDPOINT
)
SATURATED = Gauge(
    "pgpool_database_saturated", "1 while clients of an endpoint wait for the database.", _ENDPOINT
)
DECIDED = Gauge("pgpool_scaling_replicas", "Pods that autoscaling has decided on.", _ENDPOINT)
DECISIONS = Counter(
    "pgpool_scaling_decisions_total", "Looks of autoscaling by the reason found.", [*_ENDPOINT, "reason"]
)


def forget_load(namespace: str, pool: str, endpoint: str, reasons: Iterable[str]) -> None:
    """The endpoint is gone."""
    for gauge in (
        POOLER_CPU,
        POOLER_CLIENTS,
        POOLER_WAITING,
        POOLER_LONGEST_WAIT,
        POOLER_BACKENDS,
        SATURATED,
    ):
        with suppress(KeyError):
            gauge.remove(namespace, pool, endpoint)
    forget_decisions(namespace, pool, endpoint, reasons)


def forget_decisions(namespace: str, pool: str, endpoint: str, reasons: Iterable[str]) -> None:
    """It does not scale any more."""
    with suppress(KeyError):
        DECIDED.remove(namespace, pool, endpoint)
    for reason in reasons:
        with suppress(KeyError):
            DECISIONS.remove(namespace, pool, endpoint, reason)


def forget_budget(namespace: str, budget: str) -> None:
    """It is gone: its last numbers are not shown for ever."""
    for gauge in (BUDGET, RESERVED, UNKNOWN):
        gauge.remove(namespace, budget)
