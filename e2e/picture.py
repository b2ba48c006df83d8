"""A picture of the cluster as it is when a test has failed, in lines."""

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice

from e2e import words
from e2e.kube import Kubectl, Object
from e2e.world import OPERATOR_SELECTOR

LOG_LINES = 120
"""Of each operator."""
MOST_LINES = 150
"""Of objects of one kind: a test with hundreds of them fails like one with a few."""
_ALL = "--all-namespaces"
_PATIENCE = "--request-timeout=10s"
"""An API server or a kubelet that hangs may be why the test has failed."""
_TAKEN = "The cluster was looked at when this was raised for the first time."


def once(error: BaseException, kube: Kubectl) -> Iterator[str]:
    """What take() gives, but not again for the same error: a fixture of many tests raises it for each of them."""
    if _TAKEN not in getattr(error, "__notes__", ()):
        error.add_note(_TAKEN)
        yield from take(kube)


def take(kube: Kubectl) -> Iterator[str]:
    """The picture. It raises no Exception: for what cannot be had, there is a line that says why."""
    cluster = kube.within("")
    yield f"==== the cluster at {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    try:
        cluster("get", "--raw", "/version", _PATIENCE)
    except Exception as error:
        # It would only be waited for again and again.
        yield f"there is no picture of it: {words.of_error(error)}"
        return
    yield from _told("PgBudgets", lambda: _each(cluster, words.of_budget, "pgbudgets", _ALL))
    yield from _told("PgPools", lambda: _each(cluster, words.of_pool, "pgpools", _ALL))
    yield from _told("pods", lambda: _each(cluster, words.of_pod, "pods", _ALL))
    yield from _told("nodes", lambda: _each(cluster, words.of_node, "nodes"))
    leases = kube.within("kube-node-lease")
    yield from _told("Leases of the kubelets", lambda: _each(leases, words.of_lease, "leases"))
    yield from _told("operators", lambda: _operators(cluster))
    yield "==== the end of the picture"


def _told(title: str, lines: Callable[[], Iterable[str]]) -> Iterator[str]:
    """Lines under a title; where they cannot be had, the error and no more: the test's own is what counts."""
    yield f"== {title}"
    try:
        yield from lines()
    except Exception as error:
        yield f"not to be had: {words.of_error(error)}"


def _each(kube: Kubectl, put: Callable[[Object], list[str]], kind: str, *options: str) -> Iterator[str]:
    """All objects of a kind in words, as far as they are not too many."""
    lines = (line for obj in _objects(kube, kind, *options) for line in put(obj))
    yield from islice(lines, MOST_LINES)
    if left := sum(1 for _ in lines):
        yield f"... and {left} lines more"


def _operators(cluster: Kubectl) -> Iterator[str]:
    """Each operator in words, and how its log ends; also that of the container before, if there was one."""
    for pod in _objects(cluster, "pods", _ALL, f"--selector={OPERATOR_SELECTOR}"):
        yield from words.of_pod(pod)
        yield from _log(cluster, pod)
        if any(container.get("restartCount") for container in words.containers(pod)):
            yield from _log(cluster, pod, "--previous")


def _log(cluster: Kubectl, pod: Object, *options: str) -> Iterator[str]:
    name = pod["metadata"]["name"]
    command = ("logs", name, f"--tail={LOG_LINES}", *options)
    kube = cluster.within(pod["metadata"]["namespace"])
    yield from _told(" ".join(command), lambda: kube(*command, _PATIENCE).splitlines())


def _objects(kube: Kubectl, kind: str, *options: str) -> list[Object]:
    found: list[Object] = json.loads(kube("get", kind, "--output=json", _PATIENCE, *options))["items"]
    return found
