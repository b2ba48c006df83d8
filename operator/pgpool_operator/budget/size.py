"""How many connections a server's budget has.

B = min(floor(cpu x connectionsPerCpu), max_connections - reserved, limit). The factor's default of 3 is where to
begin: which number a database does best with depends on its transactions and disks, and has to be measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Ask:
    """What one PgPool says about a server it uses."""

    pool: str
    """namespace/name."""
    cpu: Fraction | None
    """CPUs as the pool's settings and discovery give them; None: unknown."""
    cpu_source: str
    connections_per_cpu: int
    reserved_connections: int
    """Of max_connections, for those who do not come through a pool."""


@dataclass(frozen=True)
class Size:
    """A budget and where it comes from."""

    connections: int
    """B; 0 while the CPUs are unknown."""
    cpu: Fraction | None
    cpu_source: str
    connections_per_cpu: int
    set_by: str
    """The pool whose connectionsPerCpu holds."""
    reserved_connections: int
    max_connections: int | None
    provisional: bool
    """max_connections has not been read yet: beyond what pods have, only floors may be granted."""


def size(
    asks: Sequence[Ask], max_connections: int | None, server_reserved: int = 0, limit: int | None = None
) -> Size:
    """B for the pools on one server; where they disagree, the strictest setting holds.

    `server_reserved` is the server's superuser_reserved_connections + reserved_connections; `limit` is the
    ceiling that a DBA set in the PgBudget. Raises ValueError without any ask.
    """
    if not asks:
        raise ValueError("a budget needs at least one pool that asks for it")
    strictest = min(asks, key=lambda ask: ask.connections_per_cpu)
    known = [ask for ask in asks if ask.cpu is not None]
    reserved = max(ask.reserved_connections for ask in asks)
    smallest = min(known, key=lambda ask: ask.cpu or 0) if known else None
    cpu = smallest.cpu if smallest else None
    ceilings = [int(cpu * strictest.connections_per_cpu) if cpu is not None else 0]
    if max_connections is not None:
        ceilings.append(max_connections - server_reserved - reserved)
    if limit is not None:
        ceilings.append(limit)
    return Size(
        connections=max(0, min(ceilings)),
        cpu=cpu,
        cpu_source=smallest.cpu_source if smallest else "",
        connections_per_cpu=strictest.connections_per_cpu,
        set_by=strictest.pool,
        reserved_connections=reserved,
        max_connections=max_connections,
        provisional=max_connections is None,
    )
