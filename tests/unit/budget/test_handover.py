"""What a ledger keeps that gives way to an older one of the same server."""

from datetime import UTC, datetime

import pytest

from pgpool_operator.api import GrantState
from pgpool_operator.budget import Ledger, Life, PodView, Report, Reservation, give_way
from pgpool_pooler.contract import Endpoint

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def entry(reserved: int = 12, generation: int = 4, cap: int = 12) -> Reservation:
    return Reservation(
        uid="a",
        pod="pay-1",
        pool="bank/pay",
        endpoint=Endpoint.WRITE,
        node="w1",
        cap=cap,
        reserved=reserved,
        generation=generation,
        state=GrantState.ACTIVE,
        since=NOON,
    )


def view(
    acknowledged: int | None = None,
    *,
    life: Life = Life.ALIVE,
    dead_for: float = 0.0,
    assigned: bool = True,
    cap_here: int = 12,
) -> PodView:
    report = None
    if acknowledged is not None:
        report = Report(acknowledged, acknowledged, cap_here=cap_here, open_here=cap_here)
    return PodView(
        uid="a",
        pod="pay-1",
        pool="bank/pay",
        endpoint=Endpoint.WRITE,
        node="w1",
        life=life,
        assigned=assigned,
        floor=1,
        report=report,
        detects_dead_clients=True,
        dead_for=dead_for,
    )


@pytest.mark.parametrize(
    ("owned", "pod", "left"),
    [
        pytest.param(None, view(4), 12, id="not taken over yet"),
        pytest.param(entry(), view(4), 0, id="taken over"),
        pytest.param(entry(reserved=5, generation=7), view(4), 12, id="it may still have what it had here"),
        pytest.param(
            entry(reserved=5, generation=7), view(), 12, id="the owner counts less, and it is silent"
        ),
        pytest.param(entry(reserved=5, generation=7), view(7), 0, id="it follows the owner's newer grant"),
        pytest.param(entry(generation=3), view(4), 12, id="the owner's grant is the older one"),
        pytest.param(None, view(life=Life.DEAD_REPORTED, dead_for=1.0), 12, id="dead, not drained"),
        pytest.param(None, view(life=Life.DEAD_REPORTED, dead_for=2.5), 0, id="dead and drained"),
        pytest.param(None, view(life=Life.UNKNOWN), 12, id="unknown"),
        pytest.param(None, view(9, assigned=False, cap_here=0), 0, id="it has left for another server"),
    ],
)
def test_what_is_left(owned: Reservation | None, pod: PodView, left: int) -> None:
    owner = {} if owned is None else {"a": owned}
    ledger = Ledger(12, {"a": entry()})
    after, _ = give_way(ledger, owner, [pod], NOON, server_seen=True)
    assert (after.reserved, after.connections) == (left, left)


def test_it_knows_nothing_of_the_server_any_more() -> None:
    after, _ = give_way(Ledger(12, {"a": entry()}), {}, [view(4)], NOON, server_seen=True)
    assert after.recovering


def test_it_looks_again_when_a_hold_is_over() -> None:
    pod = view(life=Life.DEAD_REPORTED, dead_for=0.5)
    assert give_way(Ledger(12, {"a": entry()}), {}, [pod], NOON, server_seen=True)[1] == 1.5
