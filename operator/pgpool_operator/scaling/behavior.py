"""HPA's `behavior`: how fast a number of pods may change, and which recommendation of late counts.

Source: kubernetes.io, "Horizontal Pod Autoscaling", scaling policies and stabilization window.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..api import PolicyType, ScalingPolicy, ScalingRules, SelectPolicy


@dataclass(frozen=True)
class Change:
    """The number of pods changed by so many at a moment (seconds, monotonic)."""

    at: float
    pods: int


@dataclass(frozen=True)
class Recommendation:
    """What the load asked for at a moment."""

    at: float
    replicas: int


@dataclass(frozen=True)
class Memory:
    """What HPA keeps in memory too. It is lost when another operator leads: scaling in then waits a window anew."""

    recommendations: tuple[Recommendation, ...] = ()
    changes: tuple[Change, ...] = ()
    replicas: int | None = None
    """The number that was there at the last look."""


def observed(memory: Memory, current: int, now: float) -> Memory:
    """Remember a change of the number of pods that has happened since the last look."""
    if memory.replicas is None:
        return replace(memory, replicas=current, recommendations=(Recommendation(now, current),))
    if memory.replicas == current:
        return memory
    changed = (*memory.changes, Change(now, current - memory.replicas))
    return replace(memory, replicas=current, changes=changed)


def recommended(memory: Memory, replicas: int, now: float, up: ScalingRules, down: ScalingRules) -> Memory:
    """Remember a recommendation, and forget what no window or period reaches any more."""
    window = max(up.stabilization_window_seconds, down.stabilization_window_seconds)
    period = max(policy.period_seconds for rules in (up, down) for policy in rules.policies)
    kept = tuple(one for one in memory.recommendations if one.at > now - window)
    return replace(
        memory,
        recommendations=(*kept, Recommendation(now, replicas)),
        changes=tuple(one for one in memory.changes if one.at > now - period),
    )


def stabilized(memory: Memory, current: int, now: float, up: ScalingRules, down: ScalingRules) -> int:
    """The number nearest to `current` that the recommendations of the windows allow: the least of the window
    on the way up, the most of the window on the way down."""
    newest = memory.recommendations[-1].replicas
    lowest = min([newest, *_within(memory, now - up.stabilization_window_seconds)])
    highest = max([newest, *_within(memory, now - down.stabilization_window_seconds)])
    return min(max(current, lowest), highest)


def _within(memory: Memory, since: float) -> list[int]:
    return [one.replicas for one in memory.recommendations if one.at > since]


def highest(memory: Memory, current: int, now: float, rules: ScalingRules) -> int:
    """The most pods that the policies of `scaleUp` allow now; never below `current`."""

    def reached(policy: ScalingPolicy) -> int:
        start = current - _changed(memory, now - policy.period_seconds)
        if policy.type is PolicyType.PODS:
            return start + policy.value
        return math.ceil(start * (100 + policy.value) / 100)

    return max(current, _selected(rules, current, reached, most=max, least=min))


def lowest(memory: Memory, current: int, now: float, rules: ScalingRules) -> int:
    """The fewest pods that the policies of `scaleDown` allow now; never above `current`."""

    def reached(policy: ScalingPolicy) -> int:
        start = current - _changed(memory, now - policy.period_seconds)
        if policy.type is PolicyType.PODS:
            return start - policy.value
        return start * (100 - policy.value) // 100

    return min(current, _selected(rules, current, reached, most=min, least=max))


def _changed(memory: Memory, since: float) -> int:
    return sum(change.pods for change in memory.changes if change.at > since)


def _selected(
    rules: ScalingRules,
    current: int,
    reached: Callable[[ScalingPolicy], int],
    *,
    most: Callable[[Sequence[int]], int],
    least: Callable[[Sequence[int]], int],
) -> int:
    if rules.select_policy is SelectPolicy.DISABLED:
        return current
    choose = least if rules.select_policy is SelectPolicy.MIN else most
    return choose([reached(policy) for policy in rules.policies])
