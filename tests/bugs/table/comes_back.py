"""The budget comes back into use, without help."""

from tests.bugs.table.bug import (
    AGENT,
    BOOK_PY,
    BUDGET_RECONCILER_PY,
    DEATHS_PY,
    PLAN_PY,
    TEST_AGENT_PLAN,
    TEST_BROKEN,
    TEST_BUDGET_RECONCILER,
    TEST_DEATHS,
    TEST_PLAN,
    TEST_SUPERVISOR,
    Bug,
)
from tests.bugs.table.guard import Guard

COMES_BACK = (
    Bug(
        name="a-failed-drain-is-never-over",
        guards=Guard.COMES_BACK,
        promise="the budget comes back: a pod whose drain fails ends all the same",
        file=f"{AGENT}/supervisor.py",
        right='            log.error("the drain failed", error=repr(error))\n',
        wrong="            self._drain = drain\n            raise error\n",
        caught_by=(f"{TEST_BROKEN}::test_a_drain_that_fails_leaves_no_engine_and_the_pod_can_end",),
        because="TimeoutError",
    ),
    Bug(
        name="half-revived-and-left",
        guards=Guard.COMES_BACK,
        promise="the budget comes back: a database that is paused by itself is served again, whatever else it is",
        file=f"{AGENT}/plan.py",
        right="if name in wanted and name in view.status.withheld:",
        wrong="if name in wanted and name in view.status.retired:",
        caught_by=(
            f"{TEST_AGENT_PLAN}::"
            "test_a_database_that_was_only_half_revived_is_revived_and_not_settled_before",
        ),
    ),
    Bug(
        name="a-silent-pod-grows",
        guards=Guard.COMES_BACK,
        promise="the budget is where it can be used: what a silent pod once wanted takes nothing from others",
        file=PLAN_PY,
        right="return _frozen(claim) if frozen or pod.silent else claim",
        wrong="return _frozen(claim) if frozen else claim",
        caught_by=(
            f"{TEST_PLAN}::"
            "test_a_silent_pod_keeps_what_it_has_and_takes_nothing_from_others_whatever_it_once_wanted",
        ),
    ),
    Bug(
        name="the-dead-hold-for-ever",
        guards=Guard.COMES_BACK,
        promise="the budget comes back: what the dead held is free when their backends must have ended",
        file=BOOK_PY,
        right="if self._written_off(pod) or (self._drained(pod) and not self.recovering):",
        wrong="if self._written_off(pod):",
        caught_by=(f"{TEST_PLAN}::test_what_the_dead_held_is_freed_when_their_backends_must_have_ended",),
    ),
    Bug(
        name="nobody-looks-when-a-hold-is-over",
        guards=Guard.COMES_BACK,
        promise="the budget comes back: the end of a hold, which no event tells of, is looked for",
        file=BUDGET_RECONCILER_PY,
        right="pauses = [books.plan.look_again, await self._send(scene, orders)]",
        wrong="pauses = [await self._send(scene, orders)]",
        caught_by=(
            f"{TEST_BUDGET_RECONCILER}::"
            "test_a_pod_that_the_kubelet_reported_ended_gives_its_connections_back_after_the_hold",
        ),
    ),
    Bug(
        name="nobody-looks-at-who-is-held",
        guards=Guard.COMES_BACK,
        promise="the budget comes back: the proof of an Unknown pod's death is looked for",
        file=BUDGET_RECONCILER_PY,
        right="            pauses.append(HELD_SECONDS)\n",
        wrong="            pass\n",
        caught_by=(
            f"{TEST_BUDGET_RECONCILER}::"
            "test_a_pod_without_a_word_keeps_its_connections_and_is_looked_at_again",
        ),
    ),
    Bug(
        name="the-kubelets-last-word-is-not-heard",
        guards=Guard.COMES_BACK,
        promise="the budget comes back: the last version of a deleted pod proves its death",
        file=DEATHS_PY,
        right="last = pod if change is Change.DELETED else None",
        wrong="last = None",
        caught_by=(f"{TEST_DEATHS}::test_the_last_version_of_a_deleted_object_counts",),
    ),
    Bug(
        name="a-renewed-lease-is-not-noticed",
        guards=Guard.COMES_BACK,
        promise="the budget comes back: a kubelet that is heard after a pod has vanished proves its death",
        file=DEATHS_PY,
        right="self.renew_time, self.renewed_at, self.noticed_at = renew_time, self.looked_at, begun",
        wrong="self.renew_time, self.noticed_at = renew_time, begun",
        caught_by=(
            f"{TEST_DEATHS}::"
            "test_a_missing_pod_is_dead_once_its_kubelet_lived_on_for_the_grace_period_and_a_margin",
        ),
    ),
    Bug(
        name="what-was-given-back-stays-reserved",
        guards=Guard.COMES_BACK,
        promise="the budget comes back: what a pod acknowledged to have given back is free",
        file=BOOK_PY,
        right="                self.entries[uid] = replace(entry, reserved=entry.cap)\n",
        wrong="                continue\n",
        caught_by=(f"{TEST_PLAN}::test_what_a_pod_acknowledged_to_have_given_back_is_granted_at_once",),
    ),
    Bug(
        name="who-has-left-is-waited-for",
        guards=Guard.COMES_BACK,
        promise="the budget comes back: a pod that has left for another server holds nothing here",
        file=BOOK_PY,
        right="if not pod.assigned and _has_left(pod.report, entry):",
        wrong="if pod.orphan and _has_left(pod.report, entry):",
        caught_by=(f"{TEST_PLAN}::test_a_pod_that_has_left_is_freed",),
    ),
    Bug(
        name="a-ledger-recovers-for-ever",
        guards=Guard.COMES_BACK,
        promise="the budget comes back: a lost ledger is sound again when every pod was heard and has drained",
        file=BOOK_PY,
        right="self.recovering = bool(self.awaited())",
        wrong="self.recovering = True",
        caught_by=(
            f"{TEST_PLAN}::test_a_pod_that_has_not_drained_yet_may_hold_what_an_overwritten_grant_allowed",
        ),
    ),
    Bug(
        name="who-cannot-hold-anything-is-waited-for",
        guards=Guard.COMES_BACK,
        promise="the budget comes back: a lost ledger waits for no pod that no node has yet",
        file=BOOK_PY,
        right="return not pod.node or not (pod.known_generation or pod.started)",
        wrong="return not (pod.known_generation or pod.started)",
        caught_by=(f"{TEST_PLAN}::test_a_pod_that_no_node_has_yet_is_not_waited_for",),
    ),
    Bug(
        name="one-pod-keeps-the-others-waiting",
        guards=Guard.COMES_BACK,
        promise="the budget comes back: a pod that cannot be written keeps no other from its grant",
        file=BUDGET_RECONCILER_PY,
        right="                failures.append(error)\n",
        wrong="                raise\n",
        caught_by=(
            f"{TEST_BUDGET_RECONCILER}::test_a_pod_that_cannot_be_written_keeps_no_other_from_its_grant",
        ),
    ),
    Bug(
        name="a-lost-wake-up-is-waited-for",
        guards=Guard.COMES_BACK,
        promise="the budget comes back: a pod whose kubelet missed its grant is poked",
        file=BUDGET_RECONCILER_PY,
        right='return [await self._pods.poke(pod, "grant", str(grant.generation))]',
        wrong="return []",
        caught_by=(
            f"{TEST_BUDGET_RECONCILER}::"
            "test_a_pod_that_does_not_notice_its_grant_is_poked_after_a_second_and_a_half",
        ),
    ),
    Bug(
        name="a-crashed-engine-stays-down",
        guards=Guard.COMES_BACK,
        promise="the budget comes back: an engine that ended by itself is started again",
        file=f"{AGENT}/supervisor.py",
        right='            self._ended("the engine ended by itself")\n',
        wrong="            pass\n",
        caught_by=(f"{TEST_SUPERVISOR}::test_a_crashed_engine_is_started_again_after_the_hold_and_told",),
    ),
    Bug(
        name="a-mute-engine-is-waited-for",
        guards=Guard.COMES_BACK,
        promise="the budget comes back: an engine that stays mute is ended",
        file=f"{AGENT}/supervisor.py",
        right="if self._lives.mute_too_long(now) and self._drain is None:",
        wrong="if self._lives.mute_too_long(now) and self._leaving:",
        caught_by=(f"{TEST_SUPERVISOR}::test_an_engine_that_stays_mute_is_ended",),
    ),
    Bug(
        name="a-pause-that-does-not-end",
        guards=Guard.COMES_BACK,
        promise="the budget comes back: when an outage is over, clients are served again",
        file=f"{AGENT}/plan.py",
        right="        step = Resume()\n",
        wrong="        step = Idle()\n",
        caught_by=(f"{TEST_AGENT_PLAN}::test_an_outage_pauses_and_its_end_resumes",),
    ),
    Bug(
        name="a-persons-word-is-not-heard",
        guards=Guard.RELEASED_BY_A_PERSON,
        promise="the budget comes back: a person's release frees what nothing else can",
        file=BOOK_PY,
        right="return pod.released and unprovable",
        wrong="return False",
        caught_by=(
            f"{TEST_BUDGET_RECONCILER}"
            "::test_a_refused_pod_on_a_silent_node_is_held_until_a_person_releases_it",
        ),
    ),
    Bug(
        name="a-persons-word-needs-proof",
        guards=Guard.RELEASED_BY_A_PERSON,
        promise="the budget comes back: a person's release frees the dead that cannot be proven drained",
        file=BOOK_PY,
        right="return hold is None or (bool",
        wrong="return hold is not None and (bool",
        caught_by=(f"{TEST_PLAN}::test_the_dead_that_cannot_be_proven_drained_are_freed_by_a_persons_word",),
    ),
)
