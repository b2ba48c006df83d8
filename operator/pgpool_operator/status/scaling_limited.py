"""ScalingLimited: another number of pods is wanted than runs."""

from ..api import ConditionStatus
from .facts import Facts, Verdict

TYPE = "ScalingLimited"


def scaling_limited(facts: Facts) -> Verdict:
    """Which endpoints get fewer pods than they want, and why."""
    messages = [
        f"{endpoint.value} wants {found.wanted} pods, gets {found.fit}"
        + (f": {found.why}" if found.why else "")
        for endpoint, found in facts.endpoints.items()
        if found.fit < found.wanted
    ]
    if messages:
        return Verdict(ConditionStatus.TRUE, "BudgetFloor", "; ".join(messages))
    return Verdict(ConditionStatus.FALSE, "DesiredWithinRange", "as many pods as the spec asks for have room")
