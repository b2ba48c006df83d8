"""The resource types that the operator reads or writes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One resource type: its address in the API and its name in manifests."""

    group: str
    version: str
    plural: str
    name: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As manifests spell it: `apps/v1`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str = "") -> str:
        """The URL path of one object, or of the collection where `name` is None."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        parts = [root]
        if self.namespaced and namespace is not None:
            parts.append(f"namespaces/{namespace}")
        parts.append(self.plural)
        if name is not None:
            parts.append(name)
        if subresource:
            parts.append(subresource)
        return "/".join(parts)


PGPOOL = Kind("pgpool.dev", "v1alpha1", "pgpools", "PgPool")
PGBUDGET = Kind("pgpool.dev", "v1alpha1", "pgbudgets", "PgBudget")
POD = Kind("", "v1", "pods", "Pod")
NODE = Kind("", "v1", "nodes", "Node", namespaced=False)
SERVICE = Kind("", "v1", "services", "Service")
CONFIGMAP = Kind("", "v1", "configmaps", "ConfigMap")
SERVICEACCOUNT = Kind("", "v1", "serviceaccounts", "ServiceAccount")
DEPLOYMENT = Kind("apps", "v1", "deployments", "Deployment")
PDB = Kind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
LEASE = Kind("coordination.k8s.io", "v1", "leases", "Lease")
EVENT = Kind("", "v1", "events", "Event")

CHILDREN = (SERVICEACCOUNT, CONFIGMAP, SERVICE, DEPLOYMENT, PDB)
"""What a PgPool is made of, in the order in which it is applied."""

OBSERVED = (PGPOOL, PGBUDGET, POD, *CHILDREN)
"""What is watched in the namespaces that the operator serves; nodes come on top where it may see them."""

_BY_NAME = {kind.name: kind for kind in (*OBSERVED, NODE)}


def of(manifest: dict[str, object]) -> Kind:
    """The kind of a manifest of ours; KeyError for one that the operator does not handle."""
    return _BY_NAME[str(manifest["kind"])]
