"""ScalingLimited: another number of pods is wanted than runs."""

from ..api import ConditionStatus
from ..scaling import Limit
from .facts import EndpointFacts, Facts, Verdict

TYPE = "ScalingLimited"


def scaling_limited(facts: Facts) -> Verdict:
    """Which endpoints get another number of pods than they want, and why."""
    return _no_room(facts) or _limited(facts) or _not_known_again(facts) or _within_range()


def _no_room(facts: Facts) -> Verdict | None:
    messages = [
        f"{endpoint.value} wants {found.wanted} pods, gets {found.fit}: {found.why}"
        for endpoint, found in facts.endpoints.items()
        if found.fit < found.wanted and found.why and not found.autoscaled
    ]
    return Verdict(ConditionStatus.TRUE, Limit.BUDGET_FLOOR.value, "; ".join(messages)) if messages else None


def _limited(facts: Facts) -> Verdict | None:
    limits = {
        endpoint: found.said.limit
        for endpoint, found in facts.endpoints.items()
        if found.autoscaled and found.said and found.said.limit
    }
    if not limits:
        return None
    message = "; ".join(
        f"{endpoint.value}: {_sentence(limit, facts.endpoints[endpoint])}"
        for endpoint, limit in limits.items()
    )
    return Verdict(ConditionStatus.TRUE, next(iter(limits.values())).value, message)


def _sentence(limit: Limit, found: EndpointFacts) -> str:
    if limit is Limit.TOO_MANY_REPLICAS:
        maximum = found.outlook.view.maximum if found.outlook else found.fit
        return f"the load asks for more than autoscaling.maxReplicas ({maximum})"
    if limit is Limit.BUDGET_FLOOR:
        return f"the load or autoscaling.minReplicas asks for more pods than fit ({found.fit}): {found.why}"
    return _SENTENCES[limit]


_SENTENCES = {
    Limit.DATABASE_SATURATED: "the poolers are busy, but it is the database that clients wait for",
    Limit.SESSION_MODE: (
        "fewer pods would do, but databases or users in session mode keep their connections until they leave, "
        "and a pod that goes would cut them off; lower autoscaling.maxReplicas to remove pods all the same"
    ),
    Limit.FROZEN: "the database does not answer, so the number of pods stays as it is",
}


def _not_known_again(facts: Facts) -> Verdict | None:
    """An operator that has just begun to look has no other opinion yet."""
    before = facts.previous.get(TYPE)
    unsaid = any(found.autoscaled and found.said is None for found in facts.endpoints.values())
    if before is None or not unsaid or before.reason not in set(Limit):
        return None
    return Verdict(before.status, before.reason, before.message)


def _within_range() -> Verdict:
    return Verdict(ConditionStatus.FALSE, "DesiredWithinRange", "as many pods as are asked for have room")
