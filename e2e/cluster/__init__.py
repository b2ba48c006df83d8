"""A three-node kind cluster on this machine, with the project's images in it: `python -m e2e.cluster up`.

Tests take what they need from here: `kubeconfig()`, `kubectl()`, and the names of the images.
"""

from e2e.cluster.kind_cluster import CONTROL_PLANE
from e2e.cluster.kind_config import AUDIT_LOG
from e2e.cluster.paths import bin_dir, kubeconfig, kubectl

__all__ = ["AUDIT_LOG", "CONTROL_PLANE", "bin_dir", "kubeconfig", "kubectl"]
