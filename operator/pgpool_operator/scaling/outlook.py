"""All that is known, decided and said of the load of one endpoint."""

from dataclasses import dataclass

from .decision import Decision, Limit
from .view import EndpointView, Reason


@dataclass(frozen=True)
class Said:
    """What the status says of an endpoint's load; it holds for a while."""

    saturation: Reason | None = None
    """Why clients wait for the database; None: they do not."""
    reason: Reason | None = None
    """Why the number of pods is what it is; None without autoscaling."""
    limit: Limit | None = None
    """Why it is not what the load asks for."""


@dataclass(frozen=True)
class Outlook:
    """One endpoint, at one look."""

    view: EndpointView
    decision: Decision | None
    """None: the number of pods is somebody else's."""
    said: Said | None
    """None: no load is known yet."""
