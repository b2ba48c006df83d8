"""BudgetSatisfied: every pod has its floor and follows its grant, nothing is held or draining."""

import json
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from ..api import ConditionStatus, CpuSource, GrantRecord, format_cpu
from .facts import Facts, ServerFacts, Verdict
from .problems import GRANT_REFUSED, NO_CLEAR_PASSWORD, merged

TYPE = "BudgetSatisfied"

_TROUBLES = ("ServerClaimed", "ManyServers", "ServerAliased", "CpuUnknown", "LedgerRecovering")
"""What has to be mended before numbers mean anything, the worst first."""

_SOURCES = {
    CpuSource.SPEC: "by the spec",
    CpuSource.CONTAINER_LIMIT: "by container limit",
    CpuSource.CONTAINER_REQUEST: "by container request",
    CpuSource.NODE_ALLOCATABLE: "by the node's allocatable CPU",
}


def budget_satisfied(facts: Facts) -> Verdict:
    """What keeps pods from their connections, if anything."""
    return (
        _trouble(facts)
        or _too_small(facts)
        or _held(facts)
        or _draining(facts)
        or _refused(facts)
        or _stricter(facts)
        or _granted(facts)
    )


def claimed(facts: Facts) -> bool:
    """A server belongs to another namespace, which does not share it."""
    return any(
        server.trouble is not None and server.trouble.reason == "ServerClaimed" for server in facts.servers
    )


def too_small(facts: Facts) -> str:
    """Why not even one pod of an endpoint fits; empty if one does, or as long as nobody can know."""
    if any(server.connections is None or server.trouble is not None for server in facts.servers):
        return ""
    reasons = {
        found.why for found in facts.endpoints.values() if found.wanted > 0 and found.fit == 0 and found.why
    }
    return "; ".join(sorted(reasons))


def _trouble(facts: Facts) -> Verdict | None:
    found = [server.trouble for server in facts.servers if server.trouble is not None]
    for reason in _TROUBLES:
        messages = [trouble.message for trouble in found if trouble.reason == reason]
        if messages:
            return Verdict(ConditionStatus.FALSE, reason, "; ".join(messages))
    return None


def _too_small(facts: Facts) -> Verdict | None:
    why = too_small(facts)
    return Verdict(ConditionStatus.FALSE, "BudgetTooSmall", why) if why else None


def _held(facts: Facts) -> Verdict | None:
    messages = [
        held_message(server.name, server.namespace, server.held, server.connections, server.released)
        for server in facts.servers
        if server.held
    ]
    return Verdict(ConditionStatus.FALSE, "BudgetHeld", "; ".join(messages)) if messages else None


def held_message(
    budget: str,
    namespace: str,
    held: Sequence[GrantRecord],
    connections: int | None,
    released: Sequence[str],
) -> str:
    """Who holds how much of a PgBudget in a namespace, and the ways to have it back.

    A merge patch replaces the whole list: the command names all of them, and who was `released` before.
    """
    pods = {_name_in(namespace, grant): grant for grant in held}
    sentences = [_holds(pod, grant, f"{connections} on {budget}") for pod, grant in pods.items()]
    release = json.dumps({"spec": {"release": sorted({*released, *pods})}}, separators=(",", ":"))
    return (
        f"{'; '.join(sentences)}; {_freed(held)} by: "
        f"kubectl -n {namespace} patch pgbudget {budget} --type=merge -p '{release}'"
    )


def _holds(pod: str, grant: GrantRecord, budget: str) -> str:
    if grant.backends:
        seen = "1 backend" if grant.backends == 1 else f"{grant.backends} backends"
        return (
            f"{pod} (node {_node(grant)}) has ended and holds {grant.reserved} of {budget}: PostgreSQL still has "
            f"{seen} from its address ({', '.join(grant.addresses)})"
        )
    blind = "" if _noticed(grant) else ", where PostgreSQL does not notice that a client has vanished"
    return f"{pod} (node {_node(grant)}) is not proven gone and may still hold {grant.reserved} of {budget}{blind}"


def _freed(held: Sequence[GrantRecord]) -> str:
    """When that is without a person, and else what a person has to see first."""
    if all(grant.backends for grant in held):
        return "freed when there are none any more, or"
    noticed = [grant for grant in held if _noticed(grant) and not grant.backends]
    if not noticed:
        whose = "it has ended and has" if len(held) == 1 else "they have ended and have"
        return f"once {whose} no backend in pg_stat_activity, to be freed"
    nodes = {_node(grant) for grant in noticed}
    node = f"Node {nodes.pop()}" if len(nodes) == 1 else "their Node"
    ended = "it ended" if len(held) == 1 else "them ended"
    return f"freed when the kubelet reports {ended}, {node} is tainted out-of-service, or"


def _noticed(grant: GrantRecord) -> bool:
    """Whether PostgreSQL notices within seconds that the pod is gone; its own word counts, if there is one."""
    said = grant.detects_dead_clients
    return grant.assumed_to_detect if said is None else said


def _node(grant: GrantRecord) -> str:
    return grant.node or "unknown"


def _name_in(namespace: str, grant: GrantRecord) -> str:
    """The pod's, as `spec.release` of a PgBudget in the namespace takes it."""
    where = grant.namespace_in(namespace)
    return grant.pod if where == namespace else f"{where}/{grant.pod}"


def _draining(facts: Facts) -> Verdict | None:
    names = [server.name for server in facts.servers if server.lowering]
    if not names:
        return None
    message = f"{', '.join(names)}: the budget was lowered, pods give connections back as transactions end"
    return Verdict(ConditionStatus.FALSE, "BudgetDraining", message)


def _refused(facts: Facts) -> Verdict | None:
    found = merged(facts, [GRANT_REFUSED]).get(GRANT_REFUSED, [])
    if not found:
        return None
    message = f"{'; '.join(found)}; the operator replaces such a grant: if this stays, see its log"
    return Verdict(ConditionStatus.FALSE, GRANT_REFUSED, message)


def _stricter(facts: Facts) -> Verdict | None:
    messages = [
        f"{server.name} is shared with {server.set_by}, whose connectionsPerCpu {server.connections_per_cpu} "
        f"holds: {server.connections}"
        for server in facts.servers
        if server.set_by
    ]
    return Verdict(ConditionStatus.TRUE, "StricterPool", "; ".join(messages)) if messages else None


def _granted(facts: Facts) -> Verdict:
    sized = [_size(server) for server in facts.servers if server.connections is not None]
    if not sized:
        return Verdict(ConditionStatus.UNKNOWN, "NotTried", "no server has a budget yet")
    limits = merged(facts, [NO_CLEAR_PASSWORD]).get(NO_CLEAR_PASSWORD, [])
    return Verdict(ConditionStatus.TRUE, "Granted", "; ".join([*sized, *map(_floors_only, limits)]))


def _floors_only(why: str) -> str:
    return f"{why}; until then each pod gets one connection for each database"


def _size(server: ServerFacts) -> str:
    cpu, source = server.server.cpu, server.server.cpu_source
    if cpu is None or source is None:
        return f"{server.name}: {server.connections} connections"
    cpus = format_cpu(Decimal(cpu.numerator) / cpu.denominator)
    formula = f"{cpus} CPU {_SOURCES[source]} x {server.connections_per_cpu}"
    return f"{server.name}: {server.connections} connections ({_ceiling(server, cpu)}{formula})"


def _ceiling(server: ServerFacts, cpu: Fraction) -> str:
    """What gives less than the CPUs would."""
    connections, per_cpu = server.connections or 0, server.connections_per_cpu or 0
    if connections >= int(cpu * per_cpu):
        return ""
    ceiling = "limit of the PgBudget" if connections == server.limit else "what max_connections leaves"
    return f"{ceiling}, less than "
