"""The two endpoints of a PgPool: how many pods, and the Service in front of them."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from .autoscaling import Autoscaling, WriteAutoscaling
from .base import ApiModel, Port, rules


class Service(ApiModel):
    """The Service in front of an endpoint."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    """ClusterIP, NodePort or LoadBalancer."""
    port: Port = 5432
    """The port that clients connect to."""
    annotations: Annotated[dict[str, str], Field(max_length=32)] = Field(default_factory=dict)
    """Annotations of the Service."""


Replicas = Annotated[int, Field(ge=0, le=64)]


class Write(ApiModel):
    """The endpoint to the primary: Deployment and Service <name>-rw."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.autoscaling) || !has(oldSelf.autoscaling) || self.replicas == oldSelf.replicas",
                "autoscaling is on, so the operator sets the number of pods; remove autoscaling to set replicas "
                "by hand or to let an HPA or KEDA do it",
            )
        )
    )

    replicas: Replicas = 2
    """Pods; the scale subresource. Fewer run where the budget has no room. Not used, and locked, while
    autoscaling is there."""
    autoscaling: WriteAutoscaling | None = None
    """The operator sets the number of pods, not replicas. Off if not set."""
    service: Service = Service()
    """The Service <name>-rw."""


class Read(ApiModel):
    """The endpoint to the replicas: Deployment and Service <name>-ro, each pod to one replica."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.replicas) || !has(self.autoscaling)",
                "set replicas or autoscaling, not both",
            )
        )
    )

    replicas: Replicas | None = None
    """Pods; one for each replica server, at least 2, if not set. Not together with autoscaling."""
    autoscaling: Autoscaling | None = None
    """The operator sets the number of pods. Off if not set."""
    target_session_attrs: Literal["prefer-standby", "standby", "any"] = "prefer-standby"
    """libpq's prefer-standby (the primary only without replicas), standby or any."""
    service: Service = Service()
    """The Service <name>-ro."""
