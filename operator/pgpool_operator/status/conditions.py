"""The eight conditions of a PgPool: all are said at the first look, and again at every other."""

from collections.abc import Callable, Mapping
from datetime import datetime

from ..api import Condition
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
from .facts import Facts, Verdict

_OF_FACTS: Mapping[str, Callable[[Facts], Verdict]] = {
    config_valid.TYPE: config_valid.config_valid,
    database_reachable.TYPE: database_reachable.database_reachable,
    budget_satisfied.TYPE: budget_satisfied.budget_satisfied,
    database_saturated.TYPE: database_saturated.database_saturated,
    scaling_limited.TYPE: scaling_limited.scaling_limited,
}

_OF_OTHERS: Mapping[str, Callable[[Facts, Mapping[str, Verdict]], Verdict]] = {
    ready.TYPE: ready.ready,
    stalled.TYPE: stalled.stalled,
    reconciling.TYPE: reconciling.reconciling,
}
"""In this order: each looks at what was said before it."""

_SHOWN_FIRST = (ready.TYPE, reconciling.TYPE, stalled.TYPE)


def conditions(facts: Facts) -> tuple[Condition, ...]:
    """All eight, in the order of the API; what was said before is in the PgPool's own status.

    Until the pods have accepted or refused a new generation, Ready keeps the observedGeneration of the last one:
    `kubectl wait --for=condition=Ready` then waits, and nobody is alarmed.
    """
    said: dict[str, Verdict] = {name: policy(facts) for name, policy in _OF_FACTS.items()}
    for name, judge in _OF_OTHERS.items():
        said[name] = judge(facts, said)
    generations = dict.fromkeys(said, facts.generation)
    before = facts.previous.get(ready.TYPE)
    if before is not None and not ready.is_settled(said):
        generations[ready.TYPE] = before.observed_generation
    order = (*_SHOWN_FIRST, *_OF_FACTS)
    return tuple(
        condition(name, said[name], generations[name], facts.now, facts.previous.get(name)) for name in order
    )


def condition(
    name: str, verdict: Verdict, generation: int, now: datetime, before: Condition | None
) -> Condition:
    """A condition; its time is when the status changed last, not when reason or message did."""
    unchanged = before is not None and before.status is verdict.status
    return Condition(
        type=name,
        status=verdict.status,
        observed_generation=generation,
        last_transition_time=before.last_transition_time
        if before and unchanged
        else now.replace(microsecond=0),
        reason=verdict.reason,
        message=verdict.message,
    )
