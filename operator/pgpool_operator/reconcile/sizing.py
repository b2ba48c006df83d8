"""B of a server, from what its pools ask and what the server said of itself. Pure."""

from collections.abc import Sequence
from fractions import Fraction

from ..api import PgBudget
from ..budget import Ask, Size, size
from .world import PoolFacts


def size_of(server: str, pools: Sequence[PoolFacts], budget: PgBudget | None) -> Size | None:
    """B; None if no pool names the server."""
    asks = []
    last, last_source = _last_cpu(budget)
    for facts in pools:
        found = facts.server(server)
        if found is not None:
            spec = facts.pool.spec.budget
            asks.append(
                Ask(
                    pool=facts.key,
                    cpu=found.cpu if found.cpu is not None else last,
                    cpu_source=found.cpu_source or last_source,
                    connections_per_cpu=spec.connections_per_cpu,
                    reserved_connections=spec.reserved_connections,
                )
            )
    if not asks:
        return None
    if budget is None:
        return size(asks, None)
    status = budget.status
    return size(asks, status.max_connections, status.server_reserved_connections or 0, budget.spec.limit)


def wanted_by(budget: PgBudget) -> int | None:
    """The B that a ledger's own pools asked for when it was written last; None while its CPUs are unknown."""
    status = budget.status
    if status.cpu is None or status.connections_per_cpu is None:
        return None
    ask = Ask(
        pool=status.set_by,
        cpu=Fraction(status.cpu),
        cpu_source=status.cpu_source or "",
        connections_per_cpu=status.connections_per_cpu,
        reserved_connections=status.reserved_connections or 0,
    )
    reserved = status.server_reserved_connections or 0
    return size([ask], status.max_connections, reserved, budget.spec.limit).connections


def _last_cpu(budget: PgBudget | None) -> tuple[Fraction | None, str]:
    """What was known last: CPUs that cannot be told for a moment are no reason to take connections away."""
    if budget is None or budget.status.cpu is None:
        return None, ""
    return Fraction(budget.status.cpu), budget.status.cpu_source or ""
