"""Mixtures of faults that a seed decides on: the same seed, the same mixture. Pure."""

import random
from collections.abc import Sequence

from e2e.faults.fault import Fault
from e2e.faults.play import Planned, Scenario
from e2e.world import BUDGET

SECONDS = 60.0
AT_ONCE = 3
_LONGEST_SECONDS = {"node": 60.0}
"""Of a fault, by its class: a node is called NotReady after 40 to 50 s."""
_LONG_ENOUGH_SECONDS = 30.0
"""Of all others."""
_PODS = "pod"


def mixture(seed: int, faults: Sequence[Fault]) -> Scenario:
    """Three faults that begin in the first half of a minute, and may overlap."""
    choice = random.Random(seed)
    plan = [
        Planned(choice.uniform(0.0, SECONDS / 2), fault, min(fault.seconds, _longest(fault)))
        for fault in _chosen(choice, faults)
    ]
    return Scenario(f"chaos/{seed}", f"make chaos SEEDS={seed}", plan, BUDGET, SECONDS)


def _longest(fault: Fault) -> float:
    return _LONGEST_SECONDS.get(fault.family, _LONG_ENOUGH_SECONDS)


def _chosen(choice: random.Random, faults: Sequence[Fault]) -> list[Fault]:
    """There are several pods to break, and one of everything else."""
    candidates = sorted((fault for fault in faults if fault.mixed), key=lambda fault: fault.name)
    chosen: list[Fault] = []
    while len(chosen) < AT_ONCE:
        fault = choice.choice(candidates)
        chosen.append(fault)
        candidates = [one for one in candidates if one is not fault and _apart(one, fault)]
    return chosen


def _apart(one: Fault, other: Fault) -> bool:
    return one.family != other.family or one.family == _PODS
