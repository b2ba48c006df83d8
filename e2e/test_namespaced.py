"""The operator with rights in one namespace only, and all pods under the restricted Pod Security Standard."""

from collections.abc import Iterator

import pytest

from e2e.kube import Kubectl, eventually
from e2e.world import OPERATOR_NAMESPACE, REPOSITORY, Pool, Postgres, operators_away, sample_pool

NAMESPACE = "databases"
"""The one that the overlay names."""


@pytest.fixture
def installed(operator: Kubectl, kube: Kubectl) -> Iterator[Kubectl]:
    """The overlay in its namespace, while the operator for all namespaces is away."""
    inside = kube.within(NAMESPACE)
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    overlay = str(REPOSITORY / "manifests/namespaced")
    with operators_away(operator):
        inside.within("").apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": restricted}}
        )
        Postgres(inside).create()
        inside.within("")("apply", "--server-side", "--force-conflicts", "-k", overlay)
        inside("rollout", "status", "deployment/pgpool-operator", "--timeout=240s")
        yield inside
        inside.within("")("delete", "namespace", NAMESPACE)


def test_it_serves_its_namespace_and_may_do_nothing_elsewhere(installed: Kubectl) -> None:
    installed.apply(sample_pool("app"))
    pool = Pool(installed, "app")
    pool.wait_serving()
    assert pool.query("SELECT pg_is_in_recovery()", "rw") == [(False,)]
    assert pool.query("SELECT pg_is_in_recovery()", "ro") == [(True,)]
    account = f"system:serviceaccount:{NAMESPACE}:pgpool-operator"
    for verb, resource, where in (
        ("list", "pods", OPERATOR_NAMESPACE),
        ("get", "secrets", NAMESPACE),
        ("list", "nodes", NAMESPACE),
        ("patch", "pgpools.pgpool.dev", NAMESPACE),
    ):
        assert not allowed(installed.within(where), account, verb, resource), f"{verb} {resource} in {where}"
    installed("delete", "pgpool", "app")
    eventually("the budgets are gone", lambda: not installed.list("pgbudgets"))


def allowed(kube: Kubectl, account: str, verb: str, resource: str) -> bool:
    """What the API server says to `kubectl auth can-i`."""
    answer = kube("auth", "can-i", verb, resource, f"--as={account}", may_fail=True)
    return answer.strip() == "yes"
