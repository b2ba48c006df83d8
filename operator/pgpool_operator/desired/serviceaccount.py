"""The pods' ServiceAccount: an identity without any rights."""

from ..api import PgPool
from .common import Manifest, child


def service_account(pool: PgPool) -> Manifest:
    """`<pool>`; no token is mounted, pods never speak to the API server."""
    content = {"automountServiceAccountToken": False}
    return child(pool, "v1", "ServiceAccount", pool.metadata.name, content)
