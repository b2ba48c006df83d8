import copy
from collections.abc import Callable
from typing import Any

import pytest

from pgpool_operator.desired import Manifest, differs

DESIRED: Manifest = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {
        "name": "app-rw",
        "labels": {"pgpool.dev/pool": "app"},
        "annotations": {"pgpool.dev/applied": "5e1f"},
        "ownerReferences": [{"uid": "u1", "kind": "PgPool", "name": "app", "controller": True}],
    },
    "spec": {
        "replicas": 0,
        "strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
        "template": {
            "spec": {
                "nodeSelector": {},
                "automountServiceAccountToken": False,
                "containers": [
                    {
                        "name": "pooler",
                        "env": [{"name": "ENDPOINT", "value": "write"}],
                        "ports": [{"name": "postgres", "containerPort": 5432}],
                        "resources": {"requests": {"cpu": "1000m", "memory": "64Mi"}},
                        "securityContext": {"capabilities": {"drop": ["ALL"]}},
                    }
                ],
                "tolerations": [{"key": "", "operator": "Exists"}],
                "volumes": [{"name": "pod", "downwardAPI": {"items": [{"path": "grant"}]}}],
            }
        },
    },
}

Change = Callable[[Manifest], object]


def as_served() -> Manifest:
    """The object as the API server gives it back: defaults filled in, empty things left out."""
    live = copy.deepcopy(DESIRED)
    live["metadata"] |= {
        "uid": "d1",
        "resourceVersion": "7",
        "managedFields": [{"manager": "pgpool-operator"}],
    }
    live["spec"] |= {"minReadySeconds": 0, "revisionHistoryLimit": 10}
    live["spec"]["strategy"]["type"] = "RollingUpdate"
    pod = pod_of(live)
    del pod["nodeSelector"]
    del pod["tolerations"][0]["key"]
    pod["restartPolicy"] = "Always"
    pod["volumes"][0]["downwardAPI"] |= {"defaultMode": 420}
    pod["volumes"][0]["downwardAPI"]["items"][0]["mode"] = 288
    container = pod["containers"][0]
    container["ports"][0]["protocol"] = "TCP"
    container["resources"] = {"requests": {"cpu": "1", "memory": "67108864"}}
    live["status"] = {"replicas": 0}
    return live


def pod_of(manifest: Manifest) -> Any:
    return manifest["spec"]["template"]["spec"]


def container_of(manifest: Manifest) -> Any:
    return pod_of(manifest)["containers"][0]


def test_what_the_server_adds_and_normalises_is_no_difference() -> None:
    assert not differs(DESIRED, as_served())


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda o: o["metadata"]["labels"].update(theirs="x"), id="label"),
        pytest.param(lambda o: o["metadata"]["annotations"].update(theirs="x"), id="annotation"),
        pytest.param(lambda o: o["metadata"].update(finalizers=["theirs"]), id="finalizer"),
        pytest.param(lambda o: pod_of(o)["containers"].insert(0, {"name": "sidecar"}), id="container"),
        pytest.param(lambda o: container_of(o)["env"].insert(0, {"name": "THEIRS"}), id="env"),
        pytest.param(
            lambda o: container_of(o)["ports"].append({"containerPort": 5432, "protocol": "UDP"}), id="port"
        ),
    ],
)
def test_what_others_put_beside_it_is_no_difference(change: Change) -> None:
    live = as_served()
    change(live)
    assert not differs(DESIRED, live)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda o: o["spec"].update(replicas=3), id="replicas"),
        pytest.param(
            lambda o: o["spec"]["strategy"].update(rollingUpdate={"maxSurge": "25%"}), id="strategy"
        ),
        pytest.param(lambda o: o["spec"]["strategy"].update(rollingUpdate=None), id="block-removed"),
        pytest.param(lambda o: o["metadata"]["labels"].clear(), id="label-removed"),
        pytest.param(lambda o: o["metadata"]["ownerReferences"].clear(), id="owner-removed"),
        pytest.param(lambda o: o["metadata"]["ownerReferences"][0].update(uid="u2"), id="owner-changed"),
        pytest.param(lambda o: pod_of(o).pop("automountServiceAccountToken"), id="false-removed"),
        pytest.param(lambda o: container_of(o)["env"].clear(), id="env-removed"),
        pytest.param(lambda o: container_of(o)["env"][0].update(value="read"), id="env-changed"),
        pytest.param(lambda o: container_of(o)["ports"][0].update(protocol="UDP"), id="protocol-changed"),
        pytest.param(lambda o: container_of(o)["resources"]["requests"].update(cpu="2"), id="cpu-changed"),
        pytest.param(lambda o: container_of(o)["resources"]["requests"].pop("cpu"), id="cpu-removed"),
        pytest.param(
            lambda o: container_of(o)["securityContext"]["capabilities"]["drop"].append("X"), id="whole-list"
        ),
        pytest.param(lambda o: pod_of(o)["volumes"][0].pop("downwardAPI"), id="volume-changed"),
        pytest.param(lambda o: pod_of(o)["tolerations"][0].update(key="x"), id="empty-string-set"),
    ],
)
def test_a_field_of_ours_that_others_changed_is_a_difference(change: Change) -> None:
    live = as_served()
    change(live)
    assert differs(DESIRED, live)


def test_a_field_that_is_no_longer_desired_is_a_difference_by_the_hash_of_the_manifest() -> None:
    live = as_served()
    live["metadata"]["annotations"]["pgpool.dev/applied"] = "hash of more fields"
    assert differs(DESIRED, live)
