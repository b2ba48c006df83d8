"""The ledger protocol in every interleaving, by Spin; ledger.pml says what is modelled."""

from pathlib import Path

import pytest

from e2e.cluster.shell import say

from .spin import search

CONFIGURATIONS = {
    "pods that restart and die": "B=2 RESTART LIFE",
    "three pods": "N=3 B=2 LAST=2 RESTART",
    "two operators": "B=2 LAST=2 RESTART DISK_LOSS SLEEPER LIFE",
    "a lost disk": "B=2 RESTART DISK_LOSS",
    "moves between two servers": "S=2 B=1",
    "restarts while moving": "S=2 B=1 LAST=2 RESTART",
    "a lost ledger": "B=2 LOSS RESTART",
    "a lost ledger of the dead": "B=1 LAST=2 LOSS LIFE",
}

MUTANTS = {
    "NOCAS": "B=2 SLEEPER",
    "NOFENCE": "B=2",
    "NOGATE": "B=2 RESTART",
    "ACK_CONFIG": "B=2",
    "OBJGONE": "B=2 LAST=2 LIFE",
    "DEAD_IS_DRAINED": "B=2 LAST=2 LIFE",
    "FORGET": "B=2 RESTART",
    "ABORT": "B=2",
    "RELEASE_EARLY": "B=2",
    "OLD_ACKNOWLEDGEMENT": "B=2",
    "RELEASE_IS_FALSE": "B=1 LAST=2 LIFE",
    "RELEASE_OF_THE_LIVING": "B=1 LAST=2 LIFE",
    "LOST_DISK_DOES_NOT_WAIT": "B=2 DISK_LOSS",
    "LOST_DISK_TAKES_OLDER": "B=2 DISK_LOSS",
    "MOVE_COEXISTS": "S=2 B=1",
    "LEAVES_AT_ONCE": "S=2 B=1",
    "LEAVES_WITH_A_GRANT_ON_ITS_WAY": "S=2 B=1",
    "GENERATION_PER_LEDGER": "S=2 B=1",
    "SOUND_AT_THE_FIRST_WORD": "B=2 LOSS",
    "ONLY_ANNOTATIONS_COUNT": "B=2 LOSS",
    "RECOVERING_GROWS": "B=2 LOSS",
    "LOSS_GOES_UNNOTICED": "B=2 LOSS",
    "RECOVERING_GRANTS_WHAT_IT_SAYS": "B=2 LOSS",
    "WITHOUT_A_GRANT_IS_NEVER_STARTED": "B=2 LOSS",
    "WHO_WAS_READY_CONCEALS_NOTHING": "B=1 LAST=2 LOSS RESTART",
    "UNKNOWN_GENERATION_IS_NO_NEWS": "B=1 LAST=2 LOSS RESTART",
    "A_NUMBER_TELLS_THE_GRANT": "B=2 LOSS",
    "THE_DEAD_WERE_FREED": "B=1 LAST=2 LOSS LIFE",
}
"""A rule that is left out, and the least configuration in which it is missed."""

GOALS = {
    "FULL": "B=2",
    "MOVED": "S=2 B=1",
    "SWAPPED": "S=2 B=1",
    "RECOVERED": "B=2 LOSS",
    "RELEASED": "B=1 LAST=2 LIFE",
}
"""What shall be possible; the model asserts that it never happens."""

BUDGET = "(total<="


@pytest.mark.parametrize("settings", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_the_budget_holds(settings: str, tmp_path: Path) -> None:
    found = search(settings, tmp_path, long=True)
    say(str(found))
    assert found.error == ""
    assert found.states > 10_000


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_model_catches(mutant: str, tmp_path: Path) -> None:
    found = search(f"{MUTANTS[mutant]} M_{mutant}", tmp_path)
    say(str(found))
    assert found.error.startswith(BUDGET)


@pytest.mark.parametrize("goal", GOALS)
def test_the_model_reaches(goal: str, tmp_path: Path) -> None:
    found = search(f"{GOALS[goal]} GOAL_{goal}", tmp_path)
    say(str(found))
    assert found.error.startswith("!(got_there")
