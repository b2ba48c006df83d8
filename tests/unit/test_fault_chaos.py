"""Mixtures of faults are what their seed says."""

import dataclasses
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from e2e.faults.chaos import AT_ONCE, SECONDS, mixture
from e2e.faults.everything import FAULTS
from e2e.faults.fault import Fault
from e2e.faults.stage import Stage

CANDIDATES = list(FAULTS.values())
SEEDS = range(1, 61)


@contextmanager
def nothing(_: Stage) -> Iterator[None]:
    yield


def fault_of(name: str, seconds: float = 0.0) -> Fault:
    return Fault(name, nothing, seconds, daily=False, mixed=True, most=24)


def test_one_fault_of_each_class_stands_for_it_every_day() -> None:
    daily = Counter(fault.family for fault in CANDIDATES if fault.daily)
    assert daily == Counter({fault.family for fault in CANDIDATES})


@pytest.mark.parametrize("seed", [1, 7])
def test_the_same_seed_makes_the_same_mixture(seed: int) -> None:
    assert mixture(seed, CANDIDATES) == mixture(seed, list(reversed(CANDIDATES)))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_mixture_has_several_faults_that_begin_in_the_first_half_of_a_minute(seed: int) -> None:
    plan = mixture(seed, CANDIDATES).plan
    assert len({planned.fault.name for planned in plan}) == AT_ONCE
    assert all(planned.at <= SECONDS / 2 for planned in plan)


@pytest.mark.parametrize(
    ("family", "lasts", "in_a_mixture"),
    [("api", 20.0, 20.0), ("api", 90.0, 30.0), ("node", 90.0, 60.0)],
    ids=["a short one", "a long one", "a node, until it is called NotReady"],
)
def test_a_long_fault_is_shorter_in_a_mixture(family: str, lasts: float, in_a_mixture: float) -> None:
    fault = fault_of(f"{family}/mixed", seconds=lasts)
    others = [fault_of(f"{number}/mixed") for number in range(AT_ONCE - 1)]
    (played,) = [one.seconds for one in mixture(1, [fault, *others]).plan if one.fault == fault]
    assert played == in_a_mixture


def test_the_seeds_of_a_whole_run_play_every_fault_that_can_be_mixed() -> None:
    played = {planned.fault.name for seed in SEEDS for planned in mixture(seed, CANDIDATES).plan}
    assert played == {fault.name for fault in CANDIDATES if fault.mixed}


def test_faults_that_cannot_be_mixed_are_left_out() -> None:
    mixed = [fault_of(f"{number}/mixed") for number in range(AT_ONCE)]
    never = dataclasses.replace(fault_of("a/never"), mixed=False)
    assert never not in [planned.fault for planned in mixture(1, [*mixed, never]).plan]


@pytest.mark.parametrize("seed", SEEDS)
def test_only_pods_are_broken_more_than_once(seed: int) -> None:
    families = [planned.fault.family for planned in mixture(seed, CANDIDATES).plan]
    others = [family for family in families if family != "pod"]
    assert len(others) == len(set(others))
