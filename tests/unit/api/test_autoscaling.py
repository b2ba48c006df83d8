from typing import Any

import pytest

from pgpool_operator.api import (
    Autoscaling,
    Behavior,
    PolicyType,
    ScalingPolicy,
    SelectPolicy,
    Write,
    WriteAutoscaling,
)

ONE_POD_A_MINUTE = (ScalingPolicy(type=PolicyType.PODS, value=1, period_seconds=60),)


def behavior(**written: Any) -> Behavior:
    return Autoscaling.model_validate({"maxReplicas": 8, "behavior": written}).behavior


def test_autoscaling_is_off_if_nothing_is_set() -> None:
    assert Write().autoscaling is None


def test_one_line_is_enough() -> None:
    autoscaling = Write.model_validate({"autoscaling": {"maxReplicas": 6}}).autoscaling
    assert autoscaling is not None
    assert (autoscaling.min_replicas, autoscaling.max_replicas) == (2, 6)
    assert autoscaling.behavior == Behavior()


def test_the_least_number_of_read_pods_is_left_to_the_number_of_replica_servers() -> None:
    assert Autoscaling(max_replicas=6).min_replicas is None


def test_up_is_one_pod_a_minute_at_once() -> None:
    up = Behavior().scale_up
    assert up.stabilization_window_seconds == 0
    assert up.policies == ONE_POD_A_MINUTE
    assert up.select_policy is SelectPolicy.MAX


def test_down_is_one_pod_a_minute_after_five() -> None:
    down = Behavior().scale_down
    assert down.stabilization_window_seconds == 300
    assert down.policies == ONE_POD_A_MINUTE
    assert down.select_policy is SelectPolicy.MAX


@pytest.mark.parametrize(
    "written", [{}, {"scaleUp": {}}, {"scaleDown": {}}, {"scaleUp": {}, "scaleDown": {}}]
)
def test_what_is_there_and_empty_means_the_same_as_what_is_not_there(written: dict[str, Any]) -> None:
    assert behavior(**written) == Behavior()


def test_a_part_that_is_set_leaves_the_defaults_of_the_others() -> None:
    found = behavior(scaleDown={"selectPolicy": "Disabled"}, scaleUp={"stabilizationWindowSeconds": 30})
    assert found.scale_down.select_policy is SelectPolicy.DISABLED
    assert found.scale_down.stabilization_window_seconds == 300
    assert found.scale_down.policies == ONE_POD_A_MINUTE
    assert found.scale_up.stabilization_window_seconds == 30
    assert found.scale_up.policies == ONE_POD_A_MINUTE


def test_policies_that_are_set_replace_the_default_as_a_whole() -> None:
    percent = {"type": "Percent", "value": 50, "periodSeconds": 15}
    expected = ScalingPolicy(type=PolicyType.PERCENT, value=50, period_seconds=15)
    assert behavior(scaleUp={"policies": [percent]}).scale_up.policies == (expected,)


def test_autoscaling_is_written_as_hpa_v2_spells_it() -> None:
    written = WriteAutoscaling(max_replicas=6).model_dump(mode="json")
    assert written["behavior"]["scaleDown"] == {
        "stabilizationWindowSeconds": 300,
        "selectPolicy": "Max",
        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}],
    }
