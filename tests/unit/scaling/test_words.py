import pytest

from pgpool_operator.scaling import Reason, explained, meaning
from tests.support.loads import FULL, view

SATURATIONS = [
    Reason.CPU_SATURATED,
    Reason.IO_SATURATED,
    Reason.LOCK_CONTENTION,
    Reason.CLIENTS_HOLD_TRANSACTIONS,
    Reason.BUDGET_EXHAUSTED,
]


@pytest.mark.parametrize("reason", SATURATIONS)
def test_a_saturation_says_what_it_is_that_pods_cannot_help_and_what_does_without_a_number(
    reason: Reason,
) -> None:
    said = meaning(reason)
    assert "more pods cannot help" in said
    assert not any(character.isdigit() for character in said)


@pytest.mark.parametrize("reason", SATURATIONS)
def test_its_event_has_the_numbers(reason: Reason) -> None:
    assert explained(reason, view(FULL, FULL)) == (
        "24 of 24 connections busy, 60 clients wait up to 0.5 s, pooler CPU 20%"
    )


def test_a_busy_pooler_is_told_with_its_target() -> None:
    assert explained(Reason.POOLER_BUSY, view(FULL)) == "pooler CPU 20% (target 75%)"
