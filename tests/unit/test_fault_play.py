"""Faults begin and end by their scenario's plan, whatever goes wrong."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import cast

import pytest

from e2e.faults.fault import Fault
from e2e.faults.moments import Mark, Timeline
from e2e.faults.play import Planned, Scenario, break_by
from e2e.faults.stage import Stage

STAGE = cast(Stage, Random())
"""Which none of these faults looks at."""


def fault(
    name: str, *, beginning: float = 0.0, mended: list[str] | None = None, fails: bool = False
) -> Fault:
    """One that takes `beginning` seconds to be in force."""

    @contextmanager
    def act(_: Stage) -> Iterator[None]:
        time.sleep(beginning)
        if fails:
            raise RuntimeError(name)
        try:
            yield
        finally:
            if mended is not None:
                mended.append(name)

    return Fault(name, act, 0.0, daily=False, mixed=True, most=24)


def played(*plan: Planned) -> list[tuple[str, float]]:
    timeline = Timeline()
    break_by(Scenario("a title", "make it", plan, 24), STAGE, timeline)
    return [(mark.text, mark.at) for mark in timeline.of(Mark)]


def test_faults_begin_and_end_at_their_times() -> None:
    first, second = Planned(0.0, fault("a/long"), 0.2), Planned(0.1, fault("b/short"), 0.0)
    marks = played(first, second)
    assert [text for text, _ in marks] == ["a/long begins", "b/short begins", "b/short ends", "a/long ends"]


def test_a_fault_lasts_as_long_as_planned_however_long_it_takes_to_begin() -> None:
    marks = dict(played(Planned(0.0, fault("a/slow", beginning=0.2), 0.1)))
    assert marks["a/slow ends"] - marks["a/slow begins"] >= 0.3


def test_a_fault_that_another_one_holds_up_lasts_as_long_as_planned() -> None:
    slow, late = Planned(0.0, fault("a/slow", beginning=0.2), 0.0), Planned(0.05, fault("b/late"), 0.1)
    marks = dict(played(slow, late))
    assert marks["b/late ends"] - marks["b/late begins"] >= 0.1


def test_what_is_broken_is_mended_when_another_fault_fails_to_begin() -> None:
    mended: list[str] = []
    with pytest.raises(RuntimeError, match="b/bad"):
        played(
            Planned(0.0, fault("a/good", mended=mended), 9.0), Planned(0.0, fault("b/bad", fails=True), 0.0)
        )
    assert mended == ["a/good"]
