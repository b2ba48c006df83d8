"""Between a PgBudget's status and the pure ledger. Pure."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from pgpool_pooler.contract import ServerIdentity

from ..api import CpuSource, GrantRecord, PgBudget, PgBudgetStatus
from ..budget import Ledger, Plan, Reservation, Size
from ..discovery import Server
from ..status import LedgerFacts, pgbudget_conditions


def ledger_of(budget: PgBudget) -> Ledger:
    """The ledger as the PgBudget has it. One that was never written may be one that was lost, and of one that was
    edited nobody knows what it said: both have to recover."""
    status = budget.status
    edited = bool(status.seal) and status.seal != seal_of(status.connections, status.grants)
    return Ledger(
        connections=status.connections,
        reservations={record.uid: _reservation(record) for record in status.grants},
        recovering=status.recovering or status.observed_generation < 0 or edited,
    )


def seal_of(connections: int, grants: Sequence[GrantRecord]) -> str:
    """A digest of what the rules go by. No secret: it tells of mistakes, not of forgers."""
    entries = sorted(
        [g.uid, g.cap, g.reserved, g.generation, g.detects_dead_clients, g.direct, sorted(g.addresses)]
        for g in grants
    )
    return hashlib.sha256(json.dumps([connections, entries]).encode()).hexdigest()[:16]


def _reservation(record: GrantRecord) -> Reservation:
    said = {name: getattr(record, name) for name in Reservation.__dataclass_fields__}
    return Reservation(**said | {"reserved": max(record.cap, record.reserved)})


def _record(reservation: Reservation) -> GrantRecord:
    return GrantRecord(**{name: getattr(reservation, name) for name in Reservation.__dataclass_fields__})


@dataclass(frozen=True)
class Books:
    """Everything that the next status is made of."""

    budget: PgBudget
    server: Server | None
    """None: it is not to be found now, or no pool names it any more."""
    size: Size
    plan: Plan
    pools: tuple[str, ...]
    identity: ServerIdentity | None
    now: datetime


def next_status(books: Books) -> PgBudgetStatus:
    """The status to commit; equal to the one that is there when nothing has changed."""
    before, size, plan = books.budget.status, books.size, books.plan
    grants = tuple(
        _record(r) for r in sorted(plan.ledger.reservations.values(), key=lambda r: (r.pool, r.pod))
    )
    return before.model_copy(
        update={
            **_said_by_server(books.identity),
            "observed_generation": books.budget.metadata.generation,
            "address": _address(books.server) if books.server else before.address,
            "role": books.server.role.value if books.server else before.role,
            "cpu": Decimal(size.cpu.numerator) / size.cpu.denominator if size.cpu is not None else None,
            "cpu_source": CpuSource(size.cpu_source) if size.cpu_source else None,
            "connections_per_cpu": size.connections_per_cpu,
            "set_by": size.set_by,
            "reserved_connections": size.reserved_connections,
            "connections": plan.ledger.connections,
            "reserved": plan.ledger.reserved,
            "unknown": sum(plan.ledger.reservations[uid].reserved for uid in plan.held),
            "recovering": plan.ledger.recovering,
            "seal": seal_of(plan.ledger.connections, grants),
            "pools": books.pools,
            "grants": grants,
            "conditions": pgbudget_conditions(_facts(books, grants), before.conditions),
        }
    )


def _facts(books: Books, grants: Sequence[GrantRecord]) -> LedgerFacts:
    unknown = books.server is not None and books.size.cpu is None
    return LedgerFacts(
        name=books.budget.metadata.name,
        generation=books.budget.metadata.generation,
        now=books.now,
        connections=books.plan.ledger.connections,
        grants=tuple(grants),
        lowered_to=books.size.connections if books.plan.draining else None,
        cpu_problem=books.server.cpu_problem if unknown and books.server else "",
        recovering=", ".join(books.plan.awaited),
    )


def _said_by_server(identity: ServerIdentity | None) -> dict[str, object]:
    """What an agent read from the server; what was read before stays true until somebody reads again."""
    if identity is None:
        return {}
    return {
        "version": identity.version,
        "max_connections": identity.max_connections,
        "server_reserved_connections": identity.reserved_connections,
        "started_at": identity.started_at,
    }


def _address(server: Server) -> str:
    host = f"[{server.host}]" if ":" in server.host else server.host
    return f"{host}:{server.port}"


def last_size(before: PgBudgetStatus) -> Size:
    """The size of a server that is not to be found now, or that no pool names any more: as it was."""
    return Size(
        connections=before.connections,
        cpu=Fraction(before.cpu) if before.cpu is not None else None,
        cpu_source=before.cpu_source.value if before.cpu_source else "",
        connections_per_cpu=before.connections_per_cpu or 0,
        set_by=before.set_by,
        reserved_connections=before.reserved_connections or 0,
        max_connections=before.max_connections,
        provisional=False,
    )
