from dataclasses import replace

import pytest

from pgpool_operator.budget import Life, NodeFacts, PodFacts, hold_seconds, life

RUNNING = PodFacts(exists=True, node="w1", deleted=False, finished=False, ended=False, grace_seconds=60.0)
CRASHED = replace(RUNNING, ended=True)
DELETED = replace(RUNNING, deleted=True)
ENDED = replace(DELETED, finished=True, ended=True)
CLEAN = replace(ENDED, left_nothing=True)
GONE = replace(RUNNING, exists=False, gone_since=1000.0)
NEVER_SEEN = replace(GONE, last_seen=False)
REFUSED = replace(RUNNING, finished=True, gone_since=1000.0)
READY = NodeFacts(ready=True, lease_renewed_at=1000.0, alive_since=900.0)
SILENT = NodeFacts(ready=False, lease_renewed_at=1000.0)
OFF = NodeFacts(out_of_service=True)
OVERDUE = NodeFacts(ready=True, lease_renewed_at=1180.0, alive_since=900.0)


@pytest.mark.parametrize(
    ("pod", "node", "verdict"),
    [
        pytest.param(RUNNING, READY, Life.ALIVE, id="a running pod"),
        pytest.param(RUNNING, SILENT, Life.ALIVE, id="a pod that nobody deleted, on a silent node"),
        pytest.param(CRASHED, READY, Life.ALIVE, id="containers ended, but may restart"),
        pytest.param(DELETED, READY, Life.TERMINATING, id="deleted, still running"),
        pytest.param(DELETED, None, Life.TERMINATING, id="deleted, node may not be seen"),
        pytest.param(DELETED, SILENT, Life.UNKNOWN, id="deleted, but its node is silent"),
        pytest.param(ENDED, READY, Life.DEAD_REPORTED, id="deleted and ended"),
        pytest.param(ENDED, SILENT, Life.DEAD_REPORTED, id="ended before the silence"),
        pytest.param(replace(ENDED, deleted=False), READY, Life.DEAD_REPORTED, id="evicted and ended"),
        pytest.param(CLEAN, READY, Life.DEAD_CLEAN, id="deleted and ended, and left nothing"),
        pytest.param(
            replace(CRASHED, deleted=True, left_nothing=True),
            READY,
            Life.TERMINATING,
            id="left nothing, but may be started again",
        ),
        pytest.param(
            replace(GONE, left_nothing=True),
            READY,
            Life.UNKNOWN,
            id="left nothing, and is gone without an end",
        ),
        pytest.param(replace(CRASHED, deleted=True), READY, Life.TERMINATING, id="crashed, then deleted"),
        pytest.param(
            replace(CRASHED, deleted=True), SILENT, Life.UNKNOWN, id="crashed, then cut off and deleted"
        ),
        pytest.param(DELETED, OFF, Life.DEAD_INFERRED, id="deleted, node out of service"),
        pytest.param(replace(DELETED, overdue=True), READY, Life.UNKNOWN, id="deleted long ago, and hangs"),
        pytest.param(
            replace(DELETED, overdue=True), OFF, Life.DEAD_INFERRED, id="it hangs on a node that is off"
        ),
        pytest.param(
            replace(ENDED, overdue=True), READY, Life.DEAD_REPORTED, id="it hung, and has ended at last"
        ),
        pytest.param(
            replace(REFUSED, overdue=True), OVERDUE, Life.UNKNOWN, id="it hung before it was refused"
        ),
        pytest.param(
            replace(ENDED, exists=False, gone_since=1000.0), None, Life.DEAD_REPORTED, id="ended, then gone"
        ),
        pytest.param(
            replace(GONE, deleted=True, ended=True), READY, Life.UNKNOWN, id="crashed, deleted, then gone"
        ),
        pytest.param(replace(GONE, node=""), None, Life.NEVER_BOUND, id="gone before it had a node"),
        pytest.param(replace(GONE, deleted=True), READY, Life.UNKNOWN, id="gone while running"),
        pytest.param(replace(GONE, ended=True), READY, Life.UNKNOWN, id="a crash seen before it was gone"),
        pytest.param(GONE, None, Life.UNKNOWN, id="gone, and so is its node"),
        pytest.param(GONE, SILENT, Life.UNKNOWN, id="gone, node silent"),
        pytest.param(GONE, OVERDUE, Life.DEAD_INFERRED, id="gone, kubelet alive after grace and margin"),
        pytest.param(replace(GONE, overdue=True), OVERDUE, Life.UNKNOWN, id="forced away, and hung before"),
        pytest.param(replace(GONE, overdue=True), OFF, Life.DEAD_INFERRED, id="hung, and its node is off"),
        pytest.param(GONE, replace(OVERDUE, lease_renewed_at=1179.9), Life.UNKNOWN, id="just before that"),
        pytest.param(
            GONE, replace(OVERDUE, alive_since=1170.0), Life.UNKNOWN, id="its kubelet is only just back"
        ),
        pytest.param(
            GONE,
            NodeFacts(ready=True, lease_renewed_at=1350.0, alive_since=1170.0),
            Life.DEAD_INFERRED,
            id="its kubelet is back for grace and margin",
        ),
        pytest.param(
            GONE, replace(OVERDUE, alive_since=None), Life.UNKNOWN, id="since when it lives is not known"
        ),
        pytest.param(replace(GONE, killed=True), SILENT, Life.DEAD_INFERRED, id="killed before the silence"),
        pytest.param(replace(GONE, killed=True), None, Life.DEAD_INFERRED, id="killed, then its node went"),
        pytest.param(GONE, replace(OVERDUE, ready=False), Life.UNKNOWN, id="renewed, but not ready"),
        pytest.param(GONE, NodeFacts(ready=True), Life.UNKNOWN, id="ready, but no renewal seen"),
        pytest.param(GONE, OFF, Life.DEAD_INFERRED, id="gone, node out of service"),
        pytest.param(replace(NEVER_SEEN, node=""), None, Life.UNKNOWN, id="never seen, node not known"),
        pytest.param(NEVER_SEEN, OVERDUE, Life.DEAD_INFERRED, id="never seen, kubelet alive long after"),
        pytest.param(
            replace(GONE, gone_since=None), OVERDUE, Life.UNKNOWN, id="gone since nobody knows when"
        ),
        pytest.param(REFUSED, READY, Life.TERMINATING, id="refused, its kubelet kills what it finds"),
        pytest.param(REFUSED, OVERDUE, Life.DEAD_INFERRED, id="refused, kubelet alive long after"),
        pytest.param(REFUSED, SILENT, Life.UNKNOWN, id="refused, node silent"),
        pytest.param(REFUSED, None, Life.UNKNOWN, id="refused, nobody can prove its end"),
        pytest.param(REFUSED, OFF, Life.DEAD_INFERRED, id="refused, node out of service"),
        pytest.param(
            replace(REFUSED, gone_since=None), OVERDUE, Life.TERMINATING, id="refused, and nobody waits"
        ),
    ],
)
def test_only_a_witness_proves_a_death(pod: PodFacts, node: NodeFacts | None, verdict: Life) -> None:
    assert life(pod, node) is verdict


def test_the_proofs_and_nothing_else_count_as_dead() -> None:
    assert {verdict for verdict in Life if verdict.dead} == {
        Life.NEVER_BOUND,
        Life.DEAD_REPORTED,
        Life.DEAD_CLEAN,
        Life.DEAD_INFERRED,
    }


@pytest.mark.parametrize(
    ("verdict", "detects", "seen", "seconds"),
    [
        pytest.param(Life.NEVER_BOUND, False, True, 0.0, id="what never ran has no backends"),
        pytest.param(Life.DEAD_REPORTED, True, True, 2.0, id="FIN was sent"),
        pytest.param(Life.DEAD_INFERRED, True, True, 25.0, id="its TCP timeout ends it"),
        pytest.param(Life.DEAD_REPORTED, False, True, None, id="the server does not look"),
        pytest.param(Life.DEAD_INFERRED, False, True, None, id="the server does not look, no FIN either"),
        pytest.param(Life.DEAD_CLEAN, False, True, 2.0, id="nothing is left that has to be noticed"),
        pytest.param(Life.DEAD_REPORTED, False, False, 60.0, id="nobody ever logged in"),
    ],
)
def test_a_reservation_is_held_until_the_server_has_noticed(
    verdict: Life, detects: bool, seen: bool, seconds: float | None
) -> None:
    assert hold_seconds(verdict, detects_dead_clients=detects, server_seen=seen) == seconds
