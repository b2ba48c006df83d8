"""The budget comes back into use, without help."""

from tests.bugs.table.bug import (
    AGENT,
    BOOK_PY,
    BUDGET_RECONCILER_PY,
    DEATHS_PY,
    OPERATOR,
    PLAN_PY,
    TEST_AGENT_PLAN,
    TEST_BROKEN,
    TEST_BUDGET_RECONCILER,
    TEST_CLOSINGS,
    TEST_COUNTS,
    TEST_DEATHS,
    TEST_ENDING,
    TEST_PLAN,
    TEST_RUNNER,
    Bug,
)
from tests.bugs.table.guard import Guard

COMES_BACK = (
    Bug(
        name="a-failed-drain-is-never-over",
        guards=Guard.COMES_BACK,
        promise="the budget comes back: a pod whose drain fails ends all the same",
        file=f"{AGENT}/ending.py",
        right='            log.error("the drain failed", error=repr(error))\n',
        wrong="            self.task = ended\n            raise error\n",
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
        file=f"{AGENT}/runner.py",
        right='            self._ended("the engine ended by itself")\n',
        wrong="            pass\n",
        caught_by=(f"{TEST_RUNNER}::test_a_crashed_engine_is_started_again_after_the_hold_and_told",),
    ),
    Bug(
        name="a-mute-engine-is-waited-for",
        guards=Guard.COMES_BACK,
        promise="the budget comes back: an engine that stays mute is ended",
        file=f"{AGENT}/runner.py",
        right="if self._lives.mute_too_long(now) and not ending:",
        wrong="if self._lives.mute_too_long(now) and ending:",
        caught_by=(f"{TEST_RUNNER}::test_an_engine_that_stays_mute_is_ended",),
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
    Bug(
        name="a-back-off-overflows",
        guards=Guard.COMES_BACK,
        promise="the budget comes back: what has failed for days is still tried, and does not end the leader",
        file=f"{OPERATOR}/cluster/queue.py",
        right="backoff(FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS, failures)",
        wrong="min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0**failures)",
        caught_by=(
            "tests/unit/cluster/test_queue.py::"
            "test_a_key_that_fails_for_days_still_comes_back_after_the_longest_delay",
        ),
        because="OverflowError",
    ),
    Bug(
        name="a-poke-overflows",
        guards=Guard.COMES_BACK,
        promise="the budget comes back: a pod that notices nothing for days keeps no other from being granted",
        file=f"{OPERATOR}/reconcile/pokes.py",
        right="backoff(FIRST_SECONDS, LONGEST_SECONDS, known.pokes)",
        wrong="min(LONGEST_SECONDS, FIRST_SECONDS * 2.0**known.pokes)",
        caught_by=(
            "tests/unit/reconcile/test_pokes.py::"
            "test_a_pod_that_notices_nothing_for_days_is_still_poked_once_a_minute",
        ),
        because="OverflowError",
    ),
    Bug(
        name="one-pods-configuration-keeps-the-others-waiting",
        guards=Guard.COMES_BACK,
        promise="a pod that cannot be told of a configuration keeps no other from it, nor the status unsaid",
        file=f"{OPERATOR}/reconcile/pool.py",
        right='log.info("not told", pod=pod.name, pool=facts.key, error=repr(error))',
        wrong="raise",
        caught_by=(
            "tests/unit/reconcile/test_pool_reconciler.py::test_a_pod_that_cannot_be_told_"
            "keeps_no_other_from_its_configuration_nor_the_status_from_being_said",
        ),
    ),
    Bug(
        name="held-by-a-count-for-ever",
        guards=Guard.COMES_BACK,
        promise="the budget comes back: backends that were counted once hold nothing when nobody counts any more",
        file=f"{OPERATOR}/reconcile/counts.py",
        right="return None if found and newest.age > CURRENT_SECONDS else found",
        wrong="return found",
        caught_by=(f"{TEST_COUNTS}::test_a_count_of_some_tells_only_while_it_is_current",),
    ),
    Bug(
        name="a-stranger-holds",
        guards=Guard.COMES_BACK,
        promise="the budget comes back: a stranger's connections from the dead pod's address hold nothing",
        file=f"{OPERATOR}/reconcile/scene.py",
        right="return None if found and any(self.is_used(address, uid) for address in addresses) else found",
        wrong="return found",
        caught_by=(f"{TEST_COUNTS}::test_a_backend_that_may_be_a_strangers_keeps_nothing",),
    ),
    Bug(
        name="reserved-before-it-is-on-a-node",
        guards=Guard.COMES_BACK,
        promise="the budget is where it can be used: a pod that is on no node yet takes nothing from others",
        file=PLAN_PY,
        right="not (_too_late(book, pod) or _too_early(book, pod))]",
        wrong="not _too_late(book, pod)]",
        caught_by=(
            f"{TEST_PLAN}::test_a_pod_that_is_on_no_node_yet_gets_nothing_and_takes_nothing_from_others",
        ),
    ),
    Bug(
        name="looked-for-in-the-ledgers-namespace",
        guards=Guard.COMES_BACK,
        promise="the budget comes back: a pod of another namespace is looked for there, not in the ledger's",
        file=f"{OPERATOR}/reconcile/scene.py",
        right='return "" if namespace == self.budget.metadata.namespace else f"{namespace}/"',
        wrong='return ""',
        caught_by=(
            "tests/unit/reconcile/test_lost_ledger.py::"
            "test_a_pod_of_another_namespace_that_has_lost_all_that_tells_of_its_pool_is_found_there",
        ),
    ),
    Bug(
        name="taken-from-who-cannot-start-and-kept",
        guards=Guard.COMES_BACK,
        promise="the budget comes back: a pod that cannot start an engine gives back what is taken from it",
        file=f"{AGENT}/plan.py",
        right="return takes_away or grant.servers[0].cap == 0",
        wrong="return grant.servers[0].cap == 0",
        caught_by=(f"{TEST_BROKEN}::test_a_pod_that_cannot_start_gives_back_what_is_taken_away",),
    ),
    Bug(
        name="given-to-who-cannot-start",
        guards=Guard.COMES_BACK,
        promise="the budget is where it can be used: who cannot start acknowledges no larger grant",
        file=f"{AGENT}/plan.py",
        right="return takes_away or grant.servers[0].cap == 0",
        wrong="return True",
        caught_by=(f"{TEST_BROKEN}::test_what_a_pod_that_cannot_start_is_given_is_not_in_force",),
    ),
    Bug(
        name="a-server-that-was-left-is-waited-for-for-ever",
        guards=Guard.COMES_BACK,
        promise="the budget comes back: what a server that is gone never confirmed holds nothing at the next one",
        file=f"{AGENT}/hold.py",
        right="not self._kept.isdisjoint((self._server, None))",
        wrong="bool(self._kept)",
        caught_by=(
            f"{TEST_CLOSINGS}::test_what_was_given_up_on_a_server_that_was_left_says_nothing_of_the_next_one",
        ),
    ),
    Bug(
        name="a-server-that-was-left-is-vouched-for-for-ever",
        guards=Guard.COMES_BACK,
        promise="the budget comes back: a pod that has moved says what it left on the server that it has now",
        file=f"{AGENT}/supervisor.py",
        right="            self._lives.given_back()\n",
        wrong="            pass\n",
        caught_by=(
            f"{TEST_ENDING}::"
            "test_what_a_pod_cut_off_to_move_it_need_not_vouch_for_once_it_has_given_that_back",
        ),
    ),
    Bug(
        name="a-ping-is-an-end",
        guards=Guard.COMES_BACK,
        promise="the budget comes back: the socket of a probe is not waited for as for the end of a backend",
        file=f"{AGENT}/sql.py",
        right="tcp_user_timeout=_PING_SECONDS * 1000,",
        wrong="tcp_user_timeout=0,",
        caught_by=(
            "tests/unit/pooler/test_sql.py::test_a_ping_leaves_no_socket_that_waits_longer_than_the_ping",
        ),
    ),
    Bug(
        name="nobody-asked-so-it-never-ends",
        guards=Guard.COMES_BACK,
        promise="the budget comes back: what the engine told the server about dead clients needs no reading back",
        file=f"{AGENT}/closings.py",
        right="self._materials.server_gives_up",
        wrong="self._materials.detects_dead_clients",
        caught_by=(
            f"{TEST_CLOSINGS}::"
            "test_the_server_ends_by_itself_what_the_engine_told_it_to_whatever_nobody_could_read",
        ),
    ),
    Bug(
        name="a-last-look-at-the-old-server-is-the-new-ones",
        guards=Guard.COMES_BACK,
        promise="the budget comes back: what was closed before a move, and is seen at it, is the old server's",
        file=f"{AGENT}/closings.py",
        right="        self.all_confirmed(peers)\n        self._lives.moved(server)\n",
        wrong="        self._lives.moved(server)\n        self.all_confirmed(peers)\n",
        caught_by=(
            f"{TEST_CLOSINGS}::test_what_is_first_seen_at_a_move_was_closed_on_the_server_that_was_left",
        ),
    ),
    Bug(
        name="given-up-by-who-is-used-now",
        guards=Guard.COMES_BACK,
        promise="the budget comes back: what is given up after a move is the old server's, not the new one's",
        file=f"{AGENT}/closings.py",
        right="self._lives.given_up(self._server,",
        wrong="self._lives.given_up(self._lives.server,",
        caught_by=(
            f"{TEST_CLOSINGS}::"
            "test_a_server_that_was_left_and_never_answers_again_is_not_waited_for_for_ever",
        ),
    ),
    Bug(
        name="judged-by-the-next-server",
        guards=Guard.COMES_BACK,
        promise="the budget comes back: what was closed at a move is judged by the server that it was closed on",
        file=f"{AGENT}/runner.py",
        right="        self._reaches(setup)\n        self._takes(setup)\n",
        wrong="        self._takes(setup)\n        self._reaches(setup)\n",
        caught_by=(
            f"{TEST_CLOSINGS}::"
            "test_what_was_closed_at_a_move_is_judged_by_what_is_known_of_the_server_that_was_left",
        ),
    ),
)
