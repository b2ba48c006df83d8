"""How a timeline is told: as lines, and as a picture."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from e2e.faults import story
from e2e.faults.moments import (
    Acknowledged,
    Backends,
    Blind,
    GrantSeen,
    GrantWritten,
    LedgerGone,
    LedgerSeen,
    Mark,
    Moment,
    PodGone,
    PodSeen,
    Silent,
    Timeline,
)
from e2e.faults.recorder import changes_of_ledger, changes_of_pod
from pgpool_pooler.contract import GRANT_ANNOTATION, Grant, ServerGrant

X, Y = "app-rw-x", "app-rw-y"
STARTED = datetime(2026, 11, 25, 12, tzinfo=UTC)


def grant(pod: str, cap: int, generation: int, state: str, reserved: int | None = None) -> GrantSeen:
    return GrantSeen(pod, f"uid-{pod}", cap, cap if reserved is None else reserved, generation, state)


def ledger(at: float, *grants: GrantSeen, unknown: int = 0, recovering: bool = False) -> LedgerSeen:
    reserved = sum(each.reserved for each in grants)
    return LedgerSeen(at, "main-a-0", 24, reserved, unknown, recovering, grants)


def pod(at: float, name: str, address: str = "", *, ready: bool = False, leaving: bool = False) -> PodSeen:
    return PodSeen(at, name, address, "worker" if address else "", ready, 0, leaving)


def timeline(*moments: Moment) -> Timeline:
    made = Timeline(started=STARTED)
    made.add(*moments)
    return made


def lines(*moments: Moment) -> list[str]:
    """Without the head and the times."""
    return [
        line[10:]
        for line in story.text(timeline(*moments), "a title", "make it", "24").splitlines()[5:]
        if line
    ]


def a_node_stops() -> Timeline:
    return timeline(
        ledger(0.05, grant(X, 12, 3, "Active"), grant(Y, 12, 3, "Active")),
        pod(0.06, X, "10.244.1.5", ready=True),
        pod(0.06, Y, "10.244.2.7", ready=True),
        GrantWritten(0.06, X, 3, 12),
        Backends(0.1, 24, {"10.244.1.5": 12, "10.244.2.7": 12}),
        Acknowledged(1, X, 3, 3, 12, 12, "Serving"),
        Acknowledged(1.1, Y, 3, 3, 12, 12, "Serving"),
        Mark(2, "node/stop begins"),
        Silent(3, Y),
        ledger(4, grant(X, 8, 4, "Shrinking", 12), grant(Y, 12, 3, "Unknown"), unknown=12),
        GrantWritten(4.1, X, 4, 8),
        Acknowledged(4.5, X, 4, 3, 8, 12, "Serving"),
        Acknowledged(5.5, X, 4, 4, 8, 8, "Serving"),
        Mark(8, "node/stop ends"),
        PodGone(8.5, Y),
        Backends(9, 25, {"10.244.1.5": 8, "10.9.9.9": 17}),
        Mark(9.5, "whole again"),
    )


STORY = """\
node/stop
again: make faults FAULT=node/stop
seconds since 2026-11-25 12:00:00.000000 UTC
backends of main-a-0: peak 24 by PostgreSQL's log, 25 by samples, 24 allowed at most
OVER THE BUDGET at 9.00 s: 25 backends, 24 allowed

    0.05  ledger main-a-0: 24 of 24 reserved; +app-rw-x 12 (gen 3, Active); +app-rw-y 12 (gen 3, Active)
    0.06  pod app-rw-x: 10.244.1.5 on worker, ready
    0.06  pod app-rw-y: 10.244.2.7 on worker, ready
    0.06  grant app-rw-x: cap 12 (gen 3)
    0.10  postgres: 24 (app-rw-x 12, app-rw-y 12)
    1.00  agent app-rw-x: Serving, acknowledges gen 3; 12 open of cap 12
    1.10  agent app-rw-y: Serving, acknowledges gen 3; 12 open of cap 12
    2.00  ==== node/stop begins
    3.00  agent app-rw-y: silent
    4.00  ledger main-a-0: 24 of 24 reserved, 12 of them by pods not heard of; \
app-rw-x 12->8 (gen 4, Shrinking, holds 12); app-rw-y 12 (gen 3, Unknown)
    4.10  grant app-rw-x: cap 12->8 (gen 4)
    4.50  agent app-rw-x: Serving, acknowledges gen 3, gen 4 not yet; 12 open of cap 8
    5.50  agent app-rw-x: Serving, acknowledges gen 4; 8 open of cap 8
    8.00  ==== node/stop ends
    8.50  pod app-rw-y: gone
    9.00  postgres: 25 (10.9.9.9 17, app-rw-x 8) OVER THE BUDGET
    9.50  ==== whole again
"""


def test_a_story_tells_by_time_who_changed_what() -> None:
    assert story.text(a_node_stops(), "node/stop", "make faults FAULT=node/stop", "24") == STORY


def test_what_a_ledger_says_of_a_pod_is_told_only_when_it_changed() -> None:
    _, second = lines(
        ledger(1, grant(X, 12, 1, "Active"), grant(Y, 12, 1, "Active")),
        ledger(2, grant(X, 12, 1, "Active")),
    )
    assert second == f"ledger main-a-0: 12 of 24 reserved; -{Y}"


def test_a_ledger_that_was_lost_is_told_from_its_beginning() -> None:
    first = grant(X, 12, 1, "Active")
    told = lines(ledger(1, first), LedgerGone(2, "main-a-0"), ledger(3, first, recovering=True))
    assert told[1:] == [
        "ledger main-a-0: deleted",
        f"ledger main-a-0: 12 of 24 reserved, recovering; +{X} 12 (gen 1, Active)",
    ]


def test_an_agent_whose_backends_come_and_go_is_not_told_again() -> None:
    first, second = (Acknowledged(at, X, 1, 1, 12, 12 - at, "Serving") for at in (1, 2))
    assert len(lines(first, second)) == 1


def test_an_agent_that_was_silent_is_told_again() -> None:
    said = Acknowledged(1, X, 1, 1, 12, 12, "Serving")
    again = Acknowledged(3, X, 1, 1, 12, 12, "Serving")
    assert len(lines(said, Silent(2, X), again)) == 3


def test_a_server_that_does_not_answer_is_told() -> None:
    assert lines(ledger(0), Backends(1, 0, {}), Blind(2))[1:] == [
        "postgres: 0",
        "postgres: does not answer",
    ]


def test_an_address_goes_by_the_name_of_the_pod_that_has_it_at_the_time() -> None:
    told = lines(
        ledger(0),
        pod(1, X, "10.244.1.5"),
        Backends(2, 1, {"10.244.1.5": 1}),
        PodGone(3, X),
        pod(4, Y, "10.244.1.5"),
        Backends(5, 2, {"10.244.1.5": 2}),
    )
    assert [line.removesuffix(" OVER THE BUDGET") for line in told if line.startswith("postgres")] == [
        f"postgres: 1 ({X} 1)",
        f"postgres: 2 ({Y} 2)",
    ]


def test_of_a_pod_only_what_changed_is_told() -> None:
    told = lines(pod(1, X), pod(2, X, "10.244.1.5"), pod(3, X, "10.244.1.5", ready=True))
    assert told == [
        f"pod {X}: no address on no node",
        f"pod {X}: 10.244.1.5 on worker",
        f"pod {X}: ready",
    ]
    assert lines(pod(1, X, leaving=True))[0].endswith("is to go")


def test_of_a_second_with_many_counts_the_highest_the_lowest_and_the_last_are_told() -> None:
    counts = [20, 24, 23, 3, 22, 21]
    told = story.thinned([Backends(1 + n / 10, count, {}) for n, count in enumerate(counts)], set())
    assert [each.total for each in told] == [24, 3, 21]


def test_no_count_over_the_budget_is_left_out() -> None:
    counts = [20, 25, 26, 27, 25, 21]
    many = [Backends(1 + n / 10, count, {}) for n, count in enumerate(counts)]
    over = {each.at for each in many if each.total > 24}
    assert [each.total for each in story.thinned(many, over)] == [20, 25, 26, 27, 25, 21]


def test_a_picture_names_the_pods_the_faults_and_the_title(tmp_path: Path) -> None:
    story.write(a_node_stops(), "node/stop", "make faults FAULT=node/stop", tmp_path / "new", "24")
    picture = (tmp_path / "new/timeline.svg").read_text()
    for words in (X, Y, "node/stop begins", "node/stop: main-a-0", "silent", "Unknown", "gone"):
        assert words in picture, words
    assert (tmp_path / "new/timeline.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "new/story.txt").read_text() == STORY


@pytest.mark.parametrize(
    "moments",
    [(), (Mark(1, "it failed at once"),), (ledger(1, grant(X, 1, 1, "Active")), LedgerGone(2, "main-a-0"))],
    ids=["nothing", "a mark", "a ledger that is lost"],
)
def test_a_scenario_that_is_cut_short_is_drawn_too(moments: tuple[Moment, ...], tmp_path: Path) -> None:
    story.write(timeline(*moments), "early", "make it", tmp_path, "0")
    assert (tmp_path / "timeline.svg").exists()


def test_a_pgbudget_is_read_into_the_ledger() -> None:
    record = {"uid": "u", "pod": X, "cap": 8, "reserved": 12, "generation": 4, "state": "Shrinking"}
    status = {
        "observedGeneration": 1,
        "connections": 24,
        "reserved": 12,
        "unknown": 0,
        "recovering": False,
        "grants": [record],
    }
    seen = GrantSeen(X, "u", 8, 12, 4, "Shrinking")
    assert changes_of_ledger(1.5, {"metadata": {"name": "main-a-0"}, "status": status}) == (
        LedgerSeen(1.5, "main-a-0", 24, 12, 0, False, (seen,)),
    )


def test_a_pgbudget_that_no_operator_has_looked_at_is_no_committed_ledger() -> None:
    (seen,) = changes_of_ledger(1.5, {"metadata": {"name": "main-a-0"}})
    assert not seen.committed


def test_a_pod_is_read_with_its_grant() -> None:
    servers = (ServerGrant(host="main-a-0", port=5432, cap=5), ServerGrant(host="main-b-0", port=5432, cap=3))
    text = Grant(uid="u", generation=7, servers=servers, peer_id=1).model_dump_json()
    raw = {
        "metadata": {"name": X, "annotations": {GRANT_ANNOTATION: text}},
        "spec": {"nodeName": "worker"},
        "status": {"podIP": "10.244.1.5", "conditions": [{"type": "Ready", "status": "True"}]},
    }
    assert changes_of_pod(2, raw) == (pod(2, X, "10.244.1.5", ready=True), GrantWritten(2, X, 7, 8))
