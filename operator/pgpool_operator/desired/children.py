"""All children of a pool, and those that it no longer has."""

from collections.abc import Iterable, Mapping

from pgpool_pooler.contract import Endpoint

from ..api import PgPool
from .common import EndpointPlan, Manifest, endpoint_name, endpoints
from .configmap import config_map
from .deployment import deployment
from .pdb import pod_disruption_budget
from .service import service
from .serviceaccount import service_account


def children(
    pool: PgPool,
    image: str,
    write: EndpointPlan | None,
    read: EndpointPlan | None,
    peers: Mapping[int, str],
) -> tuple[Manifest, ...]:
    """Manifests in the order in which to apply them.

    An endpoint of the spec without a plan (nothing is known yet of what fits) has its Service, but its
    Deployment is left as it is.
    """
    plans = {Endpoint.WRITE: write, Endpoint.READ: read}
    manifests = [service_account(pool), config_map(pool, peers)]
    for endpoint in endpoints(pool):
        plan = plans[endpoint]
        manifests += [service(pool, endpoint), pod_disruption_budget(pool, endpoint)]
        if plan is not None:
            manifests.append(deployment(pool, endpoint, plan, image))
    return tuple(manifests)


def stale(pool: PgPool, existing: Iterable[Manifest]) -> tuple[Manifest, ...]:
    """Those live objects that the pool owns and no longer asks for: an endpoint was removed."""
    wanted = {("ServiceAccount", pool.metadata.name), ("ConfigMap", pool.metadata.name)}
    for endpoint in endpoints(pool):
        name = endpoint_name(pool.metadata.name, endpoint)
        wanted |= {(kind, name) for kind in ("Service", "PodDisruptionBudget", "Deployment")}
    return tuple(
        live
        for live in existing
        if _owned(pool, live) and (live["kind"], live["metadata"]["name"]) not in wanted
    )


def _owned(pool: PgPool, live: Manifest) -> bool:
    owners = live["metadata"].get("ownerReferences", ())
    return any(owner.get("controller") and owner["uid"] == pool.metadata.uid for owner in owners)
