"""ConfigValid: references hold, every engine accepted and reads back the configuration."""

from ..api import ConditionStatus
from ..discovery import DATABASE_NOT_FOUND
from .facts import Facts, Verdict
from .problems import CONFIG_REASONS, merged

TYPE = "ConfigValid"


def config_valid(facts: Facts) -> Verdict:
    """What a person must mend in the spec or in what it names, if anything."""
    return _no_database(facts) or _reported(facts) or _accepted(facts) or _not_heard(facts)


def _no_database(facts: Facts) -> Verdict | None:
    problem = facts.discovery.problem
    if problem is None or problem.reason != DATABASE_NOT_FOUND:
        return None
    return Verdict(ConditionStatus.FALSE, DATABASE_NOT_FOUND, problem.message)


def _reported(facts: Facts) -> Verdict | None:
    found = merged(facts, CONFIG_REASONS)
    if not found:
        return None
    message = "; ".join(sentence for sentences in found.values() for sentence in sentences)
    if any(state.config_hash not in ("", facts.config_hash) for state in facts.states):
        message += f"; generation {facts.generation} is not applied, the last accepted one serves on"
    return Verdict(ConditionStatus.FALSE, next(iter(found)), message)


def _accepted(facts: Facts) -> Verdict | None:
    """Once accepted a generation stays so: the hash also changes when a pod comes or goes (peers)."""
    before = facts.previous.get(TYPE)
    known = (
        before is not None
        and before.status is ConditionStatus.TRUE
        and before.observed_generation == facts.generation
    )
    if not known and not all_accepted(facts):
        return None
    return Verdict(ConditionStatus.TRUE, "Accepted", "every pod's engine runs with this configuration")


def _not_heard(_: Facts) -> Verdict:
    message = "no answer yet from every pod: whether the engines accept this configuration is not known"
    return Verdict(ConditionStatus.UNKNOWN, "NotTried", message)


def all_accepted(facts: Facts) -> bool:
    """Every pod that was heard, and there are some, runs with the newest configuration."""
    return bool(facts.states) and all(state.config_hash == facts.config_hash for state in facts.states)
