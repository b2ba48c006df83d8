"""Reconciling: work is under way (kstatus shows it as InProgress)."""

from collections.abc import Callable, Mapping

from ..api import ConditionStatus
from . import config_valid, ready, stalled
from .facts import Facts, Verdict

TYPE = "Reconciling"


def reconciling(facts: Facts, said: Mapping[str, Verdict]) -> Verdict:
    """The first kind of work that is found. What is stalled does not move: kstatus would hide it otherwise."""
    if said[stalled.TYPE].status is ConditionStatus.TRUE:
        return Verdict(
            ConditionStatus.FALSE, "UpToDate", "nothing can be done before a person acts, see Stalled"
        )
    for reason, under_way, message in _WORK:
        if under_way(facts, said):
            return Verdict(ConditionStatus.TRUE, reason, message)
    return Verdict(ConditionStatus.FALSE, "UpToDate", "everything is as the spec asks for")


def _creating(_: Facts, said: Mapping[str, Verdict]) -> bool:
    return said[ready.TYPE].reason == "Starting"


def _switching(facts: Facts, _: Mapping[str, Verdict]) -> bool:
    return bool(facts.switching)


def _rolling_out(facts: Facts, _: Mapping[str, Verdict]) -> bool:
    return any(found.rolling_out for found in facts.endpoints.values())


def _reloading(facts: Facts, said: Mapping[str, Verdict]) -> bool:
    accepted = config_valid.all_accepted(facts)
    return bool(facts.states) and not accepted and said[config_valid.TYPE].status is not ConditionStatus.FALSE


def _scaling(facts: Facts, _: Mapping[str, Verdict]) -> bool:
    return any(found.scaling for found in facts.endpoints.values())


def _moving(facts: Facts, _: Mapping[str, Verdict]) -> bool:
    return any(server.moving or server.lowering for server in facts.servers)


_Check = Callable[[Facts, Mapping[str, Verdict]], bool]

_WORK: tuple[tuple[str, _Check, str], ...] = (
    ("Creating", _creating, "pods are being made"),
    ("SwitchingOver", _switching, "pods move to the new primary"),
    ("RollingOut", _rolling_out, "new pods replace the old ones"),
    ("ReloadingConfig", _reloading, "the new configuration is on its way to the pods"),
    ("Scaling", _scaling, "the number of ready pods is on its way to what shall run"),
    ("MovingBudget", _moving, "connections move between pods"),
)
"""What can be under way, what happens to clients most first."""
