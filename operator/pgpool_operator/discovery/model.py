"""What discovery finds: database servers, and why it may not find them."""

from dataclasses import dataclass
from fractions import Fraction

from ..api import BudgetServer, CpuSource, ServerRole


@dataclass(frozen=True)
class Cpu:
    """A server's CPUs; `amount` None means unknown, and then `problem` says what to do about it."""

    amount: Fraction | None
    source: CpuSource | None
    problem: str = ""


@dataclass(frozen=True)
class Server:
    """One database server that pods may be granted."""

    name: str
    """Of its PgBudget: the pod's name if it was discovered (pod addresses are reused), else host and port."""
    host: str
    """Where pods connect to: the pod's IP, or the host as the user wrote it."""
    port: int
    role: ServerRole
    cpu: Fraction | None
    """CPUs; None while unknown."""
    cpu_source: CpuSource | None
    cpu_problem: str
    """Why `cpu` is unknown and what to do about it; empty if it is known."""
    ref: BudgetServer
    """What its PgBudget's spec.server says."""
    node: str = ""
    """The node that the server's pod runs on; empty outside this cluster."""


@dataclass(frozen=True)
class DiscoveryProblem:
    """Why servers are missing; `reason` is one of the PgPool's conditions: DatabaseNotFound or NoPrimary."""

    reason: str
    message: str


DATABASE_NOT_FOUND = "DatabaseNotFound"
NO_PRIMARY = "NoPrimary"


@dataclass(frozen=True)
class Discovery:
    """The servers of a pool, by name. With a problem, those that were found all the same."""

    servers: tuple[Server, ...]
    problem: DiscoveryProblem | None = None

    @property
    def primary(self) -> Server | None:
        """The server that takes writes; None if none is known to."""
        return next((server for server in self.servers if server.role is ServerRole.PRIMARY), None)
