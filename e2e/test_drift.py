"""What the operator has made stays as it made it, what it has not made it leaves alone; at rest it is silent."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.audit import Mark
from e2e.conftest import MakePool, pools
from e2e.kube import Kubectl, Object, eventually
from e2e.world import OPERATOR_SELECTOR, Pool, Postgres, leader, sample_pool

CHILDREN = [
    ("deployment", "app-rw"),
    ("deployment", "app-ro"),
    ("service", "app-rw"),
    ("service", "app-ro"),
    ("poddisruptionbudget", "app-rw"),
    ("poddisruptionbudget", "app-ro"),
    ("configmap", "app"),
    ("serviceaccount", "app"),
]

A_FIELD_OF: dict[str, Object] = {
    "deployment": {"spec": {"replicas": 5}},
    "service": {"spec": {"selector": {"pgpool.dev/endpoint": "elsewhere"}}},
    "poddisruptionbudget": {"spec": {"maxUnavailable": 0}},
    "configmap": {"data": {"config.json": "{}"}},
    "serviceaccount": {"automountServiceAccountToken": True},
}


@pytest.fixture(scope="module")
def pool(kube: Kubectl, operator: Kubectl, database: Postgres) -> Iterator[Pool]:
    """One PgPool for all that is done to children: each test leaves it as it found it."""
    del operator, database
    with pools(kube) as make:
        yield make()


def asked_for(child: Object) -> Object:
    """What the operator is responsible for in a child; not what the cluster adds to it."""
    ours = {key: value for key, value in child.items() if key not in ("metadata", "status")}
    metadata = child["metadata"]
    ours["labels"] = metadata["labels"]
    ours["owners"] = metadata.get("ownerReferences", [])
    annotations = metadata.get("annotations", {})
    ours["annotations"] = {key: annotations[key] for key in annotations if key.startswith("pgpool.dev/")}
    if child["kind"] == "Service":
        given = ("clusterIP", "clusterIPs")
        ours["spec"] = {key: value for key, value in child["spec"].items() if key not in given}
    return ours


def there(kube: Kubectl, kind: str, name: str) -> Object:
    found = kube.get(kind, name)
    assert found is not None, f"no {kind} {name}"
    return found


def comes_back(kube: Kubectl, kind: str, name: str, before: Object) -> None:
    def same() -> bool:
        now = there(kube, kind, name)
        assert asked_for(now) == asked_for(before)
        return "deletionTimestamp" not in now["metadata"]

    eventually(f"{kind} {name} is as it was", same)


@pytest.mark.parametrize(("kind", "name"), CHILDREN)
def test_a_deleted_child_comes_back(kube: Kubectl, pool: Pool, kind: str, name: str) -> None:
    before = there(kube, kind, name)
    kube("delete", kind, name)
    comes_back(kube, kind, name, before)
    assert there(kube, kind, name)["metadata"]["uid"] != before["metadata"]["uid"]
    pool.wait_serving()


@pytest.mark.parametrize(("kind", "name"), CHILDREN)
def test_a_field_edited_by_hand_is_set_again(kube: Kubectl, pool: Pool, kind: str, name: str) -> None:
    before = there(kube, kind, name)
    kube.patch(kind, name, A_FIELD_OF[kind])
    comes_back(kube, kind, name, before)
    pool.wait_serving()


@pytest.mark.parametrize(("kind", "name"), CHILDREN)
@pytest.mark.parametrize("label", ["pgpool.dev/pool", "app.kubernetes.io/managed-by"])
def test_a_label_taken_away_by_hand_is_set_again(
    kube: Kubectl, pool: Pool, kind: str, name: str, label: str
) -> None:
    before = there(kube, kind, name)
    kube.patch(kind, name, {"metadata": {"labels": {label: None}}})
    comes_back(kube, kind, name, before)
    pool.wait_serving()


def test_a_child_that_was_disowned_by_hand_is_owned_again(kube: Kubectl, pool: Pool) -> None:
    before = there(kube, "service", "app-rw")
    kube.patch("service", "app-rw", {"metadata": {"ownerReferences": None}})
    comes_back(kube, "service", "app-rw", before)
    pool.wait_serving()


def test_what_others_add_to_a_child_stays(kube: Kubectl, pool: Pool) -> None:
    theirs: dict[str, Any] = {"metadata": {"labels": {"team": "shop"}, "annotations": {"note": "ours"}}}
    kube.patch("service", "app-rw", theirs)
    kube.patch("service", "app-rw", A_FIELD_OF["service"])
    eventually(
        "the selector is set again",
        lambda: there(kube, "service", "app-rw")["spec"]["selector"]["pgpool.dev/endpoint"] == "write",
    )
    metadata = there(kube, "service", "app-rw")["metadata"]
    assert metadata["labels"]["team"] == "shop"
    assert metadata["annotations"]["note"] == "ours"
    kube.patch("service", "app-rw", {"metadata": {"labels": {"team": None}, "annotations": {"note": None}}})
    pool.wait_serving()


FOREIGN: list[Object] = [
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "taken-rw"},
        "spec": {"selector": {"app": "theirs"}, "ports": [{"port": 80}]},
    },
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "taken"}, "data": {"theirs": "yes"}},
]


@pytest.mark.parametrize("theirs", FOREIGN, ids=lambda theirs: str(theirs["kind"]))
def test_somebody_elses_object_is_reported_and_never_overwritten(
    kube: Kubectl, make_pool: MakePool, theirs: Object
) -> None:
    kind, name = theirs["kind"], theirs["metadata"]["name"]
    kube.apply(theirs)
    before = there(kube, kind, name)
    try:
        pool = make_pool("taken", wait=False)
        said = pool.wait_for("Stalled", "True", "Forbidden")
        assert said["message"] == (
            f"{kind} {name} is there already and does not belong to this PgPool: "
            "delete it, or give the PgPool another name"
        )
        told = ("Warning", "Forbidden", said["message"])
        eventually("an event says so", lambda: told in pool.events())
        assert there(kube, kind, name) == before
    finally:
        kube("delete", kind, name)
    pool.wait_serving()
    assert pool.condition("Stalled")["status"] == "False"


def test_an_idle_operator_writes_nothing_but_its_lease(kube: Kubectl, pool: Pool) -> None:
    settle(kube, pool)
    mark = Mark.now()
    time.sleep(60)
    assert mark.writes(kube.namespace) == []


def test_a_restart_of_the_operator_writes_nothing(kube: Kubectl, operator: Kubectl, pool: Pool) -> None:
    settle(kube, pool)
    mark = Mark.now()
    before = {pod["metadata"]["name"] for pod in operator.list("pods", OPERATOR_SELECTOR)}
    operator("delete", "pods", "-l", OPERATOR_SELECTOR, "--wait=false")
    eventually("a new operator leads", lambda: leader(operator) not in {None, *before})
    time.sleep(30)
    assert mark.writes(kube.namespace) == []


def settle(kube: Kubectl, pool: Pool) -> None:
    """Have the operator work once, so that the log is known to show it, and wait until it has come to rest."""
    mark = Mark.now()
    kube("delete", "configmap", pool.name)
    eventually("the audit log shows the operator at work", lambda: bool(mark.writes(kube.namespace)))
    pool.wait_serving()

    def quiet() -> bool:
        since = Mark.now()
        time.sleep(5)
        return not since.writes(kube.namespace)

    eventually("the operator rests", quiet)


def test_the_users_object_is_never_written(kube: Kubectl, make_pool: MakePool) -> None:
    mine = sample_pool("mine")
    mine["metadata"] |= {"labels": {"team": "shop"}, "annotations": {"note": "from Git"}}
    mark = Mark.now()
    make_pool("mine", wait=False)
    kube.apply(mine)
    pool = Pool(kube, "mine")
    pool.wait_serving()
    mine["spec"]["write"] = {"replicas": 1}
    kube.apply(mine)
    pool.wait_serving()

    found = pool.object()
    applied = found["metadata"]["annotations"].pop("kubectl.kubernetes.io/last-applied-configuration")
    assert applied
    assert found["metadata"]["labels"] == {"team": "shop"}
    assert found["metadata"]["annotations"] == {"note": "from Git"}
    assert "finalizers" not in found["metadata"]
    assert found["metadata"]["generation"] == 2, "one generation for each change of the spec by its user"
    written = {write.subresource for write in mark.writes(kube.namespace) if write.resource == "pgpools"}
    assert written == {"status"}
