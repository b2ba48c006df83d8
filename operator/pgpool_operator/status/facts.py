"""What the status is said of: everything observed and decided about one PgPool, in one immutable value."""

from dataclasses import dataclass, replace
from datetime import datetime

from pgpool_pooler.contract import Endpoint, Problem, ServerState, State

from ..api import Condition, ConditionStatus, EndpointStatus, GrantRecord, GrantState, PgBudget, PgPool
from ..discovery import Discovery, Server
from ..scaling import Outlook, Said


@dataclass(frozen=True)
class Verdict:
    """What is said of one condition; `reason` is one of the API's words, `message` holds no moving numbers."""

    status: ConditionStatus
    reason: str
    message: str


@dataclass(frozen=True)
class EndpointFacts:
    """The pods of one endpoint, as its Deployment counts them."""

    wanted: int
    """What the spec or autoscaling asks for."""
    fit: int
    """What there is room for."""
    why: str
    """Why no more fit; empty while the budget is unknown."""
    pods: int = 0
    ready: int = 0
    updated: int = 0
    """Those of the newest pod template."""
    observed: bool = False
    """The Deployment is there and its controller has seen its newest spec, so the counts are of that."""
    outlook: Outlook | None = None
    """What its pods' load comes to."""

    @property
    def autoscaled(self) -> bool:
        """The operator decides on the number of pods."""
        return self.outlook is not None and self.outlook.decision is not None

    @property
    def said(self) -> Said | None:
        """What is said of its load; None: it is not known yet."""
        return self.outlook.said if self.outlook is not None else None

    @property
    def rolling_out(self) -> bool:
        """Pods of an older template are there, or the Deployment's controller has yet to look for them."""
        return self.updated < self.pods or (not self.observed and self.pods == self.fit)

    @property
    def scaling(self) -> bool:
        """Another number of pods is there, or ready, than shall be."""
        return self.pods != self.fit or self.ready != self.fit


@dataclass(frozen=True)
class Trouble:
    """Why a server's grants do not grow; `reason` is one of BudgetSatisfied's."""

    reason: str
    message: str


@dataclass(frozen=True)
class ServerFacts:
    """One database server of the pool, and what its ledger says."""

    server: Server
    namespace: str = ""
    """Of its PgBudget; empty before there is one."""
    connections: int | None = None
    """The budget B; None before there is one."""
    connections_per_cpu: int | None = None
    limit: int | None = None
    """The PgBudget's ceiling."""
    released: tuple[str, ...] = ()
    """Pods that a person has declared dead."""
    grants: tuple[GrantRecord, ...] = ()
    """Those of this pool."""
    trouble: Trouble | None = None
    lowering: bool = False
    """B was lowered and grants still reserve more."""
    set_by: str = ""
    """The pool whose connectionsPerCpu holds, if it is another one."""

    @property
    def name(self) -> str:
        """The server's, and its PgBudget's."""
        return self.server.name

    @property
    def address(self) -> str:
        """Host and port that pods connect to; IPv6 in brackets."""
        host = f"[{self.server.host}]" if ":" in self.server.host else self.server.host
        return f"{host}:{self.server.port}"

    @property
    def granted(self) -> int:
        """Connections that are reserved for this pool."""
        return sum(grant.reserved for grant in self.grants)

    @property
    def held(self) -> tuple[GrantRecord, ...]:
        """Grants of pods that are silent and not proven dead."""
        return tuple(grant for grant in self.grants if grant.state is GrantState.UNKNOWN)

    @property
    def moving(self) -> bool:
        """Connections go from one pod to another, or to a new one."""
        return any(grant.state not in (GrantState.ACTIVE, GrantState.UNKNOWN) for grant in self.grants)


@dataclass(frozen=True)
class Facts:
    """One PgPool, now."""

    pool: PgPool
    now: datetime
    discovery: Discovery
    servers: tuple[ServerFacts, ...]
    states: tuple[State, ...]
    """The last word of each of the pool's pods that was heard."""
    config_hash: str
    """What the pods shall have accepted."""
    write: EndpointFacts | None = None
    read: EndpointFacts | None = None
    """None: not in the spec."""
    switching: str = ""
    """The server that pods are being moved to because it has become the primary; empty if none is."""
    forbidden: str = ""
    """Why the operator may not do what the spec asks, and what a person can do; empty if it may."""

    @property
    def generation(self) -> int:
        """Of the spec that was looked at."""
        return self.pool.metadata.generation

    @property
    def key(self) -> str:
        """namespace/name, as ledgers have it."""
        return f"{self.pool.metadata.namespace}/{self.pool.metadata.name}"

    @property
    def endpoints(self) -> dict[Endpoint, EndpointFacts]:
        """Those of the spec."""
        both = {Endpoint.WRITE: self.write, Endpoint.READ: self.read}
        return {endpoint: found for endpoint, found in both.items() if found is not None}

    def before(self, endpoint: Endpoint) -> EndpointStatus | None:
        """What was said of an endpoint before."""
        status = self.pool.status
        return status.write if endpoint is Endpoint.WRITE else status.read

    @property
    def primary(self) -> ServerFacts | None:
        """The server that takes writes."""
        primary = self.discovery.primary
        return next((found for found in self.servers if found.server == primary), None)

    @property
    def previous(self) -> dict[str, Condition]:
        """What was said before, by type."""
        return {condition.type: condition for condition in self.pool.status.conditions}

    @property
    def problems(self) -> list[tuple[str, Problem]]:
        """What the pods report, each with the pod's name."""
        return [(state.pod, problem) for state in self.states for problem in state.problems]

    def views(self, server: ServerFacts) -> list[ServerState]:
        """How the pods that were granted a server see it."""
        host, port = server.server.host, server.server.port
        return [
            view for state in self.states for view in state.servers if (view.host, view.port) == (host, port)
        ]


_LEDGER_TROUBLE = frozenset({"LedgerRecovering", "ServerAliased", "ManyServers"})


def server_facts(pool: PgPool, server: Server, budget: PgBudget | None, claimed_by: str = "") -> ServerFacts:
    """A server as its PgBudget says; `claimed_by` names the PgBudget of another namespace that it belongs to."""
    namespace, key = pool.metadata.namespace, f"{pool.metadata.namespace}/{pool.metadata.name}"
    if claimed_by:
        facts = ServerFacts(server)
        message = (
            f"{facts.address} belongs to PgBudget {claimed_by}: its owner adds {namespace} to "
            "allowedNamespaces"
        )
        return replace(facts, trouble=Trouble("ServerClaimed", message))
    unknown = Trouble("CpuUnknown", server.cpu_problem) if server.cpu is None else None
    if budget is None:
        return ServerFacts(server, trouble=unknown)
    status = budget.status
    said = {condition.type: condition for condition in status.conditions}
    ready, draining = said.get("Ready"), said.get("Draining")
    troubled = Trouble(ready.reason, ready.message) if ready and ready.reason in _LEDGER_TROUBLE else None
    return ServerFacts(
        server,
        namespace=budget.metadata.namespace,
        connections=status.connections if status.cpu is not None else None,
        connections_per_cpu=status.connections_per_cpu,
        limit=budget.spec.limit,
        released=budget.spec.release,
        grants=tuple(grant for grant in status.grants if grant.pool == key),
        trouble=troubled or unknown,
        lowering=draining is not None and draining.status is ConditionStatus.TRUE,
        set_by=status.set_by if status.set_by != key else "",
    )
