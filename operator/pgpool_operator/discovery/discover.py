"""From the spec to the provider that knows where its servers are."""

from collections.abc import Iterable, Mapping
from typing import Any

from ..api import PgPool, Provider
from .model import Discovery
from .patroni import discover_patroni, member_labels
from .static import discover_static

Object = Mapping[str, Any]

_PROVIDERS = {Provider.PATRONI: discover_patroni}


def selector(pool: PgPool) -> Mapping[str, str]:
    """The labels of the pods that `discover` looks at; empty where the spec names the servers."""
    cluster = pool.spec.database.cluster
    return {} if cluster is None else member_labels(cluster)


def discover(pool: PgPool, pods: Iterable[Object], nodes: Mapping[str, Object]) -> Discovery:
    """The pool's database servers.

    `pods` are those of the pool's namespace, or only those that have the labels of `selector`; `nodes` Node
    objects by name (empty where the operator may not read them), both as the API server gives them.
    """
    database = pool.spec.database
    if database.cluster is not None:
        return _PROVIDERS[database.cluster.provider](pool, database.cluster, pods, nodes)
    return discover_static(pool, database.servers or ())
