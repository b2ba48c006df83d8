"""DatabaseReachable: the pods log in to every server that they were granted."""

from ..api import ConditionStatus
from ..discovery import NO_PRIMARY
from .facts import Facts, ServerFacts, Verdict
from .problems import REACH_REASONS, merged

TYPE = "DatabaseReachable"

_UNREACHABLE = "Unreachable"
_REFUSALS = tuple(reason for reason in REACH_REASONS if reason != _UNREACHABLE)
"""The server answers, but not as it should: this tells more than that it cannot be used."""


def database_reachable(facts: Facts) -> Verdict:
    """Whether pods and servers come together, and if not, at which step it fails."""
    return (
        _no_primary(facts)
        or _not_a_primary(facts)
        or _reported(facts, *_REFUSALS)
        or _unreachable(facts)
        or _reported(facts, _UNREACHABLE)
        or _not_tried_again(facts)
        or _tried(facts)
    )


def _no_primary(facts: Facts) -> Verdict | None:
    problem = facts.discovery.problem
    if problem is None or problem.reason != NO_PRIMARY:
        return None
    return Verdict(ConditionStatus.FALSE, NO_PRIMARY, problem.message)


def _not_a_primary(facts: Facts) -> Verdict | None:
    """The primary by its label, or by the spec, says of itself that it is a standby."""
    primary = facts.primary
    if primary is None:
        return None
    said = [view.identity.in_recovery for view in facts.views(primary) if view.identity is not None]
    if not said or not all(said):
        return None
    message = (
        f"{primary.name} ({primary.address}) should be the primary, but it is a standby: writes fail there"
    )
    if facts.pool.spec.database.servers:
        message += "; correct the roles in database.servers"
    return Verdict(ConditionStatus.FALSE, "NotPrimary", message)


def _reported(facts: Facts, *reasons: str) -> Verdict | None:
    found = merged(facts, reasons)
    if not found:
        return None
    message = "; ".join(sentence for sentences in found.values() for sentence in sentences)
    return Verdict(ConditionStatus.FALSE, next(iter(found)), message)


def _unreachable(facts: Facts) -> Verdict | None:
    sentences = [said for server in facts.servers if (said := _silence(facts, server))]
    if not sentences:
        return None
    queue = facts.pool.spec.timeouts.queue_seconds
    wait = f"clients wait up to {queue} s" if queue else "clients wait"
    message = f"{'; '.join(sentences)}; {wait}, grants stay"
    return Verdict(ConditionStatus.FALSE, _UNREACHABLE, message)


def _silence(facts: Facts, server: ServerFacts) -> str:
    tried = [view for view in facts.views(server) if view.reachable is not None]
    failed = [view for view in tried if not view.reachable]
    if not failed:
        return ""
    errors = ", ".join(sorted({view.error or "no answer" for view in failed}))
    return f"{server.name} ({server.address}): {errors} (seen by {len(failed)} of {len(tried)} pods)"


def _not_tried_again(facts: Facts) -> Verdict | None:
    """What the pods reported holds until each has tried again: a new password may be wrong as well."""
    before = facts.previous.get(TYPE)
    failed = before is not None and before.status is ConditionStatus.FALSE and before.reason in REACH_REASONS
    views = [view for server in facts.servers for view in facts.views(server)]
    if before is None or not failed or all(view.reachable is not None for view in views):
        return None
    return Verdict(before.status, before.reason, before.message)


def _tried(facts: Facts) -> Verdict:
    views = [view for server in facts.servers for view in facts.views(server)]
    if not any(view.reachable for view in views):
        return Verdict(ConditionStatus.UNKNOWN, "NotTried", "no pod has tried to connect yet")
    return Verdict(
        ConditionStatus.TRUE, "Connected", "the pods are logged in to every server they were granted"
    )
