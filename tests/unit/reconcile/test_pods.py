"""The facts of a pooler pod."""

from typing import Any

import pytest

from pgpool_operator.reconcile.pods import is_pooler, pooler, read_pod
from pgpool_pooler.contract import (
    CONFIG_HASH_ANNOTATION,
    GRANT_ANNOTATION,
    LEFT_NOTHING,
    Endpoint,
    Grant,
    ServerGrant,
)
from tests.support.shop import pod_manifest

ENDED = {"terminated": {"exitCode": 0}}
NOT_FOUND = {"terminated": {"reason": "ContainerStatusUnknown", "exitCode": 137}}


def raw(**changes: Any) -> dict[str, Any]:
    pod = pod_manifest("app-1")
    pod["metadata"] |= {"namespace": "shop", "uid": "u1"} | changes.pop("metadata", {})
    pod["spec"] |= changes.pop("spec", {})
    pod["status"] |= changes
    return pod


def status(name: str, **state: Any) -> dict[str, Any]:
    return {"name": name, "state": state}


def test_a_running_pod() -> None:
    pod = read_pod(raw(conditions=[{"type": "Ready", "status": "True"}]))
    assert (pod.full_pool, pod.endpoint, pod.node, pod.address) == (
        "shop/app",
        Endpoint.WRITE,
        "w1",
        "10.0.2.1",
    )
    assert (pod.deleted, pod.ended, pod.finished, pod.ready) == (False, False, False, True)
    assert (pod.grant, pod.config_hash) == (None, "")


def test_a_pod_that_was_just_created_has_neither_node_nor_address() -> None:
    pod = raw()
    del pod["spec"]["nodeName"], pod["status"]
    assert (read_pod(pod).node, read_pod(pod).address, read_pod(pod).ready) == ("", "", False)


def test_grant_and_configuration_are_in_its_annotations() -> None:
    server = ServerGrant(host="10.0.0.7", port=5432, cap=3, shares={"app": 3})
    grant = Grant(uid="u1", generation=4, servers=(server,), peer_id=1)
    annotations = {GRANT_ANNOTATION: grant.model_dump_json(), CONFIG_HASH_ANNOTATION: "c0ffee"}
    pod = read_pod(raw(metadata={"annotations": annotations}))
    assert (pod.grant, pod.config_hash) == (grant, "c0ffee")


@pytest.mark.parametrize("text", ["no json", "{}", '{"uid": "u1", "generation": 0}'])
def test_a_grant_that_cannot_be_read_is_none(text: str) -> None:
    assert read_pod(raw(metadata={"annotations": {GRANT_ANNOTATION: text}})).grant is None


def test_a_longer_grace_period_of_the_deletion_beats_that_of_the_spec() -> None:
    assert read_pod(raw()).grace_seconds == 60.0
    assert read_pod(raw(metadata={"deletionGracePeriodSeconds": 90})).grace_seconds == 90.0


def test_a_kubelet_that_did_not_see_a_forced_deletion_goes_by_the_spec() -> None:
    assert read_pod(raw(metadata={"deletionGracePeriodSeconds": 0})).grace_seconds == 60.0


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_a_pod_that_the_kubelet_gave_up_is_finished(phase: str) -> None:
    assert read_pod(raw(phase=phase)).finished


@pytest.mark.parametrize(
    ("spec", "reported", "ended"),
    [
        pytest.param({}, {"containerStatuses": [status("pooler", **ENDED)]}, True, id="terminated"),
        pytest.param({}, {"containerStatuses": [status("pooler", running={})]}, False, id="running"),
        pytest.param(
            {},
            {"containerStatuses": [status("pooler", **NOT_FOUND) | {"lastState": NOT_FOUND}]},
            False,
            id="it ran and its kubelet does not find it",
        ),
        pytest.param(
            {},
            {"containerStatuses": [status("pooler", **NOT_FOUND) | {"restartCount": 1}]},
            False,
            id="it was started again and its kubelet does not find it",
        ),
        pytest.param(
            {},
            {"containerStatuses": [status("pooler", **NOT_FOUND) | {"restartCount": 0, "lastState": {}}]},
            True,
            id="it never ran",
        ),
        pytest.param({}, {"containerStatuses": [status("pooler", waiting={})]}, False, id="about to restart"),
        pytest.param({}, {}, False, id="nothing reported"),
        pytest.param({}, {"containerStatuses": [status("other", **ENDED)]}, False, id="another reported"),
        pytest.param(
            {"initContainers": [{"name": "first"}]},
            {"containerStatuses": [status("pooler", **ENDED)]},
            False,
            id="an init container unreported",
        ),
        pytest.param(
            {"ephemeralContainers": [{"name": "debug"}]},
            {
                "containerStatuses": [status("pooler", **ENDED)],
                "ephemeralContainerStatuses": [status("debug", running={})],
            },
            False,
            id="an ephemeral container running",
        ),
        pytest.param(
            {"initContainers": [{"name": "first"}], "ephemeralContainers": [{"name": "debug"}]},
            {
                "initContainerStatuses": [status("first", **ENDED)],
                "containerStatuses": [status("pooler", **ENDED)],
                "ephemeralContainerStatuses": [status("debug", **ENDED)],
            },
            True,
            id="all sorts terminated",
        ),
    ],
)
def test_a_pod_has_ended_when_every_container_of_every_sort_has(
    spec: dict[str, Any], reported: dict[str, Any], ended: bool
) -> None:
    assert read_pod(raw(spec=spec, **reported)).ended is ended


WORD = f"{LEFT_NOTHING}: and more for people to read"


@pytest.mark.parametrize(
    ("reported", "left_nothing"),
    [
        pytest.param(status("pooler", terminated={"message": WORD}), True, id="its agent says so"),
        pytest.param(status("pooler", terminated={"message": "other words"}), False, id="other words"),
        pytest.param(status("pooler", **ENDED), False, id="it says nothing"),
        pytest.param(status("other", terminated={"message": WORD}), False, id="another container says so"),
        pytest.param(
            {"name": "pooler", "state": {"running": {}}, "lastState": {"terminated": {"message": WORD}}},
            False,
            id="it runs again",
        ),
    ],
)
def test_a_pod_has_left_nothing_if_its_agent_says_so_with_its_last_end(
    reported: dict[str, Any], left_nothing: bool
) -> None:
    assert read_pod(raw(containerStatuses=[reported])).left_nothing is left_nothing


START, SOONER, LATER = "2026-11-24T12:00:10Z", "2026-11-24T12:00:05Z", "2026-11-24T12:00:15Z"


@pytest.mark.parametrize(
    ("container", "started"),
    [
        pytest.param(None, False, id="nothing reported"),
        pytest.param({"state": {}}, False, id="no state"),
        pytest.param({"state": {"waiting": {"reason": "ImagePullBackOff"}}}, False, id="no image"),
        pytest.param({"state": {"running": {}}}, True, id="running"),
        pytest.param({"state": {"terminated": {}}}, True, id="ended"),
        pytest.param(
            {"state": {"waiting": {}}, "lastState": {"terminated": {}}}, True, id="about to restart"
        ),
    ],
)
def test_a_pod_has_started_when_a_container_of_it_has_run(
    container: dict[str, Any] | None, started: bool
) -> None:
    reported = [{"name": "pooler", **container}] if container is not None else []
    assert read_pod(raw(containerStatuses=reported)).started is started


@pytest.mark.parametrize(
    ("ready", "container", "was_ready"),
    [
        pytest.param(("True", LATER), {"state": {"running": {"startedAt": START}}}, True, id="ready"),
        pytest.param(("False", SOONER), {"state": {"running": {"startedAt": START}}}, False, id="never yet"),
        pytest.param(("False", SOONER), {"state": {"waiting": {}}}, False, id="not started"),
        pytest.param(("False", LATER), {"state": {"running": {"startedAt": START}}}, True, id="no more"),
        pytest.param(
            ("False", START),
            {"state": {"running": {"startedAt": LATER}}, "lastState": {"terminated": {"startedAt": SOONER}}},
            True,
            id="until it restarted",
        ),
        pytest.param(
            ("False", SOONER), {"state": {"terminated": {"startedAt": None}}}, False, id="start unknown"
        ),
    ],
)
def test_a_pod_was_ready_if_it_stopped_being_so_after_it_had_started(
    ready: tuple[str, str], container: dict[str, Any], was_ready: bool
) -> None:
    """The condition is False from the start, and says since when."""
    condition = {"type": "Ready", "status": ready[0], "lastTransitionTime": ready[1]}
    reported = [{"name": "pooler", **container}]
    assert read_pod(raw(conditions=[condition], containerStatuses=reported)).was_ready is was_ready


@pytest.mark.parametrize(
    ("labels", "whole"),
    [
        ({"pgpool.dev/pool": "app", "pgpool.dev/endpoint": "read"}, True),
        ({"pgpool.dev/pool": "app"}, False),
        ({"pgpool.dev/pool": "app", "pgpool.dev/endpoint": "other"}, False),
        ({"cluster-name": "main"}, False),
    ],
)
def test_a_pooler_has_a_pool_and_an_endpoint(labels: dict[str, str], whole: bool) -> None:
    pod = raw(metadata={"labels": labels})
    assert is_pooler(pod) is whole
    assert (pooler(pod) is not None) is whole


def test_a_pod_that_lost_its_labels_may_hold_what_it_was_granted() -> None:
    grant = Grant(uid="u1", generation=4, servers=(ServerGrant(host="db", port=5432, cap=3),), peer_id=1)
    annotations = {GRANT_ANNOTATION: grant.model_dump_json()}
    pod = pooler(raw(metadata={"labels": {"pgpool.dev/pool": "app"}, "annotations": annotations}))
    assert pod is not None
    assert (pod.grant, pod.pool, pod.full_pool) == (grant, "", "")
