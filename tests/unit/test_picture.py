"""What is told of the cluster when a test has failed."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from e2e import picture, words
from e2e.kube import Kubectl, KubectlError, Object

AT = "2026-11-29T12:00:0{}Z"


def grant(pod: str, state: str, **more: object) -> Object:
    common = {"node": "worker", "reserved": 12, "cap": 12, "generation": 3, "since": AT.format(1)}
    return {"pod": pod, "state": state, **common, "assumedToDetect": False, **more}


def condition(kind: str, status: str, reason: str, message: str, **more: object) -> Object:
    common = {"type": kind, "status": status, "reason": reason, "message": message}
    return {**common, "lastTransitionTime": AT.format(2), **more}


BUDGET: Object = {
    "metadata": {"namespace": "e2e", "name": "main-a-0"},
    "status": {
        "connections": 24,
        "reserved": 24,
        "unknown": 12,
        "grants": [
            grant("app-rw-x", "Active", detectsDeadClients=True),
            grant("app-rw-y", "Unknown", node="", assumedToDetect=True),
        ],
        "conditions": [condition("Held", "True", "PodSilent", "app-rw-y is not heard of")],
    },
}
X = (
    "app-rw-x on worker: Active since 2026-11-29T12:00:01Z, reserved 12, cap 12, generation 3, "
    "detectsDeadClients true, assumedToDetect false"
)
Y = (
    "app-rw-y on no node: Unknown since 2026-11-29T12:00:01Z, reserved 12, cap 12, generation 3, "
    "detectsDeadClients unknown, assumedToDetect true"
)
SUM = "24 of 24 reserved, 12 of them by pods not heard of"
HELD = "Held=True PodSilent since 2026-11-29T12:00:02Z: app-rw-y is not heard of"
POOL: Object = {
    "metadata": {"namespace": "e2e", "name": "app", "generation": 4},
    "status": {"conditions": [condition("Ready", "True", "Serving", "2 of 2 pods", observedGeneration=4)]},
}
OPERATOR: Object = {
    "metadata": {"namespace": "pgpool-system", "name": "pgpool-operator-a"},
    "spec": {"nodeName": "worker"},
    "status": {
        "phase": "Running",
        "containerStatuses": [
            {
                "name": "operator",
                "ready": True,
                "restartCount": 1,
                "state": {"running": {"startedAt": AT.format(4)}},
                "lastState": {
                    "terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": AT.format(3)}
                },
            }
        ],
    },
}
NODE: Object = {
    "metadata": {"name": "worker"},
    "status": {
        "conditions": [
            condition("MemoryPressure", "False", "Enough", "there is enough"),
            condition("Ready", "Unknown", "NodeStatusUnknown", "silent", lastHeartbeatTime=AT.format(0)),
        ]
    },
}
LEASE: Object = {
    "metadata": {"namespace": "kube-node-lease", "name": "worker"},
    "spec": {"renewTime": AT.format(5), "holderIdentity": "worker"},
}
PICTURE = f"""\
== PgBudgets
e2e/main-a-0: {SUM}
  {X}
  {Y}
  {HELD}
== PgPools
e2e/app: generation 4
  Ready=True Serving since 2026-11-29T12:00:02Z, of generation 4: 2 of 2 pods
== pods
pgpool-system/pgpool-operator-a: Running on worker
  operator: running since 2026-11-29T12:00:04Z, restarts 1, before that ended with 137 (OOMKilled) at \
2026-11-29T12:00:03Z
== nodes
worker
  Ready=Unknown NodeStatusUnknown since 2026-11-29T12:00:02Z, heard 2026-11-29T12:00:00Z: silent
== Leases of the kubelets
kube-node-lease/worker: renewed at 2026-11-29T12:00:05Z by worker
== operators
pgpool-system/pgpool-operator-a: Running on worker
  operator: running since 2026-11-29T12:00:04Z, restarts 1, before that ended with 137 (OOMKilled) at \
2026-11-29T12:00:03Z
== logs pgpool-operator-a --tail=120
it leads
== logs pgpool-operator-a --tail=120 --previous
it grew
==== the end of the picture
"""


class Cluster(Kubectl):
    """Answers what it is told to, or fails with it."""

    def __init__(self, answers: Mapping[str, str | Exception], namespace: str = "") -> None:
        super().__init__(Path("kubectl"), Path("kubeconfig"), namespace)
        self._answers = answers

    def within(self, namespace: str) -> "Cluster":
        return Cluster(self._answers, namespace)

    def __call__(self, *args: str, stdin: str | None = None, may_fail: bool = False) -> str:
        assert (stdin, may_fail) == (None, False)
        assert "--request-timeout=10s" in args
        assert ("--namespace=pgpool-system" in self.command()) == (args[0] == "logs")
        what = args[0] if args[0] == "logs" else args[1]
        answer = self._answers["previous" if "--previous" in args else what]
        if isinstance(answer, Exception):
            raise answer
        return answer


def listed(*objects: Object) -> str:
    return json.dumps({"items": objects})


def answers(**changes: str | Exception) -> dict[str, str | Exception]:
    return {
        "--raw": "{}",
        "pgbudgets": listed(BUDGET),
        "pgpools": listed(POOL),
        "pods": listed(OPERATOR),
        "nodes": listed(NODE),
        "leases": listed(LEASE),
        "logs": "it leads\n",
        "previous": "it grew\n",
        **changes,
    }


def taken(**changes: str | Exception) -> list[str]:
    """Without the time."""
    head, *lines = picture.take(Cluster(answers(**changes), "e2e"))
    assert head.startswith("==== the cluster at 2")
    return lines


def test_a_picture_shows_ledgers_pools_pods_nodes_and_how_the_operators_logs_end() -> None:
    assert taken() == PICTURE.splitlines()


def test_what_cannot_be_had_is_said_in_a_line_and_hides_nothing_else() -> None:
    lines = taken(pgpools=KubectlError("kubectl get:\nno such kind"), logs=OSError("no kubectl"), nodes="{")
    assert "not to be had: KubectlError: kubectl get: no such kind" in lines
    assert "not to be had: OSError: no kubectl" in lines
    assert "not to be had: JSONDecodeError: Expecting property name" in "\n".join(lines)
    assert {f"  {HELD}", "it grew", "kube-node-lease/worker: renewed at 2026-11-29T12:00:05Z by worker"} < {
        *lines
    }


def test_a_cluster_that_does_not_answer_is_asked_once() -> None:
    assert taken(**{"--raw": FileNotFoundError("kubectl")}) == [
        "there is no picture of it: FileNotFoundError: kubectl"
    ]


def test_of_many_objects_the_first_are_shown() -> None:
    lines = taken(pgpools=listed(*[{"metadata": {"name": f"pool-{number}"}} for number in range(200)]))
    start = lines.index("== PgPools") + 1
    assert lines[start + 149 : start + 152] == [
        "pool-149: generation None",
        "... and 50 lines more",
        "== pods",
    ]


def test_an_error_that_is_raised_again_gets_no_second_picture() -> None:
    error = AssertionError("the operator does not come")
    assert list(picture.once(error, Cluster(answers())))
    assert list(picture.once(error, Cluster(answers()))) == []
    assert list(picture.once(AssertionError("the operator does not come"), Cluster(answers())))


def test_a_budget_that_is_not_settled_names_the_grants_that_are_not_active() -> None:
    assert words.of_unsettled(BUDGET) == f"{SUM}; {Y}; {HELD}"


def test_a_pod_that_goes_is_told_with_what_its_containers_ended_with() -> None:
    ended = {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": AT.format(6)}}
    pod = {
        "metadata": {"namespace": "e2e", "name": "app-rw-x", "deletionTimestamp": AT.format(5)},
        "status": {
            "phase": "Failed",
            "reason": "Evicted",
            "initContainerStatuses": [
                {"name": "first", "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "later"}}}
            ],
            "containerStatuses": [{"name": "pooler", "state": ended, "restartCount": 0}, {"name": "other"}],
        },
    }
    assert words.of_pod(pod) == [
        "e2e/app-rw-x: Failed (Evicted) on no node, deletionTimestamp 2026-11-29T12:00:05Z",
        "  first: not ready, waiting (CrashLoopBackOff: later), restarts None",
        "  pooler: not ready, ended with 1 (Error) at 2026-11-29T12:00:06Z, restarts 0",
        "  other: not ready, in no state, restarts None",
    ]


@pytest.mark.parametrize(
    "put", [words.of_budget, words.of_pool, words.of_pod, words.of_node, words.of_lease, words.of_unsettled]
)
def test_an_object_of_which_nothing_is_known_yet_is_told(put: Callable[[Object], object]) -> None:
    assert put({"metadata": {"name": "new"}})
