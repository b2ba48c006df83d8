"""Pods that run the image as it was built last, without a restart where they do so already."""

import json

from e2e.cluster.kind_cluster import WORKERS
from e2e.cluster.shell import run
from e2e.kube import Kubectl, Object


def ensure_current(kubectl: Kubectl, image: str, selector: str) -> bool:
    """Roll out Deployments (by label) again if any of their pods runs an older `image`; whether that was so.

    A tag that is loaded anew restarts nothing: the nodes pull it only when a pod starts.
    """
    inspected = json.loads(run("docker", "exec", WORKERS[0], "crictl", "inspecti", "-o", "json", image))
    if all(_runs(pod, inspected["status"]) for pod in kubectl.list("pods", selector)):
        return False
    kubectl("rollout", "restart", "deployment", "-l", selector)
    for deployment in kubectl.list("deployments", selector):
        kubectl("rollout", "status", f"deployment/{deployment['metadata']['name']}", "--timeout=240s")
    return True


def _runs(pod: Object, image: Object) -> bool:
    """Whether the pod's containers run the image that a node has: by digest, or by id if it has none."""
    known = {image["id"], *image["repoDigests"]}
    started = pod.get("status", {}).get("containerStatuses", [])
    return "deletionTimestamp" in pod["metadata"] or all(status["imageID"] in known for status in started)
