"""metrics-server: the cluster's metrics.k8s.io, without which an HPA knows nothing of CPU. Not a part of `up`.

Only tests of an HPA need it, so they bring it up and take it away: an API that nobody answers, as after the loss
of a node, would hold up everything that asks the API server for all it has, the deletion of namespaces too.
"""

import shutil
import tempfile
from pathlib import Path

from e2e.cluster import docker, go_tools, images, node_image, paths
from e2e.cluster.go_tools import GoTools
from e2e.cluster.shell import run, say

PROGRAM = GoTools(
    "sigs.k8s.io/metrics-server",
    "v0.8.0",
    ("sigs.k8s.io/metrics-server/cmd/metrics-server",),
    minutes=3,
)
IMAGE = f"pgpool-metrics-server:{PROGRAM.version}"
MANIFESTS = Path(__file__).parent / "metrics-server"

_START_SECONDS = 240


def ensure_metrics_server() -> None:
    """Returns once metrics-server runs in the cluster and has its first metrics, whatever of it is there."""
    if not docker.has_image(IMAGE):
        _build()
    images.load_into_workers((IMAGE,))
    say("starting metrics-server (about 20 s)")
    _kubectl("apply", "--server-side", "-k", MANIFESTS)
    # It is Ready once it has read every kubelet that answers; then the API server passes questions on to it.
    _kubectl("rollout", "status", "deployment/metrics-server", f"--timeout={_START_SECONDS}s")
    available = ("--for=condition=Available", "apiservice/v1beta1.metrics.k8s.io")
    _kubectl("wait", *available, f"--timeout={_START_SECONDS}s")


def remove_metrics_server() -> None:
    """Takes it out of the cluster; its image stays."""
    _kubectl("delete", "--ignore-not-found", "-k", MANIFESTS)


def _build() -> None:
    program = go_tools.build(PROGRAM)["metrics-server"]
    with tempfile.TemporaryDirectory(prefix="pgpool-context-") as folder:
        context = Path(folder)
        shutil.copy(program, context / program.name)
        dockerfile = context / "Dockerfile"
        dockerfile.write_text(node_image.component_dockerfile(program.name, "scratch"))
        docker.build(IMAGE, dockerfile, context)


def _kubectl(*arguments: str | Path) -> None:
    kubeconfig = ("--kubeconfig", paths.kubeconfig(), "--namespace", "kube-system")
    run(paths.kubectl(), *kubeconfig, *arguments, timeout=_START_SECONDS + 10)
