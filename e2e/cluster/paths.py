"""Where the ground keeps what is expensive to make: outside the checkout, shared by all checkouts."""

import os
from pathlib import Path

CLUSTER = "pgpool"
"""The name of the kind cluster."""

REPOSITORY = Path(__file__).resolve().parents[2]


def cache_dir() -> Path:
    """The folder of built binaries, wheels and the cluster's kubeconfig."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "pgpool-operator"


def bin_dir() -> Path:
    """The folder with `kind` and `kubectl` in the versions that the cluster uses."""
    return cache_dir() / "bin"


def kubeconfig() -> Path:
    """The cluster's kubeconfig, written by `up`."""
    return cache_dir() / "kubeconfig"


def kubectl() -> Path:
    """The `kubectl` of the cluster's version."""
    return bin_dir() / "kubectl"


def kind() -> Path:
    """The `kind` that made the cluster."""
    return bin_dir() / "kind"
