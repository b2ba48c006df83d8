"""How many pods autoscaling may run, and how fast it goes up and down: names and meaning as in HPA v2.

The defaults below a block that is not there are filled in here, not by the CRD: `autoscaling: {maxReplicas: 6}`
stays the one line that it is.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from .base import ApiModel, rules

DEFAULT_MIN_REPLICAS = 2
"""Where minReplicas is not set, one pod may go and the endpoint still serves."""

Pods = Annotated[int, Field(ge=1, le=64)]


class PolicyType(StrEnum):
    """What a policy counts in."""

    PODS = "Pods"
    PERCENT = "Percent"


class SelectPolicy(StrEnum):
    """Which of several policies holds."""

    MAX = "Max"
    MIN = "Min"
    DISABLED = "Disabled"


class ScalingPolicy(ApiModel):
    """How much may change within a time."""

    type: PolicyType
    """Pods or Percent (of the pods at the beginning of the period)."""
    value: Annotated[int, Field(ge=1)]
    """By how much the number of pods may change within the period."""
    period_seconds: Annotated[int, Field(ge=1, le=1800)]
    """The period, in seconds."""


Window = Annotated[int, Field(ge=0, le=3600)]


class ScalingRules(ApiModel):
    """How fast the number of pods goes up; every field has a value."""

    stabilization_window_seconds: Window = 0
    """The lowest number of pods that was wanted in so many seconds holds. Default: 0, go up at once."""
    select_policy: SelectPolicy = SelectPolicy.MAX
    """Max: the policy that allows the greatest change holds; Min: the one that allows the smallest; Disabled: no
    change this way. Default: Max."""
    policies: Annotated[
        tuple[ScalingPolicy, ...],
        Field(min_length=1, max_length=8, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ] = (ScalingPolicy(type=PolicyType.PODS, value=1, period_seconds=60),)
    """How much may change within which time. Default: 1 pod in 60 seconds."""


class ScaleDownRules(ScalingRules):
    """How fast the number of pods goes down; every field has a value."""

    stabilization_window_seconds: Window = 300
    """The highest number of pods that was wanted in so many seconds holds. Default: 300."""


class Behavior(ApiModel):
    """How fast the number of pods follows, as in HPA v2."""

    scale_up: ScalingRules = Field(default_factory=ScalingRules)
    """Up. Default: 1 pod in 60 seconds, at once."""
    scale_down: ScaleDownRules = Field(default_factory=ScaleDownRules)
    """Down. Default: 1 pod in 60 seconds, when fewer were enough for 300 seconds."""


class Autoscaling(ApiModel):
    """The operator sets the number of pods: by the poolers' CPU and clients, within the budget."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                f"(has(self.minReplicas) ? self.minReplicas : {DEFAULT_MIN_REPLICAS}) <= self.maxReplicas",
                "minReplicas must not be greater than maxReplicas; it is at least "
                f"{DEFAULT_MIN_REPLICAS} if not set: for maxReplicas: 1 set minReplicas: 1",
            )
        )
    )

    min_replicas: Pods | None = None
    """Pods at least. Default: one for each replica server, at least 2, at most maxReplicas."""
    max_replicas: Pods
    """Pods at most. Fewer run where the budget has no room."""
    behavior: Behavior = Field(default_factory=Behavior)
    """How fast the number of pods follows, as in HPA v2. Default: up 1 pod in 60 seconds, down 1 pod in 60
    seconds when fewer were enough for 300 seconds."""


class WriteAutoscaling(Autoscaling):
    """The operator sets the number of pods: by the poolers' CPU and clients, within the budget."""

    min_replicas: Pods = DEFAULT_MIN_REPLICAS
    """Pods at least. Default: 2."""
