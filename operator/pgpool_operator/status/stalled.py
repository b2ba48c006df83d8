"""Stalled: only a person can go on (kstatus shows it as Failed)."""

from collections.abc import Mapping

from ..api import ConditionStatus
from ..discovery import DATABASE_NOT_FOUND
from . import budget_satisfied, config_valid
from .facts import Facts, Verdict

TYPE = "Stalled"


def stalled(facts: Facts, said: Mapping[str, Verdict]) -> Verdict:
    """From what was said of configuration and budget. A database that is not there yet may still come by itself."""
    config, budget = said[config_valid.TYPE], said[budget_satisfied.TYPE]
    if facts.forbidden:
        return Verdict(ConditionStatus.TRUE, "Forbidden", facts.forbidden)
    if config.status is ConditionStatus.FALSE and config.reason != DATABASE_NOT_FOUND:
        return Verdict(ConditionStatus.TRUE, "InvalidConfig", config.message)
    if budget.reason in ("BudgetTooSmall", "ServerClaimed"):
        return Verdict(ConditionStatus.TRUE, budget.reason, budget.message)
    return Verdict(ConditionStatus.FALSE, "NotStalled", "nothing waits for a person")
