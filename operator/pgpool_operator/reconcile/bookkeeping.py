"""Between a PgBudget's status and the pure ledger. Pure."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from pgpool_pooler.contract import ServerIdentity

from ..api import CpuSource, GrantRecord, PgBudget, PgBudgetStatus, SeenServer
from ..budget import Answers, Identity, Ledger, Plan, Reservation, Size
from ..discovery import Server
from ..status import LedgerFacts, pgbudget_conditions


def with_given_up(budget: PgBudget, younger: Iterable[PgBudget]) -> dict[str, GrantRecord]:
    """A ledger's reservations by pod, with those of younger ledgers of its server: they are its own to count."""
    found = {record.uid: record for record in budget.status.grants}
    for record in (record for ledger in younger for record in ledger.status.grants):
        mine = found.get(record.uid, record)
        said = record.detects_dead_clients if mine.detects_dead_clients is None else mine.detects_dead_clients
        both = {
            "reserved": max(mine.reserved, record.reserved),
            "detects_dead_clients": said,
            "overdue": mine.overdue or record.overdue,
        }
        found[record.uid] = mine.model_copy(update=both)
    return found


def ledger_of(budget: PgBudget, records: Mapping[str, GrantRecord] | None = None) -> Ledger:
    """The ledger as the PgBudget has it, or with these reservations. One that was never written may be one that
    was lost, and of one that was edited nobody knows what it said: both have to recover."""
    status = budget.status
    if records is None:
        records = with_given_up(budget, ())
    edited = bool(status.seal) and status.seal != seal_of(status.connections, status.grants)
    return Ledger(
        connections=status.connections,
        reservations={uid: _reservation(record) for uid, record in records.items()},
        freed=frozenset(status.freed),
        recovering=status.recovering or status.observed_generation < 0 or edited,
    )


def seal_of(connections: int, grants: Sequence[GrantRecord]) -> str:
    """A digest of what the rules go by. No secret: it tells of mistakes, not of forgers."""
    entries = sorted(
        [g.uid, g.cap, g.reserved, g.generation, _detection(g), g.direct, sorted(g.addresses)] for g in grants
    )
    return hashlib.sha256(json.dumps([connections, entries]).encode()).hexdigest()[:16]


def _detection(record: GrantRecord) -> bool | str | None:
    """Whether the server notices the pod's death; an assumption is told from the pod's word."""
    return "assumed" if record.assumed_to_detect else record.detects_dead_clients


def _reservation(record: GrantRecord) -> Reservation:
    said = {name: getattr(record, name) for name in Reservation.__dataclass_fields__}
    return Reservation(**said | {"reserved": max(record.cap, record.reserved)})


def _record(reservation: Reservation) -> GrantRecord:
    return GrantRecord(**{name: getattr(reservation, name) for name in Reservation.__dataclass_fields__})


@dataclass(frozen=True)
class Kin:
    """What is known of a ledger's server beside other servers and other ledgers."""

    servers: tuple[Identity, ...] = ()
    """Who answers at the address."""
    answers: Answers = field(default_factory=Answers)
    aliases: tuple[PgBudget, ...] = ()
    """Other ledgers of the server, which have it by other names."""
    most: int | None = None
    """The most that the ledger may reserve beside those; None: all of its B."""
    frozen: bool = False
    """Nobody may get more than it has, or than its floor."""


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
    reached: bool
    """A pod has had clients served by the server, or may have."""
    kin: Kin
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
            "reached": books.reached,
            "address": _address(books.server.host, books.server.port) if books.server else before.address,
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
            "freed": tuple(sorted(plan.ledger.freed)),
            "seal": seal_of(plan.ledger.connections, grants),
            "pools": books.pools,
            "servers": tuple(SeenServer(**vars(server)) for server in books.kin.servers),
            "aliases": tuple(f"{a.metadata.namespace}/{a.metadata.name}" for a in books.kin.aliases),
            "grants": grants,
            "conditions": pgbudget_conditions(_facts(books, grants), before.conditions),
        }
    )


def _facts(books: Books, grants: Sequence[GrantRecord]) -> LedgerFacts:
    unknown = books.server is not None and books.size.cpu is None
    return LedgerFacts(
        name=books.budget.metadata.name,
        namespace=books.budget.metadata.namespace,
        server=_called(books.budget),
        generation=books.budget.metadata.generation,
        now=books.now,
        connections=books.plan.ledger.connections,
        grants=tuple(grants),
        released=books.budget.spec.release,
        moving=books.plan.moving,
        lowered_to=books.size.connections if books.plan.draining else None,
        cpu_problem=books.server.cpu_problem if unknown and books.server else "",
        recovering=", ".join(books.plan.awaited),
        alias_of=" and ".join(_called_from(alias, books.budget) for alias in books.kin.aliases),
        answers_as=len(books.kin.answers.servers) if books.kin.answers.said else 1,
    )


def status_without_server(budget: PgBudget, owner: PgBudget, left: Ledger, now: datetime) -> PgBudgetStatus:
    """Of a ledger whose server belongs to an older one: what it has not handed over yet, and why it grants none."""
    before = budget.status
    grants = tuple(_record(reservation) for reservation in left.reservations.values())
    facts = LedgerFacts(
        name=budget.metadata.name,
        namespace=budget.metadata.namespace,
        server=_called(budget),
        generation=budget.metadata.generation,
        now=now,
        connections=left.connections,
        grants=grants,
        released=budget.spec.release,
        claimed_by=f"{owner.metadata.namespace}/{owner.metadata.name}",
    )
    return before.model_copy(
        update={
            "observed_generation": budget.metadata.generation,
            "connections": left.connections,
            "reserved": left.reserved,
            "unknown": 0,
            "recovering": left.recovering,
            "freed": (),
            "seal": seal_of(left.connections, grants),
            "pools": (),
            "servers": (),
            "aliases": (),
            "grants": grants,
            "conditions": pgbudget_conditions(facts, before.conditions),
        }
    )


def _called(budget: PgBudget) -> str:
    """A ledger's server as its users call it: by host and port, or by the name of its pod."""
    server = budget.spec.server
    return _address(server.host, server.port) if server.host is not None else str(server.instance)


def _called_from(budget: PgBudget, other: PgBudget) -> str:
    """A ledger's server, as one calls it in the namespace of another ledger."""
    where = budget.metadata.namespace
    return _called(budget) if where == other.metadata.namespace else f"{_called(budget)} (in {where})"


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


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


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
