"""The three conditions of a PgBudget."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ..api import Condition, ConditionStatus, GrantRecord, GrantState
from .budget_satisfied import held_message
from .conditions import condition
from .facts import Verdict


@dataclass(frozen=True)
class LedgerFacts:
    """One ledger as it is about to be written, and what keeps it from growing."""

    name: str
    """Of the PgBudget."""
    namespace: str
    """Where that is."""
    server: str
    """What its users call the server: its pod, or host and port."""
    generation: int
    now: datetime
    connections: int
    """The budget B."""
    grants: tuple[GrantRecord, ...]
    released: tuple[str, ...] = ()
    """Pods that a person has declared dead."""
    moving: bool = False
    """Some pod does not have yet what it shall have."""
    lowered_to: int | None = None
    """The B that is aimed for, while grants reserve more than it."""
    cpu_problem: str = ""
    """Why the server's CPUs are unknown; empty if they are known."""
    recovering: str = ""
    """Which pods must be heard or proven dead before anything grows; empty if none."""
    alias_of: str = ""
    """Other names of the same server; empty if there are none."""
    claimed_by: str = ""
    """The PgBudget (namespace/name) that owns the server; empty if this one does."""
    answers_as: int = 1
    """How many servers answer at the address."""


def pgbudget_conditions(facts: LedgerFacts, previous: Sequence[Condition]) -> tuple[Condition, ...]:
    """Ready, Draining and Held."""
    before = {said.type: said for said in previous}
    verdicts = {"Ready": _ready(facts), "Draining": _draining(facts), "Held": _held(facts)}
    return tuple(
        condition(name, verdict, facts.generation, facts.now, before.get(name))
        for name, verdict in verdicts.items()
    )


def _ready(facts: LedgerFacts) -> Verdict:
    return _trouble(facts) or _in_use(facts)


def _trouble(facts: LedgerFacts) -> Verdict | None:
    """What freezes growth, the first to be mended first."""
    if facts.claimed_by:
        message = (
            f"{facts.server} belongs to PgBudget {facts.claimed_by}, which is older: set limit and "
            "allowedNamespaces there and delete this one"
        )
        return _no("ServerClaimed", message)
    if facts.answers_as > 1:
        return _no(
            "ManyServers",
            f"{facts.server} answers as {facts.answers_as} servers: list each one, a budget belongs to one "
            "server",
        )
    if facts.alias_of:
        return _no("ServerAliased", f"{facts.server} and {facts.alias_of} are one server: use one name")
    if facts.cpu_problem:
        return _no("CpuUnknown", facts.cpu_problem)
    if facts.recovering:
        return _no(
            "LedgerRecovering", f"nothing grows until these pods are heard or gone: {facts.recovering}"
        )
    return None


def _in_use(facts: LedgerFacts) -> Verdict:
    held = _held(facts)
    if held.status is ConditionStatus.TRUE:
        return _yes("BudgetHeld", held.message)
    if facts.moving:
        return _yes("Moving", "connections move between pods")
    return _yes("InUse", f"{facts.connections} connections to be shared")


def _draining(facts: LedgerFacts) -> Verdict:
    if facts.lowered_to is None:
        return _no("Settled", "grants reserve no more than the budget")
    message = f"the budget goes to {facts.lowered_to}: pods give connections back as transactions end"
    return _yes("BudgetLowered", message)


def _held(facts: LedgerFacts) -> Verdict:
    held = [grant for grant in facts.grants if grant.state is GrantState.UNKNOWN]
    if not held:
        return _no("NothingHeld", "every pod with a grant is heard or proven dead")
    message = held_message(facts.name, facts.namespace, held, facts.connections, facts.released)
    return _yes("UnknownPods", message)


def _no(reason: str, message: str) -> Verdict:
    return Verdict(ConditionStatus.FALSE, reason, message)


def _yes(reason: str, message: str) -> Verdict:
    return Verdict(ConditionStatus.TRUE, reason, message)
