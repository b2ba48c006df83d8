"""The pooler pods, as far as a user has a say."""

from typing import Annotated, Any

from pydantic import Field

from .base import ApiModel, ObjectName, map_by
from .core import LocalRef, Resources, Toleration, TopologySpreadConstraint

PRESERVE: dict[str, Any] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
"""A Kubernetes type that is passed on as it is; the API server checks it when the pods are made."""


class Pods(ApiModel):
    """The pods of both endpoints; the types are those of core/v1."""

    image: Annotated[str, Field(min_length=1, max_length=512, pattern=r"^\S+$")] | None = None
    """The pooler's image; the release's own if not set."""
    image_pull_secrets: Annotated[
        tuple[LocalRef, ...], Field(max_length=16, json_schema_extra=map_by("name"))
    ] = ()
    """Secrets to pull the image with."""
    resources: Resources = Resources(requests={"cpu": "100m", "memory": "64Mi"}, limits={"memory": "256Mi"})
    """CPU and memory of the pooler's container. What is set here replaces the default as a whole."""
    labels: Annotated[dict[str, str], Field(max_length=64)] = Field(default_factory=dict)
    """Labels of the pods, besides the operator's."""
    annotations: Annotated[dict[str, str], Field(max_length=64)] = Field(default_factory=dict)
    """Annotations of the pods, besides the operator's."""
    node_selector: Annotated[dict[str, str], Field(max_length=64)] = Field(default_factory=dict)
    """Labels that a node must have."""
    affinity: Annotated[dict[str, Any], Field(json_schema_extra=PRESERVE)] = Field(default_factory=dict)
    """Which nodes and neighbours the pods want or avoid (core/v1 Affinity)."""
    tolerations: Annotated[
        tuple[Toleration, ...], Field(max_length=64, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    ] = ()
    """Taints that the pods put up with."""
    topology_spread_constraints: Annotated[
        tuple[TopologySpreadConstraint, ...],
        Field(max_length=16, json_schema_extra=map_by("topologyKey", "whenUnsatisfiable")),
    ] = ()
    """How the pods are spread; over nodes and zones if not set."""
    priority_class_name: ObjectName | None = None
    """The pods' PriorityClass."""
