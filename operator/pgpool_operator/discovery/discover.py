"""From the spec to the provider that knows where its servers are."""

from collections.abc import Iterable, Mapping
from typing import Any

from ..api import PgPool, Provider
from .model import Discovery
from .patroni import discover_patroni
from .static import discover_static

Object = Mapping[str, Any]

_PROVIDERS = {Provider.PATRONI: discover_patroni}


def discover(pool: PgPool, pods: Iterable[Object], nodes: Mapping[str, Object]) -> Discovery:
    """The pool's database servers.

    `pods` are those of the pool's namespace, `nodes` Node objects by name (empty where the operator may not
    read them), both as the API server gives them.
    """
    database = pool.spec.database
    if database.cluster is not None:
        return _PROVIDERS[database.cluster.provider](pool, database.cluster, pods, nodes)
    return discover_static(pool, database.servers or ())
