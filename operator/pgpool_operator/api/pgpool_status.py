"""What the operator says about a PgPool. No live counts (those are metrics): a quiet pool writes nothing."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from .base import ApiModel, map_by
from .core import Condition


class EndpointStatus(ApiModel):
    """The pods of one endpoint."""

    replicas: int = 0
    """Pods that run."""
    ready_replicas: int = 0
    """Pods that serve."""
    desired_replicas: int = 0
    """Pods that shall run: what was asked for, as far as the budget has room."""
    selector: str = ""
    """The labels of the pods, for the scale subresource."""
    service: str = ""
    """Where clients connect: <service>.<namespace>.svc:<port>."""
    last_scale_time: datetime | None = None
    """When autoscaling changed the number of pods last."""
    scaling_reason: Annotated[str, Field(exclude_if=lambda reason: not reason)] = ""
    """Why autoscaling wants this number of pods, in one word, e.g. PoolerBusy; empty without autoscaling."""


class ServerStatus(ApiModel):
    """One database server of the pool."""

    name: str
    """Instance or host:port."""
    role: str
    """primary or replica."""
    address: str
    """Host and port that pods connect to."""
    budget: str
    """The server's PgBudget."""
    connections: int
    """The server's budget B, for all pools on it."""
    granted: int
    """Connections reserved there for this pool."""


class Summary(ApiModel):
    """Text for kubectl's columns; not an interface."""

    write: str = ""
    """Ready and desired pods of the write endpoint."""
    read: str = ""
    """Ready and desired pods of the read endpoint."""
    budget: str = ""
    """Connections reserved by this pool, and the budget, on the primary."""
    endpoint: str = ""
    """Where clients connect."""


class PgPoolStatus(ApiModel):
    """What the operator says."""

    observed_generation: int = -1
    """The metadata.generation that this status was written for; -1 before the first look."""
    conditions: Annotated[tuple[Condition, ...], Field(json_schema_extra=map_by("type"))] = ()
    """Ready, Reconciling, Stalled, ConfigValid, DatabaseReachable, BudgetSatisfied, DatabaseSaturated and
    ScalingLimited."""
    write: EndpointStatus | None = None
    """The endpoint to the primary."""
    read: EndpointStatus | None = None
    """The endpoint to the replicas."""
    servers: Annotated[tuple[ServerStatus, ...], Field(json_schema_extra=map_by("name"))] = ()
    """The database servers of the pool."""
    config_hash: str = ""
    """Hash of the configuration that the pods shall have."""
    summary: Summary | None = None
    """Text for kubectl's columns; not an interface."""
