"""Mixtures of faults are what their seed says."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from e2e.faults.chaos import AT_ONCE, SECONDS, mixture
from e2e.faults.everything import FAULTS
from e2e.faults.fault import Fault
from e2e.faults.stage import Stage

CANDIDATES = list(FAULTS.values())
SEEDS = range(1, 61)


@pytest.mark.parametrize("seed", [1, 7])
def test_the_same_seed_makes_the_same_mixture(seed: int) -> None:
    assert mixture(seed, CANDIDATES) == mixture(seed, list(reversed(CANDIDATES)))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_mixture_has_several_faults_within_its_minute(seed: int) -> None:
    plan = mixture(seed, CANDIDATES).plan
    assert len({planned.fault.name for planned in plan}) == AT_ONCE
    assert all(planned.at + planned.seconds <= SECONDS for planned in plan)


def test_the_seeds_of_a_whole_run_play_every_fault_that_can_be_mixed() -> None:
    played = {planned.fault.name for seed in SEEDS for planned in mixture(seed, CANDIDATES).plan}
    assert played == {fault.name for fault in CANDIDATES if fault.mixed}


def test_faults_that_cannot_be_mixed_are_left_out() -> None:
    @contextmanager
    def act(_: Stage) -> Iterator[None]:
        yield

    fault = Fault("a/mixed", act, 0.0, daily=False, mixed=True, most=24)
    mixed = [dataclasses.replace(fault, name=f"{number}/mixed") for number in range(AT_ONCE)]
    never = dataclasses.replace(fault, name="a/never", mixed=False)
    assert never not in [planned.fault for planned in mixture(1, [*mixed, never]).plan]


@pytest.mark.parametrize("seed", SEEDS)
def test_only_pods_are_broken_more_than_once(seed: int) -> None:
    families = [planned.fault.family for planned in mixture(seed, CANDIDATES).plan]
    others = [family for family in families if family != "pod"]
    assert len(others) == len(set(others))
