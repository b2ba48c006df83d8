"""What is worth an event: a condition whose reason has changed. Events may hold numbers, conditions may not."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from ..api import Condition, ConditionStatus
from ..scaling import Reason, explained
from . import (
    budget_satisfied,
    config_valid,
    database_reachable,
    database_saturated,
    ready,
    reconciling,
    scaling_limited,
    stalled,
)
from .facts import EndpointFacts, Facts
from .pgpool import counts, scaled

Kind = Literal["Normal", "Warning"]


@dataclass(frozen=True)
class Event:
    """One event about a PgPool or a PgBudget."""

    kind: Kind
    reason: str
    message: str


_PROGRESS = ("Serving", "Scaling", "RollingOut", "Starting")
_EXPECTED = ("Paused", "BudgetDraining", "Granted", "StricterPool", *_PROGRESS)
"""Reasons that are no cause for alarm."""

_NAMES = {config_valid.TYPE: "InvalidConfig", database_reachable.TYPE: "DatabaseUnreachable"}
"""What goes wrong by condition, where its reasons are only kinds of it."""


def events(facts: Facts, after: Iterable[Condition]) -> tuple[Event, ...]:
    """Events for what changed from the status in `facts` to the conditions `after`."""
    found = (_event(facts, facts.previous.get(condition.type), condition) for condition in after)
    return (*_scalings(facts), *(event for event in found if event is not None))


def _scalings(facts: Facts) -> Iterator[Event]:
    for endpoint, found in facts.endpoints.items():
        before = facts.before(endpoint)
        if before is not None and found.outlook is not None and scaled(before, found):
            up = found.fit > before.desired_replicas
            message = f"{endpoint.value} {before.desired_replicas} -> {found.fit} pods: {_why(found, up=up)}"
            yield Event("Normal", "ScalingUp" if up else "ScalingDown", message)


_GROWING, _SHRINKING = {Reason.POOLER_BUSY, Reason.CLIENT_LIMIT}, {Reason.POOLER_IDLE}


def _why(found: EndpointFacts, *, up: bool) -> str:
    """The load, where that is the reason; else it is the spec or the budget that has changed."""
    outlook = found.outlook
    assert outlook is not None
    assert outlook.decision is not None
    if outlook.decision.reason in (_GROWING if up else _SHRINKING):
        return explained(outlook.decision.reason, outlook.view)
    limits = f"minReplicas {outlook.view.minimum}, maxReplicas {outlook.view.maximum}"
    return limits if outlook.view.room >= outlook.view.minimum else f"{limits}, {outlook.view.room} fit"


def _event(facts: Facts, before: Condition | None, after: Condition) -> Event | None:
    if before is not None and before.reason == after.reason:
        return None
    judge = _JUDGES.get(after.type)
    return judge(facts, before, after) if judge is not None else None


def _of_ready(facts: Facts, _: Condition | None, after: Condition) -> Event | None:
    """What no other condition tells better."""
    if after.reason in _PROGRESS:
        return Event("Normal", after.reason, _pods(facts))
    return _plain(after) if after.reason in ("Paused", "PodsNotReady") else None


def _of_check(_: Facts, before: Condition | None, after: Condition) -> Event | None:
    """Trouble, and its end."""
    if after.status is ConditionStatus.FALSE:
        return Event("Warning", _NAMES[after.type], after.message)
    ended = before is not None and before.status is ConditionStatus.FALSE
    return _plain(after, "Normal") if ended and after.status is ConditionStatus.TRUE else None


def _of_budget(facts: Facts, _: Condition | None, after: Condition) -> Event | None:
    if after.status is ConditionStatus.UNKNOWN:
        return None
    if after.reason != "Granted":
        return _plain(after)
    shares = [
        f"{' + '.join(str(grant.cap) for grant in server.grants)} of {server.name} to {_count(len(server.grants))}"
        for server in facts.servers
        if server.grants
    ]
    return Event("Normal", "Granted", "; ".join([after.message, *shares]))


def _count(count: int) -> str:
    return "1 pod" if count == 1 else f"{count} pods"


def _of_limit(_: Facts, __: Condition | None, after: Condition) -> Event | None:
    return (
        Event("Warning", scaling_limited.TYPE, after.message)
        if after.status is ConditionStatus.TRUE
        else None
    )


def _of_saturation(facts: Facts, before: Condition | None, after: Condition) -> Event | None:
    """With the numbers of now, which the condition does not hold."""
    if after.status is ConditionStatus.TRUE:
        numbers = [
            f"{endpoint.value}: {explained(found.said.saturation, found.outlook.view)}"
            for endpoint, found in facts.endpoints.items()
            if found.outlook and found.said and found.said.saturation
        ]
        return Event(
            "Warning", database_saturated.TYPE, f"{after.reason}: {'; '.join(numbers)}; {after.message}"
        )
    ended = before is not None and before.status is ConditionStatus.TRUE
    return Event("Normal", after.reason, after.message) if ended else None


def _of_stall(_: Facts, __: Condition | None, after: Condition) -> Event | None:
    return _plain(after) if after.reason == "Forbidden" else None


def _of_work(facts: Facts, before: Condition | None, _: Condition) -> Event | None:
    if before is None or before.reason != "SwitchingOver" or facts.primary is None:
        return None
    return Event(
        "Normal", "SwitchedOver", f"the primary is {facts.primary.name} ({facts.primary.address}) now"
    )


_JUDGES = {
    ready.TYPE: _of_ready,
    reconciling.TYPE: _of_work,
    stalled.TYPE: _of_stall,
    config_valid.TYPE: _of_check,
    database_reachable.TYPE: _of_check,
    budget_satisfied.TYPE: _of_budget,
    database_saturated.TYPE: _of_saturation,
    scaling_limited.TYPE: _of_limit,
}


def budget_events(before: Mapping[str, Condition], after: Iterable[Condition]) -> tuple[Event, ...]:
    """Events about a PgBudget: trouble and what is held, and its end."""
    changed = [said for said in after if said.type not in before or before[said.type].reason != said.reason]
    found = []
    for said in changed:
        troubled = said.type == "Ready" and said.status is ConditionStatus.FALSE
        settled = said.type in ("Held", "Draining") and said.type in before
        if troubled or (said.type == "Held" and said.status is ConditionStatus.TRUE):
            found.append(Event("Warning", said.reason, said.message))
        elif settled or said.reason == "BudgetLowered":
            found.append(Event("Normal", said.reason, said.message))
    return tuple(found)


def _plain(after: Condition, kind: Kind | None = None) -> Event:
    return Event(kind or ("Normal" if after.reason in _EXPECTED else "Warning"), after.reason, after.message)


def _pods(facts: Facts) -> str:
    return ", ".join(f"{name.value} {counts(found)}" for name, found in facts.endpoints.items()) + " pods"
