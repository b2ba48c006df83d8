"""A HorizontalPodAutoscaler scales the write endpoint as it would a Deployment, unless the operator itself does."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from e2e.cluster.metrics_server import ensure_metrics_server, remove_metrics_server
from e2e.conftest import MakePool, nothing_left
from e2e.judge.load import Crowd
from e2e.judge.watch import report, watched
from e2e.kube import Kubectl, Object, condition, eventually
from e2e.world import BUDGET, SMALL, Pool, Postgres

LONG_SECONDS = 600.0
"""For what takes an HPA several looks (it looks every 15 s), and pods that start on a tenth of a CPU."""

CLIENTS = 40
SCRIPT = "SELECT 1;"
"""Next to nothing for the database, so that the poolers are what is busy."""

AT_ONCE: Object = {
    "scaleUp": {
        "stabilizationWindowSeconds": 0,
        "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}],
    },
    "scaleDown": {
        "stabilizationWindowSeconds": 15,
        "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}],
    },
}


@pytest.fixture(scope="module")
def metrics(kube: Kubectl, pytestconfig: pytest.Config) -> Iterator[None]:
    """CPU of pods, for HPAs to see."""
    del kube
    started = time.monotonic()
    # A first build takes minutes: whoever waits is to see why.
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    try:
        with capture.global_and_fixture_disabled():
            ensure_metrics_server()
        print(f"metrics-server answers: {time.monotonic() - started:.1f} s")  # noqa: T201
        yield
    finally:
        remove_metrics_server()


@contextmanager
def autoscaler(pool: Pool, least: int, most: int) -> Iterator[None]:
    """An HPA on a PgPool, while the block runs."""
    pool.kubectl.apply(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": pool.name},
            "spec": {
                "scaleTargetRef": {"apiVersion": "pgpool.dev/v1alpha1", "kind": "PgPool", "name": pool.name},
                "minReplicas": least,
                "maxReplicas": most,
                "metrics": [
                    {
                        "type": "Resource",
                        "resource": {
                            "name": "cpu",
                            "target": {"type": "Utilization", "averageUtilization": 50},
                        },
                    }
                ],
                "behavior": AT_ONCE,
            },
        }
    )
    try:
        yield
    finally:
        pool.kubectl("delete", "hpa", pool.name)


def wants(pool: Pool) -> int:
    """The number of write pods that the spec asks for."""
    return int(pool.object()["spec"]["write"]["replicas"])


def asks_for(pool: Pool, count: int) -> bool:
    """For `eventually`: raises AssertionError with what the HPA sees until the spec asks for so many write pods."""
    found, hpa = wants(pool), pool.kubectl.get("hpa", pool.name) or {}
    assert found == count, f"it asks for {found}; the HPA: {hpa.get('status')}"
    return True


def runs(pool: Pool, count: int) -> bool:
    """Whether that many write pods run, all of them Ready, and no other."""
    pods = pool.pods("write")
    ready = [pod for pod in pods if condition(pod, "Ready")["status"] == "True"]
    assert len(pods) == len(ready) == count, f"{len(ready)} of {len(pods)} pods are Ready"
    return True


def measured(pool: Pool) -> bool:
    """Whether the HPA knows the pods' CPU."""
    found = pool.kubectl.get("hpa", pool.name)
    assert found is not None
    active = condition(found, "ScalingActive")
    assert active["status"] == "True", active["message"]
    return True


def test_an_hpa_scales_the_write_endpoint(
    make_pool: MakePool, metrics: None, database: Postgres, kube: Kubectl
) -> None:
    del metrics
    pool = make_pool(read=None, write={}, pods=SMALL, timeouts={"drainSeconds": 10})
    with watched(database) as seen, autoscaler(pool, 2, 4):
        eventually("the HPA knows the pods' CPU", lambda: measured(pool), LONG_SECONDS)
        assert wants(pool) == 2
        with Crowd(kube, "load", pool.dsn(), CLIENTS, SCRIPT) as crowd:
            eventually("the HPA asks for more", lambda: wants(pool) > 2, LONG_SECONDS)
            eventually("the HPA asks for the most", lambda: asks_for(pool, 4), LONG_SECONDS)
            eventually("four pods are Ready", lambda: runs(pool, 4), LONG_SECONDS)
            result = crowd.stop()
        eventually("the HPA asks for the least", lambda: asks_for(pool, 2), LONG_SECONDS)
        eventually("two pods are Ready", lambda: runs(pool, 2), LONG_SECONDS)
        pool.wait_serving(within=LONG_SECONDS)
    report("scaled by an HPA", seen, result)
    assert result.transactions > 0
    assert 0 < seen.log.peak <= BUDGET
    assert 0 < seen.samples.peak <= BUDGET


IN_GIT = """\
apiVersion: pgpool.dev/v1alpha1
kind: PgPool
metadata: {{name: {name}}}
spec:
  database: {{cluster: {{provider: patroni, name: main}}}}
  databases: [{{name: app}}]
  auth: {{userSecrets: [{{name: main-app}}]}}
  write: {{}}
"""
"""As README.md shows it, without a number of pods."""

CLIENT_SIDE = ("apply",)
SERVER_SIDE = ("apply", "--server-side", "--force-conflicts", "--field-manager=argocd-controller")
"""As Argo CD applies with ServerSideApply=true."""


def test_applying_the_manifest_without_replicas_again_changes_nothing(
    kube: Kubectl, operator: Kubectl, database: Postgres, metrics: None
) -> None:
    del operator, database, metrics
    with (
        applied(kube, "client", CLIENT_SIDE) as one,
        applied(kube, "server", SERVER_SIDE) as other,
        autoscaler(one, 3, 4),
        autoscaler(other, 3, 4),
    ):
        for pool in (one, other):
            rest_with_three(pool)
        before = asked(one), asked(other)
        for _ in range(6):
            apply(kube, one.name, CLIENT_SIDE)
            apply(kube, other.name, SERVER_SIDE)
            time.sleep(5)
            assert (asked(one), asked(other)) == before


def rest_with_three(pool: Pool) -> None:
    """Wait until the HPA has asked for three pods, and looks at their CPU."""
    eventually("the HPA asks for three", lambda: asks_for(pool, 3), LONG_SECONDS)
    eventually("three pods are Ready", lambda: runs(pool, 3), LONG_SECONDS)
    eventually("the HPA knows the pods' CPU", lambda: measured(pool), LONG_SECONDS)
    pool.wait_serving(within=LONG_SECONDS)


def apply(kube: Kubectl, name: str, way: tuple[str, ...]) -> None:
    """Apply the PgPool of Git."""
    kube(*way, "-f", "-", stdin=IN_GIT.format(name=name))


@contextmanager
def applied(kube: Kubectl, name: str, way: tuple[str, ...]) -> Iterator[Pool]:
    """The PgPool of Git, applied in this way from the start, gone after the block."""
    apply(kube, name, way)
    pool = Pool(kube, name)
    try:
        pool.wait_serving(within=LONG_SECONDS)
        yield pool
    finally:
        kube("delete", "pgpool", pool.name)
        eventually("no pooler pod and no budget is left", lambda: nothing_left(kube, [pool.name]))


def asked(pool: Pool) -> dict[str, Any]:
    """All numbers that another apply could touch; the generation also tells what was set and set back."""
    found, deployment = pool.object(), pool.kubectl.get("deployment", f"{pool.name}-rw")
    assert deployment is not None
    return {
        "spec.write.replicas": found["spec"]["write"]["replicas"],
        "generation": found["metadata"]["generation"],
        "the Deployment's replicas": deployment["spec"]["replicas"],
        "the Deployment's generation": deployment["metadata"]["generation"],
    }


def test_an_hpa_is_told_that_the_operator_scales(make_pool: MakePool, metrics: None) -> None:
    del metrics
    pool = make_pool(read=None, write={"autoscaling": {"maxReplicas": 3}})
    before = asked(pool)
    with autoscaler(pool, 3, 4):
        told = eventually("the HPA says that it was refused", lambda: refusal(pool), LONG_SECONDS)
    assert "autoscaling is on, so the operator sets the number of pods" in told["message"]
    assert "remove autoscaling to set replicas by hand or to let an HPA or KEDA do it" in told["message"]
    assert asked(pool) == before


def refusal(pool: Pool) -> Object:
    """The HPA's condition AbleToScale, once it has tried and may not."""
    found = pool.kubectl.get("hpa", pool.name)
    assert found is not None
    able = condition(found, "AbleToScale")
    assert (able["status"], able["reason"]) == ("False", "FailedUpdateScale"), f"{able}"
    return able
