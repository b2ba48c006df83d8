"""The PodDisruptionBudget: node drains take an endpoint's pods one at a time."""

from pgpool_pooler.contract import Endpoint

from ..api import PgPool
from .common import Manifest, child, endpoint_name, selector


def pod_disruption_budget(pool: PgPool, endpoint: Endpoint) -> Manifest:
    """`<pool>-rw` or `<pool>-ro`; pods that are not Ready serve nobody and may always go."""
    content = {
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": selector(pool.metadata.name, endpoint)},
        }
    }
    name = endpoint_name(pool.metadata.name, endpoint)
    return child(pool, "policy/v1", "PodDisruptionBudget", name, content, endpoint=endpoint)
