"""The parts of Kubernetes' own types (core/v1, meta/v1) that the API uses."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from .base import ApiModel, ObjectName, Quantity


class Metadata(ApiModel):
    """The object metadata that is looked at."""

    name: str
    namespace: str
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class ConditionStatus(StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(ApiModel):
    """One aspect of the object's state, as in all Kubernetes APIs (meta/v1 Condition)."""

    type: Annotated[str, Field(max_length=316, pattern=r"^[A-Z][A-Za-z]*$")]
    """The aspect, e.g. Ready."""
    status: ConditionStatus
    """Whether it holds: True, False or Unknown."""
    observed_generation: Annotated[int, Field(ge=0)] = 0
    """The metadata.generation that this was said of."""
    last_transition_time: datetime
    """When the status changed last."""
    reason: Annotated[
        str, Field(min_length=1, max_length=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_]*[A-Za-z0-9])?$")
    ]
    """The cause in one word, for programs."""
    message: Annotated[str, Field(max_length=32768)]
    """The cause in a sentence, for people: what, number, what to do."""


class LocalRef(ApiModel):
    """An object in the same namespace."""

    name: ObjectName
    """Its name."""


class Resources(ApiModel):
    """CPU and memory of the pooler's container."""

    requests: dict[str, Quantity] = Field(default_factory=dict)
    """What is reserved on the node."""
    limits: dict[str, Quantity] = Field(default_factory=dict)
    """What it gets at most. A CPU limit throttles the pooler; leave it out unless you must."""


class Toleration(ApiModel):
    """A taint that the pods put up with."""

    key: str | None = None
    """The taint's key; all keys if empty (then operator must be Exists)."""
    operator: Literal["Exists", "Equal"] | None = None
    """Exists or Equal (default)."""
    value: str | None = None
    """The taint's value, for operator Equal."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """The taint's effect; all effects if empty."""
    toleration_seconds: int | None = None
    """For NoExecute: how long the pods stay; for ever if not set."""


class LabelSelectorRequirement(ApiModel):
    """A condition on one label."""

    key: str
    """The label."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """How the label relates to values."""
    values: tuple[str, ...] | None = None
    """The values, for In and NotIn."""


class LabelSelector(ApiModel):
    """Pods by their labels; all conditions must hold."""

    match_labels: dict[str, str] | None = None
    """Labels with these values."""
    match_expressions: tuple[LabelSelectorRequirement, ...] | None = None
    """Conditions on labels."""


class TopologySpreadConstraint(ApiModel):
    """How the pods are spread over nodes or zones (core/v1)."""

    max_skew: Annotated[int, Field(ge=1)]
    """By how many pods the domains may differ."""
    topology_key: str
    """The node label whose values are the domains, e.g. topology.kubernetes.io/zone."""
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"]
    """What happens to a pod that cannot be placed so."""
    label_selector: LabelSelector | None = None
    """The pods that are counted; the endpoint's own if not set."""
    match_label_keys: tuple[str, ...] | None = None
    """Pod labels whose values are added to labelSelector."""
    min_domains: Annotated[int, Field(ge=1)] | None = None
    """The number of domains below which the skew counts from 0."""
    node_affinity_policy: Literal["Honor", "Ignore"] | None = None
    """Whether nodes that the pods' node affinity leaves out are counted."""
    node_taints_policy: Literal["Honor", "Ignore"] | None = None
    """Whether tainted nodes are counted."""
