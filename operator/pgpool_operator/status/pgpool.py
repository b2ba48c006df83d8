"""A PgPool's whole status."""

from datetime import datetime
from typing import Any

from pgpool_pooler.contract import Endpoint

from ..api import EndpointStatus, PgPool, PgPoolStatus, ServerStatus, Summary
from ..desired import endpoint_name, selector
from .conditions import conditions
from .facts import EndpointFacts, Facts, ServerFacts


def pgpool_status(facts: Facts) -> PgPoolStatus:
    """What is to be said now; equal to the status that is there when nothing has changed."""
    return PgPoolStatus(
        observed_generation=facts.generation,
        conditions=conditions(facts),
        write=_endpoint(facts, Endpoint.WRITE),
        read=_endpoint(facts, Endpoint.READ),
        servers=tuple(_server(server) for server in facts.servers),
        config_hash=facts.config_hash,
        summary=_summary(facts),
    )


def as_json(status: PgPoolStatus) -> dict[str, Any]:
    """As the API server takes it and gives it back."""
    return status.model_dump(mode="json", exclude_none=True)


def _endpoint(facts: Facts, endpoint: Endpoint) -> EndpointStatus | None:
    found = facts.endpoints.get(endpoint)
    if found is None:
        return None
    labels = selector(facts.pool.metadata.name, endpoint)
    before = facts.before(endpoint)
    return EndpointStatus(
        replicas=found.pods,
        ready_replicas=found.ready,
        desired_replicas=found.fit,
        selector=",".join(f"{key}={value}" for key, value in sorted(labels.items())),
        service=_address(facts.pool, endpoint),
        last_scale_time=_last_scale(facts, before, found),
        scaling_reason=_scaling_reason(before, found),
    )


def _last_scale(facts: Facts, before: EndpointStatus | None, found: EndpointFacts) -> datetime | None:
    if scaled(before, found):
        return facts.now.replace(microsecond=0)
    return before.last_scale_time if before is not None and found.autoscaled else None


def _scaling_reason(before: EndpointStatus | None, found: EndpointFacts) -> str:
    if not found.autoscaled:
        return ""
    if found.said is not None and found.said.reason is not None:
        return found.said.reason.value
    return before.scaling_reason if before is not None else ""


def scaled(before: EndpointStatus | None, found: EndpointFacts) -> bool:
    """Autoscaling has changed the number of pods."""
    return found.autoscaled and before is not None and before.desired_replicas not in (0, found.fit)


def _address(pool: PgPool, endpoint: Endpoint) -> str:
    block = pool.spec.write if endpoint is Endpoint.WRITE else pool.spec.read
    name = endpoint_name(pool.metadata.name, endpoint)
    return f"{name}.{pool.metadata.namespace}.svc:{block.service.port}" if block is not None else ""


def _server(server: ServerFacts) -> ServerStatus:
    ref = server.server.ref
    return ServerStatus(
        name=ref.instance or server.address,
        role=server.server.role.value,
        address=server.address,
        budget=server.name,
        connections=server.connections or 0,
        granted=server.granted,
    )


def _summary(facts: Facts) -> Summary:
    primary = facts.primary
    first = next(iter(facts.endpoints), None)
    return Summary(
        write=counts(facts.write),
        read=counts(facts.read),
        budget=f"{primary.granted}/{primary.connections}"
        if primary and primary.connections is not None
        else "",
        endpoint=_address(facts.pool, first) if first is not None else "",
    )


def counts(found: EndpointFacts | None) -> str:
    """Ready and desired pods; empty for an endpoint that is not there."""
    return "" if found is None else f"{found.ready}/{found.fit}"
