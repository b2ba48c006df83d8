"""What a scenario's outcome says of the promises, and the figures of many."""

from pathlib import Path

import pytest

from e2e.faults.outcome import Figures, Outcome, figures, keep, kept

GOOD = Outcome(
    title="pod/delete",
    most=24,
    log_peak=24,
    sampled_peak=24,
    whole_after=2.0,
    transactions=9000,
    steady=True,
    served_after=90,
    silence=1.0,
    acknowledged=500,
)


def test_an_outcome_that_kept_all_promises_says_nothing() -> None:
    assert GOOD.broken() == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"log_peak": 25}, "PostgreSQL's log has 25 sessions at once, 24 are allowed"),
        ({"log_peak": 0, "sampled_peak": 0}, "PostgreSQL's log has no session: it was not followed"),
        ({"log_peak": 23}, "PostgreSQL's log misses some of 24 sessions in pg_stat_activity"),
        ({"over": ("3.00 s: 14 backends, 12 allowed",)}, "3.00 s: 14 backends, 12 allowed"),
        ({"whole_after": None}, "the whole budget did not come back into use"),
        ({"transactions": 0}, "the clients did nothing"),
        ({"silence": 21.0}, "no transaction was acknowledged for 21 s"),
        ({"served_after": 0}, "no transaction was acknowledged after the last fault"),
        ({"error": "KubectlError: refused"}, "KubectlError: refused"),
        ({"lost": (7, 9)}, "2 acknowledged transactions are lost, 7 first"),
    ],
)
def test_a_broken_promise_is_told(change: dict[str, object], words: str) -> None:
    assert GOOD.model_copy(update=change).broken() == [words]


def test_where_nobody_can_be_served_silence_breaks_no_promise() -> None:
    assert GOOD.model_copy(update={"steady": False, "silence": 21.0}).broken() == []


def test_outcomes_are_kept_until_they_are_asked_for(tmp_path: Path) -> None:
    other = GOOD.model_copy(update={"title": "chaos/7"})
    keep(GOOD, tmp_path / "new")
    keep(other, tmp_path / "new")
    assert kept(tmp_path / "new") == [GOOD, other]


def test_figures_are_told_by_class() -> None:
    bad = GOOD.model_copy(update={"log_peak": 30, "whole_after": 10.0, "silence": 4.0, "lost": (1,)})
    chaos = GOOD.model_copy(update={"title": "chaos/1", "log_peak": 12, "sampled_peak": 12})
    assert figures([GOOD, chaos, bad]) == [
        Figures("chaos", 1, 0, 0.5, 2.0, 2.0, 1.0, 500, 0),
        Figures("pod", 2, 1, 1.25, 6.0, 10.0, 4.0, 1000, 1),
    ]
