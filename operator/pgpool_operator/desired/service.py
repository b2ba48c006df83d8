"""The Service that clients connect to."""

from pgpool_pooler.contract import Endpoint

from ..api import PgPool
from .common import Manifest, child, endpoint_name, foreign, selector


def service(pool: PgPool, endpoint: Endpoint) -> Manifest:
    """`<pool>-rw` or `<pool>-ro`, to the pods that are Ready."""
    block = pool.spec.write if endpoint is Endpoint.WRITE else pool.spec.read
    assert block is not None
    content = {
        "spec": {
            "type": block.service.type,
            "selector": selector(pool.metadata.name, endpoint),
            "ports": [
                {"name": "postgres", "port": block.service.port, "targetPort": "postgres", "protocol": "TCP"}
            ],
        }
    }
    name = endpoint_name(pool.metadata.name, endpoint)
    annotations = foreign(dict(block.service.annotations))
    return child(pool, "v1", "Service", name, content, endpoint=endpoint, annotations=annotations)
