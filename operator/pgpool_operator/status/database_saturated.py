"""DatabaseSaturated: clients wait for the database, not for poolers."""

from pgpool_pooler.contract import Endpoint

from ..api import ConditionStatus
from ..scaling import Reason, meaning
from .facts import Facts, Verdict

TYPE = "DatabaseSaturated"


def database_saturated(facts: Facts) -> Verdict:
    """Whether more poolers could not help, and why; what was said before holds until a load is known again."""
    known = {e: found.said for e, found in facts.endpoints.items() if found.said is not None}
    if not known:
        return _unknown(facts)
    reasons = {e: said.saturation for e, said in known.items() if said.saturation is not None}
    if reasons:
        return _saturated(reasons)
    return Verdict(ConditionStatus.FALSE, "HasRoom", "clients do not wait for the database")


def _saturated(reasons: dict[Endpoint, Reason]) -> Verdict:
    message = "; ".join(f"{endpoint.value}: {meaning(reason)}" for endpoint, reason in reasons.items())
    return Verdict(ConditionStatus.TRUE, next(iter(reasons.values())).value, message)


def _unknown(facts: Facts) -> Verdict:
    before = facts.previous.get(TYPE)
    if before is not None and facts.states:
        return Verdict(before.status, before.reason, before.message)
    return Verdict(ConditionStatus.UNKNOWN, "NoSignal", "no pod's load is known yet")
