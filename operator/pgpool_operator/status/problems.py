"""What pods report, told once: the same problem of several pods is one sentence."""

from collections.abc import Iterable

from .facts import Facts

CONFIG_REASONS = ("SecretInvalid", "CertificateInvalid", "EngineRejected")
"""Reasons of ConfigValid that pods find."""

REACH_REASONS = ("NotPrimary", "TLSFailed", "LoginFailed", "Unreachable")
"""Reasons of DatabaseReachable that pods find, the most telling first."""

NO_CLEAR_PASSWORD = "NoClearPassword"
"""The pods cannot ask the server for max_connections: a limit of the budget, nothing that is wrong."""

GRANT_REFUSED = "GrantRefused"
"""A pod does not follow the grant on it: it is older, altered or not readable. A matter of the budget."""

_KNOWN = frozenset({*CONFIG_REASONS, *REACH_REASONS, NO_CLEAR_PASSWORD, GRANT_REFUSED})


def other_problems(facts: Facts) -> str:
    """What is neither the spec's nor the database's fault (an engine that fails), or empty."""
    others = {problem.reason for _, problem in facts.problems} - _KNOWN
    return "; ".join(said for sentences in merged(facts, sorted(others)).values() for said in sentences)


def merged(facts: Facts, reasons: Iterable[str]) -> dict[str, list[str]]:
    """Sentences by reason, for those of `reasons` that some pod reports, in their order."""
    seen: dict[tuple[str, str, str], set[str]] = {}
    for pod, problem in facts.problems:
        seen.setdefault((problem.reason, problem.field, problem.text), set()).add(pod)
    sentences: dict[str, list[str]] = {}
    for (reason, field, text), pods in sorted(seen.items()):
        where = f"{field}: " if field else ""
        said = f"{where}{text} (seen by {len(pods)} of {len(facts.states)} pods)"
        sentences.setdefault(reason, []).append(said)
    return {reason: sentences[reason] for reason in reasons if reason in sentences}
