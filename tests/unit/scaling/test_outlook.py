from pgpool_operator.api import Behavior
from pgpool_operator.scaling import Limit, Reason, Remembered, look
from pgpool_operator.scaling.settle import SETTLE_SECONDS
from tests.support.loads import BUSY, FULL, QUIET, view

BEHAVIOR = Behavior()


def test_what_was_decided_holds_though_the_status_does_not_say_it_yet() -> None:
    first, memory = look(view(BUSY, BUSY), Remembered(), 0.0, BEHAVIOR)
    again, _ = look(view(QUIET, QUIET), memory, 5.0, BEHAVIOR)
    assert first.decision is not None
    assert again.decision is not None
    assert (first.decision.replicas, again.decision.replicas) == (3, 3)


def test_a_saturation_that_is_said_keeps_pods_from_coming_until_it_has_been_over_for_a_while() -> None:
    _, memory = look(view(FULL, FULL), Remembered(), 0.0, BEHAVIOR)
    held, memory = look(view(BUSY, BUSY), memory, 5.0, BEHAVIOR)
    assert held.decision is not None
    assert (held.decision.replicas, held.decision.limit) == (2, Limit.DATABASE_SATURATED)
    _, memory = look(view(BUSY, BUSY), memory, 5.0 + SETTLE_SECONDS, BEHAVIOR)
    after, _ = look(view(BUSY, BUSY), memory, 20.0 + SETTLE_SECONDS, BEHAVIOR)
    assert after.decision is not None
    assert (after.decision.replicas, after.decision.reason) == (3, Reason.POOLER_BUSY)


def test_without_pods_nothing_is_said_of_their_load() -> None:
    said, memory = look(view(FULL, FULL), Remembered(), 0.0, None)
    assert said.said is not None
    gone, _ = look(view(), memory, 5.0, None)
    assert gone.said is None


def test_who_scales_by_himself_for_a_while_starts_the_windows_anew() -> None:
    _, memory = look(view(QUIET, QUIET, QUIET), Remembered(), 0.0, BEHAVIOR)
    _, memory = look(view(QUIET, QUIET, QUIET), memory, 1000.0, None)
    again, _ = look(view(QUIET, QUIET, QUIET), memory, 2000.0, BEHAVIOR)
    assert again.decision is not None
    assert again.decision.replicas == 3


def test_nothing_is_said_while_no_load_is_known() -> None:
    assert look(view(None, None), Remembered(), 0.0, BEHAVIOR)[0].said is None
