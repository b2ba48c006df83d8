"""What a run leaves: a moment each second, and the operator's looks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from pgpool_operator.scaling import Limit, Reason

from .scenario import Scenario


@dataclass(frozen=True)
class Moment:
    """The world, once a second."""

    at: float
    clients: int
    rate: float
    """Transactions that ended in the last second."""
    waiting: int
    longest_wait: float
    open: int
    """Backends, as the database counts them."""
    wanted: int
    """Pods, as decided and as far as they fit."""
    ready: int
    caps: Mapping[str, int]
    """The caps that are in force, by pod."""


@dataclass(frozen=True)
class Look:
    """One decision."""

    at: float
    current: int
    """Before: what was decided, as far as it fitted."""
    replicas: int
    """As decided now."""
    fitting: int
    """What of it the budget can feed."""
    reason: Reason
    limit: Limit | None
    saturation: Reason | None
    """Why clients wait for the database, as this look saw it; None: they do not."""
    said: Reason | None
    """Why DatabaseSaturated is True after this look; None: it is not."""
    cpu: float
    """Mean of the poolers' CPU shares that are known."""


@dataclass
class Run:
    """The whole story."""

    scenario: Scenario
    budget: int
    """B."""
    moments: list[Moment] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    grants: list[float] = field(default_factory=list)
    """When a grant was sent."""
    peak: int = 0
    """Of the backends at the database, at any moment."""
    refused: int = 0
    """Connections that no pod took."""

    @property
    def changes(self) -> list[tuple[float, int]]:
        """When the number of pods changed, and to what; the first is the start."""
        found: list[tuple[float, int]] = []
        for look in self.looks:
            if not found or found[-1][1] != look.fitting:
                found.append((look.at, look.fitting))
        return found

    @property
    def turns(self) -> list[float]:
        """When the number of pods changed the other way than the time before."""
        steps = [(at, now - before) for (_, before), (at, now) in pairwise(self.changes)]
        return [at for (_, a), (at, b) in pairwise(steps) if (a > 0) is not (b > 0)]

    @property
    def reasons(self) -> list[tuple[float, Reason]]:
        """When the reason changed, and to what."""
        found: list[tuple[float, Reason]] = []
        for look in self.looks:
            if not found or found[-1][1] is not look.reason:
                found.append((look.at, look.reason))
        return found
