"""Fixtures: one cluster and one database for all tests, PgPools that are cleaned away after each."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from e2e import picture
from e2e.cluster import kubeconfig, kubectl
from e2e.kube import Kubectl, Object, eventually
from e2e.world import OPERATOR_NAMESPACE, USER, Pool, Postgres, install_operator, sample_pool

NAMESPACE = os.environ.get("E2E_NAMESPACE", "e2e")

MakePool = Callable[..., Pool]

MONITOR: Object = {
    "userSecrets": [{"name": USER}],
    "monitor": {"secretRef": {"name": "main-monitor"}},
}
"""The `auth` of a PgPool whose pods see what all backends do, by the role of the fixture `monitor`."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fault", default="", help="which faults to play: pod/evict, 'pod/*', '*'")
    parser.addoption("--seeds", default="1", help="of the mixtures of faults to play: 7, or 1-60")


def pytest_exception_interact(
    node: pytest.Item | pytest.Collector,
    call: pytest.CallInfo[Any],
    report: pytest.TestReport | pytest.CollectReport,
) -> None:
    """Tell at once what has failed and how the cluster is: the run is long, and may be cut short before its end."""
    writer = node.config.get_terminal_writer()
    writer.line()
    writer.line(report.longreprtext)
    if isinstance(node, pytest.Item) and call.excinfo is not None:
        for line in picture.once(call.excinfo.value, cluster()):
            writer.line(line)


def cluster() -> Kubectl:
    """The cluster of the tests, whether or not it is there."""
    return Kubectl(kubectl(), Path(os.environ.get("KUBECONFIG", str(kubeconfig()))), NAMESPACE)


@pytest.fixture(scope="session")
def kube() -> Kubectl:
    found = cluster()
    assert found.kubeconfig.exists(), f"{found.kubeconfig} is not there: run `make up` first"
    return found


@pytest.fixture(scope="session")
def operator(kube: Kubectl) -> Kubectl:
    install_operator(kube, restart="E2E_KEEP_OPERATOR" not in os.environ)
    return kube.within(OPERATOR_NAMESPACE)


@pytest.fixture(scope="session")
def database(kube: Kubectl) -> Postgres:
    postgres = Postgres(kube)
    postgres.create()
    return postgres


@pytest.fixture(scope="session")
def monitor(database: Postgres, kube: Kubectl) -> str:
    """A role (and a Secret) that may see what all backends do."""
    database.query(
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pgpool_monitor') THEN "
        "CREATE ROLE pgpool_monitor LOGIN PASSWORD 'sample-monitor-password'; "
        "GRANT pg_monitor TO pgpool_monitor; END IF; END $$"
    )
    kube.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "main-monitor"},
            "stringData": {"username": "pgpool_monitor", "password": "sample-monitor-password"},
        }
    )
    return "pgpool_monitor"


@pytest.fixture
def make_pool(kube: Kubectl, operator: Kubectl, database: Postgres) -> Iterator[MakePool]:
    """Applies a PgPool and waits for it; afterwards it is deleted, and its reservations are seen to go."""
    del operator, database
    with pools(kube) as make:
        yield make


@contextmanager
def pools(kube: Kubectl) -> Iterator[MakePool]:
    """What `make_pool` is, for fixtures that keep a PgPool over several tests."""
    made: list[Pool] = []

    def make(name: str = "app", *, wait: bool = True, **spec: Any) -> Pool:
        kube.apply(sample_pool(name, **spec))
        pool = Pool(kube, name)
        made.append(pool)
        if wait:
            pool.wait_serving()
        return pool

    yield make
    for pool in made:
        kube("delete", "pgpool", pool.name, "--ignore-not-found")
    names = [pool.name for pool in made]
    eventually("no pooler pod and no budget is left", lambda: nothing_left(kube, names))


def nothing_left(kube: Kubectl, names: Sequence[str] = ()) -> bool:
    """For `eventually`: raises AssertionError with what is left."""
    found = leftovers(kube, names)
    assert not found, f"left are {', '.join(found)}"
    return True


def leftovers(kube: Kubectl, names: Sequence[str] = ()) -> list[str]:
    """What PgPools of these names (none: of any) have made and is still there; budgets only if no PgPool is."""
    kinds = ("deployments", "services", "configmaps", "poddisruptionbudgets", "serviceaccounts", "pods")
    selector = "app.kubernetes.io/managed-by=pgpool-operator"
    if names:
        selector += f",pgpool.dev/pool in ({','.join(names)})"
    found = [
        f"{obj['kind']}/{obj['metadata']['name']}" for kind in kinds for obj in kube.list(kind, selector)
    ]
    in_use = bool(names) and bool(kube.list("pgpools"))
    budgets = [] if in_use else kube.list("pgbudgets")
    return found + [f"PgBudget/{budget['metadata']['name']}" for budget in budgets]
