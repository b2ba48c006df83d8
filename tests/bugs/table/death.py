"""Proofs of death: absence is none."""

from tests.bugs.table.bug import (
    BUDGET_RECONCILER_PY,
    DEATH_PY,
    DEATHS_PY,
    OPERATOR,
    TEST_BUDGET_RECONCILER,
    TEST_DEATH,
    TEST_DEATHS,
    Bug,
)

_STORE = f"{OPERATOR}/cluster/store.py"
_TEST_STORE = "tests/unit/cluster/test_store.py"
_TEST_HEALTH = "tests/unit/test_health.py"

DEATHS = (
    Bug(
        name="a-crash-is-death",
        promise="proof of death: ended containers count only with a final phase; a crashed one may run again",
        file=DEATH_PY,
        right="if pod.last_seen and pod.finished and pod.ended:",
        wrong="if pod.last_seen and (pod.deleted or pod.finished) and pod.ended:",
        caught_by=(f"{TEST_DEATHS}::test_a_crash_that_was_reported_before_a_deletion_is_no_end",),
    ),
    Bug(
        name="any-final-phase-is-the-kubelets",
        promise="proof of death: the kubelet says so, not the collector of pods whose Node object is gone",
        file=f"{OPERATOR}/reconcile/pods.py",
        right="ended=_ended(spec, status) and not _given_up(status),",
        wrong="ended=_ended(spec, status),",
        caught_by=(f"{TEST_DEATHS}::test_the_final_phase_that_the_control_plane_gives_an_orphan_is_no_end",),
    ),
    Bug(
        name="deleted-is-death",
        promise="proof of death: a deletion is only a wish until the kubelet reports the containers ended",
        file=DEATH_PY,
        right="if pod.last_seen and pod.finished and pod.ended:",
        wrong="if pod.last_seen and (pod.deleted or (pod.finished and pod.ended)):",
        caught_by=(TEST_DEATH,),
    ),
    Bug(
        name="init-containers-do-not-count",
        promise="proof of death: every container has ended, init and ephemeral ones too",
        file=f"{OPERATOR}/reconcile/pods.py",
        right='        ("initContainers", "initContainerStatuses"),\n',
        wrong="",
        caught_by=(
            "tests/unit/reconcile/test_pods.py::test_a_pod_has_ended_when_every_container_of_every_sort_has",
        ),
    ),
    Bug(
        name="an-old-sight-is-the-last",
        promise="proof of death: only the last state of an object counts, the DELETED event's",
        file=DEATHS_PY,
        right="last = pod if change is Change.DELETED else None",
        wrong="last = pod",
        caught_by=(f"{TEST_DEATHS}::test_a_version_that_may_not_be_the_last_proves_nothing",),
    ),
    Bug(
        name="not-seen-on-a-node-is-never-bound",
        promise="proof of death: never bound to a node, seen to the end",
        file=DEATH_PY,
        right="if pod.last_seen and not pod.exists and not pod.node:",
        wrong="if not pod.exists and not pod.node:",
        caught_by=(TEST_DEATH,),
    ),
    Bug(
        name="the-kubelet-has-no-time",
        promise="proof of death: the kubelet is alive for the grace period and 120 s after the object is gone",
        file=DEATH_PY,
        right="looking_since + pod.grace_seconds + GONE_MARGIN_SECONDS",
        wrong="looking_since",
        caught_by=(TEST_DEATH,),
    ),
    Bug(
        name="a-kubelet-that-is-back-has-looked",
        promise="proof of death: the kubelet is alive for as long without a break, not heard once after a cut",
        file=DEATH_PY,
        right="looking_since = max(pod.gone_since, node.alive_since)",
        wrong="looking_since = pod.gone_since",
        caught_by=(f"{TEST_DEATHS}::test_one_renewal_after_a_long_cut_proves_nothing",),
    ),
    Bug(
        name="a-break-is-none",
        promise="proof of death: what the kubelet missed in a cut, it may find long after",
        file=DEATHS_PY,
        right="if self.noticed_at is None or ended > self.noticed_at + LEASE_GAP_SECONDS:",
        wrong="if self.noticed_at is None:",
        caught_by=(f"{TEST_DEATHS}::test_one_renewal_after_a_long_cut_proves_nothing",),
    ),
    Bug(
        name="a-proof-is-forgotten",
        promise="proof of death: what was proven holds, however seldom anybody looks at the Lease then",
        file=DEATHS_PY,
        right="lost.killed = lost.killed or found is Life.DEAD_INFERRED",
        wrong="pass",
        caught_by=(
            f"{TEST_DEATHS}::test_a_proof_holds_when_nobody_looks_for_a_while_or_the_kubelet_is_silent_then",
        ),
    ),
    Bug(
        name="the-kubelet-saw-every-deletion",
        promise="proof of death: the longest grace period counts that the kubelet may go by",
        file=f"{OPERATOR}/reconcile/pods.py",
        right=(
            'max(meta.get("deletionGracePeriodSeconds", 0), spec.get("terminationGracePeriodSeconds", 0))'
        ),
        wrong='meta.get("deletionGracePeriodSeconds", spec.get("terminationGracePeriodSeconds", 0))',
        caught_by=(
            "tests/unit/reconcile/test_pods.py"
            "::test_a_kubelet_that_did_not_see_a_forced_deletion_goes_by_the_spec",
        ),
    ),
    Bug(
        name="a-refused-pod-is-waited-for-for-ever",
        promise="a pod that its kubelet refused is proven dead like one whose object is gone",
        file=DEATHS_PY,
        right="return replace(facts, gone_since=lost.since, killed=lost.killed)",
        wrong="return replace(facts, killed=lost.killed)",
        caught_by=(f"{TEST_DEATHS}::test_a_refused_pod_is_waited_for_until_its_kubelet_must_have_killed_it",),
    ),
    Bug(
        name="a-refused-pod-never-ran",
        promise="a kubelet that restarts may refuse what it ran before: a final phase alone is no end",
        file=DEATH_PY,
        right="if pod.last_seen and pod.finished and pod.ended:",
        wrong="if pod.last_seen and pod.finished:",
        caught_by=(f"{TEST_DEATHS}::test_a_refused_pod_is_waited_for_until_its_kubelet_must_have_killed_it",),
    ),
    Bug(
        name="nobody-looks-whether-it-is-proven",
        promise="a pod that its kubelet refused gives its connections back by itself",
        file=BUDGET_RECONCILER_PY,
        right="if books.plan.held or books.plan.awaited or self._awaits_a_proof(books.plan):",
        wrong="if books.plan.held or books.plan.awaited:",
        caught_by=(
            f"{TEST_BUDGET_RECONCILER}"
            "::test_a_refused_pod_gives_its_connections_back_once_its_kubelet_must_have_killed_it",
        ),
    ),
    Bug(
        name="freed-by-the-last-operator-only",
        promise="what the dead gave back is not counted again, whoever is the operator",
        file=BUDGET_RECONCILER_PY,
        right="freed=pod.uid in freed)",
        wrong="freed=False)",
        caught_by=(
            f"{TEST_BUDGET_RECONCILER}"
            "::test_what_a_refused_pod_gave_back_is_not_counted_again_by_the_next_operator",
        ),
    ),
    Bug(
        name="a-kubelet-that-is-not-ready-counts",
        promise="proof of death: the kubelet that renews its Lease is Ready",
        file=DEATH_PY,
        right="if not node.ready or node.lease_renewed_at is None",
        wrong="if node.lease_renewed_at is None",
        caught_by=(TEST_DEATH,),
    ),
    Bug(
        name="a-lease-that-is-there-was-renewed",
        promise="proof of death: the operator itself has seen the Lease renewed, by its own clock",
        file=DEATHS_PY,
        right="_Lease(renew_time, begun))",
        wrong="_Lease(renew_time, begun, begun, begun, begun))",
        caught_by=(f"{TEST_DEATHS}::test_the_first_sight_of_a_lease_is_no_renewal",),
    ),
    Bug(
        name="a-late-answer-is-a-renewal",
        promise="proof of death: an answer that came late does not tell of a renewal",
        file=DEATHS_PY,
        right="if known.looked_at != before:",
        wrong="if before is None:",
        caught_by=(f"{TEST_DEATHS}::test_a_look_that_is_answered_late_is_no_renewal",),
    ),
    Bug(
        name="any-taint-is-out-of-service",
        promise="proof of death: the node is tainted out-of-service, by that name",
        file=DEATHS_PY,
        right="out_of_service=_OUT_OF_SERVICE in taints",
        wrong="out_of_service=bool(taints)",
        caught_by=(f"{TEST_DEATHS}::test_another_taint_proves_nothing",),
    ),
    Bug(
        name="a-missing-node-is-death",
        promise="absence is not death: a missing Node object proves nothing",
        file=DEATH_PY,
        right="(node is not None and _proves_the_end(node, pod))",
        wrong="node is None or _proves_the_end(node, pod)",
        caught_by=(TEST_DEATH,),
    ),
    Bug(
        name="absence-is-death",
        promise="absence is not death: that the object of a pod is gone proves nothing",
        file=DEATH_PY,
        right="if pod.last_seen and not pod.exists and not pod.node:",
        wrong="if pod.last_seen and not pod.exists:",
        caught_by=(TEST_DEATH,),
    ),
    Bug(
        name="the-unknown-are-dead",
        promise="absence is not death: who is not proven dead is Unknown, and counted",
        file=DEATH_PY,
        right="return Life.TERMINATING if being_killed else Life.UNKNOWN",
        wrong="return Life.TERMINATING if being_killed else Life.DEAD_INFERRED",
        caught_by=(TEST_DEATH,),
    ),
    Bug(
        name="only-who-leads-looks",
        promise="the proofs of death go on when another replica leads: each follows them all the time",
        file=DEATHS_PY,
        right="list(self._to_look_at())",
        wrong="()",
        caught_by=(f"{TEST_DEATHS}::test_who_leads_next_goes_on_with_the_proof_that_it_has_followed",),
    ),
    Bug(
        name="a-lost-deletion-is-a-dead-watch",
        promise="the proofs of death go on when a watch has lost a deletion: it does not end the leader",
        file=f"{OPERATOR}/health.py",
        right="        return changed\n",
        wrong="        return changed + gone\n",
        caught_by=(_TEST_HEALTH,),
    ),
    Bug(
        name="a-restart-is-not-noticed",
        promise="proof of death: a deletion that a watch lost when it started again is found soon after",
        file=f"{OPERATOR}/watching.py",
        right='if event["type"] is None:',
        wrong='if event["type"] == "NONE":',
        caught_by=(
            "tests/unit/test_watching.py"
            "::test_an_object_that_is_listed_tells_that_the_watch_of_its_kind_has_started",
        ),
    ),
    Bug(
        name="too-late-for-the-last-word",
        promise="proof of death: the last state of an object counts, also if it comes after its absence",
        file=_STORE,
        right="        return Untold(changed, gone)\n",
        wrong="        shelf.missed.clear()\n        return Untold(changed, gone)\n",
        caught_by=(_TEST_STORE,),
    ),
    Bug(
        name="an-older-reply-raises-the-dead",
        promise="proof of death: what was found to be gone is not back by a reply that is older",
        file=_STORE,
        right='            shelf.buried[known["metadata"]["uid"]] = int(list_version)\n',
        wrong="",
        caught_by=(_TEST_STORE,),
    ),
)
