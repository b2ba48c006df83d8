"""Prometheus metrics of one pod."""

import re
from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from .report import Facts, unready

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_POD = re.compile(r"^(?P<pool>.+)-(rw|ro)-[^-]+-[^-]+$")
_MICROSECONDS: Final = 1e6
_COUNTERS: Final = {
    "total_xact_count": ("transactions", "Transactions pooled", 1.0),
    "total_query_count": ("queries", "Queries pooled", 1.0),
    "total_received": ("received_bytes", "Bytes received from clients and servers", 1.0),
    "total_sent": ("sent_bytes", "Bytes sent to clients and servers", 1.0),
    "total_xact_time": (
        "transaction_seconds",
        "Time in transactions, the queue included: subtract wait_seconds",
        _MICROSECONDS,
    ),
    "total_query_time": (
        "query_seconds",
        "Time in queries, the queue included: subtract wait_seconds",
        _MICROSECONDS,
    ),
    "total_wait_time": (
        "wait_seconds",
        "Time clients waited for a backend, once they got one",
        _MICROSECONDS,
    ),
    "total_server_assignment_count": ("assignments", "Times a client was given a backend", 1.0),
    "total_client_parse_count": ("client_parses", "Prepared statements created by clients", 1.0),
    "total_server_parse_count": ("server_parses", "Prepared statements created on backends", 1.0),
}
"""PgBouncer's SHOW STATS columns: metric, description, divisor to seconds."""
_GAUGES: Final = {
    "open": ("connections", "Connections to the server"),
    "active": ("connections_active", "Connections that a client uses now"),
    "clients": ("clients", "Clients, waiting ones included"),
    "waiting": ("clients_waiting", "Clients that wait for a connection"),
    "max_wait_seconds": ("wait_seconds_longest", "How long the first client in the queue has waited"),
}


def pool_name(pod: str) -> str:
    """The PgPool's name, from a Deployment's pod name."""
    match = _POD.match(pod)
    return match["pool"] if match else pod


class AgentCollector(Collector):
    """Turns the facts of now into metrics."""

    def __init__(self, facts: Callable[[], Facts]) -> None:
        self._facts = facts

    def collect(self) -> Iterable[Metric]:
        """See prometheus_client."""
        facts = self._facts()
        pool = pool_name(facts.identity.name)
        yield from _pod_metrics(facts, pool)
        yield from _database_metrics(facts, pool)


def exposition(facts: Callable[[], Facts]) -> bytes:
    """The text that `GET /metrics` answers."""
    registry = CollectorRegistry()
    registry.register(AgentCollector(facts))
    return generate_latest(registry)


def _pod_metrics(facts: Facts, pool: str) -> Iterable[Metric]:
    grant = facts.grant
    values = {
        "generation": ("Generation of the accepted grant", grant.generation if grant else 0),
        "acknowledged": ("Highest generation that is in force and drained", facts.acknowledged),
        "cap": ("Connections granted", sum(server.cap for server in grant.servers) if grant else 0),
        "ready": ("1 if the pod takes clients", 0 if unready(facts) else 1),
        "paused": ("1 if clients wait for RESUME", int(facts.status.paused)),
        "problems": ("Problems that a person has to mend", len(facts.problems) + len(facts.reach.failures)),
    }
    for name, (text, value) in values.items():
        metric = GaugeMetricFamily(f"pgpool_agent_{name}", text, labels=["pool"])
        metric.add_metric([pool], value)
        yield metric
    for name, text, count in (
        (
            "grants_refused",
            "Grants that were older, altered, made for another pod or not readable",
            facts.refusals,
        ),
        ("engine_crashes", "Times that the engine ended by itself or did not start", facts.crashes),
    ):
        counter = CounterMetricFamily(f"pgpool_agent_{name}", text, labels=["pool"])
        counter.add_metric([pool], count)
        yield counter
    yield from _engine_metrics(facts, pool)
    if facts.activity is not None:
        backends = GaugeMetricFamily(
            "pgpool_server_backends",
            "Backends of the whole pool on the server, by what they do; only while clients wait, "
            "and with a monitor for 15 s of each minute too",
            labels=["pool", "class"],
        )
        for what, count in facts.activity.model_dump(exclude={"age_seconds"}).items():
            backends.add_metric([pool, what], count)
        yield backends


def _engine_metrics(facts: Facts, pool: str) -> Iterable[Metric]:
    available = GaugeMetricFamily(
        "pgpool_engine_cpu_available",
        "CPUs that the engine can use: its threads, or the container's limit; 0 is not known",
        labels=["pool"],
    )
    available.add_metric([pool], facts.cpu_available)
    yield available
    clients = GaugeMetricFamily(
        "pgpool_engine_max_clients", "Clients that the engine takes at most", labels=["pool"]
    )
    clients.add_metric([pool], facts.status.max_clients)
    yield clients
    cpu = CounterMetricFamily("pgpool_engine_cpu_seconds", "CPU time of the engine", labels=["pool"])
    cpu.add_metric([pool], facts.cpu_seconds)
    yield cpu


def _database_metrics(facts: Facts, pool: str) -> Iterable[Metric]:
    labels = ["pool", "database"]
    for attribute, (name, text) in _GAUGES.items():
        gauge = GaugeMetricFamily(f"pgpool_engine_{name}", text, labels=labels)
        for database, load in facts.status.databases.items():
            gauge.add_metric([pool, database], getattr(load, attribute))
        yield gauge
    for column, (name, text, divisor) in _COUNTERS.items():
        counter = CounterMetricFamily(f"pgpool_engine_{name}", text, labels=labels)
        for database, totals in facts.status.totals.items():
            if column in totals:
                counter.add_metric([pool, database], totals[column] / divisor)
        yield counter
