"""The table: what is promised, one deliberate bug against each promise, and the tests that must fail with it."""

from dataclasses import dataclass, replace

from e2e.world import BUDGET


@dataclass(frozen=True)
class Bug:
    """One wrong change of the product."""

    name: str
    promise: str
    """What it breaks, in words."""
    file: str
    """Relative to the repository."""
    right: str
    """A text that the file has exactly once."""
    wrong: str
    """What stands there instead."""
    caught_by: tuple[str, ...]
    """What pytest is to run: paths, node ids, options. Something of it must fail with the bug, and only then."""
    because: str = ""
    """What pytest's summary must say of the failure, among other things; empty: that an assertion failed."""


_OPERATOR = "operator/pgpool_operator"
_AGENT = "pooler/pgpool_pooler/agent"
_PGBOUNCER = "pooler/pgpool_pooler/engines/pgbouncer"

_BOOK = f"{_OPERATOR}/budget/book.py"
_DEATH = f"{_OPERATOR}/budget/death.py"
_PLAN = f"{_OPERATOR}/budget/plan.py"
_DEATHS = f"{_OPERATOR}/reconcile/deaths.py"
_BUDGET_RECONCILER = f"{_OPERATOR}/reconcile/budget.py"
_STORE = f"{_OPERATOR}/cluster/store.py"

_TEST_PLAN = "tests/unit/budget/test_plan.py"
_TEST_IDENTITY = "tests/unit/budget/test_identity.py"
_TEST_HANDOVER = "tests/unit/budget/test_handover.py"
_TEST_SESSIONS = "tests/unit/reconcile/test_sessions.py"
_TEST_CLAIMED = "tests/unit/reconcile/test_claimed.py"
_TEST_ALIASED = "tests/unit/reconcile/test_aliased.py"
_TEST_DEATH = "tests/unit/budget/test_death.py"
_TEST_DEATHS = "tests/unit/reconcile/test_deaths.py"
_TEST_BUDGET_RECONCILER = "tests/unit/reconcile/test_budget_reconciler.py"
_TEST_API = "tests/unit/cluster/test_api.py"
_TEST_STORE = "tests/unit/cluster/test_store.py"
_TEST_HEALTH = "tests/unit/test_health.py"
_TEST_SUPERVISOR = "tests/unit/pooler/test_supervisor.py"
_TEST_BROKEN = "tests/unit/pooler/test_broken.py"
_TEST_AGENT_PLAN = "tests/unit/pooler/test_plan.py"
_TEST_PGBOUNCER = "tests/unit/pooler/test_pgbouncer_engine.py"
_TEST_TIMING = "tests/unit/pooler/test_timing.py"
_TEST_SHEDDING = "tests/unit/pooler/test_shedding.py"
_TEST_LONG = "e2e/test_budget.py::test_connections_in_long_transactions_are_counted_until_those_end"
_TEST_CUT_OFF = (
    "e2e/test_budget.py::test_what_a_pod_closes_while_it_is_cut_off_from_the_database_is_not_given_to_others"
)
_TEST_ROLL_OUT = "e2e/test_no_harm.py::test_no_transaction_fails_while_the_poolers_change[roll_out]"
_TEST_FAULT = "e2e/test_faults.py::test_the_budget_holds_through_a_fault"

_THE_LEDGER = (
    Bug(
        name="growth-needs-no-room",
        promise="the sum of all reservations never exceeds the budget",
        file=_BOOK,
        right="room = size.connections - self.reserved",
        wrong="room = size.connections",
        caught_by=(f"{_TEST_PLAN}::test_to_make_room_caps_shrink_first_and_nothing_grows_yet",),
    ),
    Bug(
        name="sent-but-not-reserved",
        promise="reserve before sending",
        file=_BOOK,
        right="reserved, generation = max(reserved, reachable), _next(pod, entry)",
        wrong="generation = _next(pod, entry)",
        caught_by=(f"{_TEST_PLAN}::test_what_is_ordered_is_reserved",),
    ),
    Bug(
        name="released-when-ordered",
        promise="release only on acknowledgement: a shrink frees nothing by itself",
        file=_BOOK,
        right="replace(entry, cap=targets[uid], generation=",
        wrong="replace(entry, cap=targets[uid], reserved=targets[uid], generation=",
        caught_by=(f"{_TEST_PLAN}::test_to_make_room_caps_shrink_first_and_nothing_grows_yet",),
    ),
    Bug(
        name="released-by-an-old-acknowledgement",
        promise="release only on acknowledgement of the current generation",
        file=_BOOK,
        right="return report.acknowledged == entry.generation and report.cap_here <= entry.cap\n",
        wrong="return report.acknowledged > 0\n",
        caught_by=(f"{_TEST_PLAN}::test_nothing_is_released_but_on_the_current_generation",),
    ),
    Bug(
        name="released-on-acceptance",
        promise="release only once drained: that a pod follows a grant says not that it has given back",
        file=_BOOK,
        right="return report.acknowledged == entry.generation and report.cap_here <= entry.cap\n",
        wrong="return report.generation == entry.generation\n",
        caught_by=(f"{_TEST_PLAN}::test_nothing_is_released_but_on_the_current_generation",),
    ),
    Bug(
        name="released-by-another-grant-of-the-same-generation",
        promise="release only on acknowledgement of what was granted: a restored ledger may use a generation twice",
        file=_BOOK,
        right="return report.acknowledged == entry.generation and report.cap_here <= entry.cap\n",
        wrong="return report.acknowledged == entry.generation\n",
        caught_by=(
            f"{_TEST_PLAN}::"
            "test_a_pod_that_follows_another_grant_of_the_generation_that_it_acknowledges_gives_nothing_back",
        ),
    ),
    Bug(
        name="grown-while-another-grant-is-on-its-way",
        promise="one grant at a time is on its way to a pod",
        file=_BOOK,
        right="return pod.report is not None and pod.report.acknowledged >= entry.generation\n",
        wrong="return True\n",
        caught_by=(f"{_TEST_PLAN}::test_one_grant_at_a_time_is_under_way",),
    ),
    Bug(
        name="committed-before-it-is-drained",
        promise="a lower budget shrinks grants first, and is committed when they are drained",
        file=_PLAN,
        right="committed = max(size.connections, book.reserved)",
        wrong="committed = size.connections",
        caught_by=(f"{_TEST_PLAN}::test_a_lowered_budget_stays_committed_until_it_is_drained",),
    ),
    Bug(
        name="left-with-connections-open",
        promise="a move between servers: the old one is released only when nothing is open there",
        file=_BOOK,
        right="report.cap_here == 0 and report.open_here == 0",
        wrong="report.cap_here == 0",
        caught_by=(f"{_TEST_PLAN}::test_a_pod_that_has_not_left_is_counted",),
    ),
    Bug(
        name="more-than-floors-before-the-server-was-asked",
        promise="before the server's max_connections is known, floors are all that is granted",
        file=_PLAN,
        right="frozen=frozen or size.provisional)",
        wrong="frozen=frozen)",
        caught_by=(f"{_TEST_PLAN}::test_without_max_connections_only_floors_are_granted",),
    ),
    Bug(
        name="a-share-of-a-size-that-is-not-known",
        promise="before the server's max_connections is known, pods in session mode get no more than floors either",
        file=_PLAN,
        right="(_least,) if frozen else (_fixed",
        wrong="(_fixed,) if frozen else (_fixed",
        caught_by=(
            f"{_TEST_SESSIONS}::test_before_max_connections_is_known_pods_in_session_mode_get_floors",
        ),
    ),
    Bug(
        name="sessions-take-the-others-floors",
        promise="pods in session mode leave room for the other pools' pods, and for one that is replaced",
        file=f"{_OPERATOR}/budget/fit.py",
        right="room = connections - sum(others) - max(others, default=0)",
        wrong="room = connections",
        caught_by=(
            f"{_TEST_SESSIONS}::test_a_pool_in_session_mode_rolls_out_beside_one_in_transaction_mode",
        ),
    ),
    Bug(
        name="a-lost-ledger-starts-anew",
        promise="a lost ledger freezes growth until every pod was heard or is proven dead",
        file=_PLAN,
        right="    if not book.recovering:\n        book.grow(targets, size)",
        wrong="    book.grow(targets, size)",
        caught_by=(f"{_TEST_PLAN}::test_nothing_grows_until_every_pod_was_heard",),
    ),
    Bug(
        name="an-unwritten-ledger-is-trusted",
        promise="a ledger that was never written may be one that was lost",
        file=f"{_OPERATOR}/reconcile/bookkeeping.py",
        right=" or status.observed_generation < 0",
        wrong="",
        caught_by=(
            "tests/unit/reconcile/test_world.py::test_a_ledger_that_was_never_written_may_be_one_that_was_lost",
        ),
    ),
    Bug(
        name="an-edited-ledger-is-trusted",
        promise="a ledger that somebody edited freezes growth as a lost one does",
        file=f"{_OPERATOR}/reconcile/bookkeeping.py",
        right=" or edited",
        wrong="",
        caught_by=(
            "tests/unit/reconcile/test_lost_ledger.py::"
            "test_an_edited_ledger_lets_nothing_grow_until_its_pods_are_heard",
        ),
    ),
    Bug(
        name="a-rolled-back-ledger-is-trusted",
        promise="a pod whose grant is above the ledger's generation shows that the ledger was rolled back",
        file=_BOOK,
        right="if generation >= entry.generation and (generation, cap)",
        wrong="if generation and not entry.generation and (generation, cap)",
        caught_by=(
            f"{_TEST_PLAN}::test_an_annotation_above_the_ledgers_generation_shows_that_it_was_rolled_back",
        ),
    ),
    Bug(
        name="a-rolled-back-cluster-is-trusted",
        promise="a pod that reports a generation above all that is written shows that all was rolled back",
        file=_BOOK,
        right="somewhere and pod.report.generation > written",
        wrong="False",
        caught_by=(
            f"{_TEST_PLAN}::test_a_pod_that_has_less_than_a_rolled_back_ledger_says_is_not_granted_that_again",
        ),
    ),
    Bug(
        name="released-by-a-person-against-proof",
        promise="a person's release is obeyed only for pods that are Unknown",
        file=_BOOK,
        right="return pod.released and unprovable",
        wrong="return pod.released",
        caught_by=(f"{_TEST_PLAN}::test_a_persons_word_is_not_obeyed_where_there_is_proof_or_will_be",),
        because="KeyError: 'a'",
    ),
    Bug(
        name="generations-by-ledger",
        promise="generations of a pod only rise, over all ledgers together",
        file=_BOOK,
        right="return max(entry.generation, _known(pod)) + 1",
        wrong="return entry.generation + 1",
        caught_by=(f"{_TEST_PLAN}::test_a_generation_is_above_every_one_that_anybody_knows",),
    ),
)

_PROOFS_OF_DEATH = (
    Bug(
        name="noticed-in-another-mode",
        promise="what the server does about dead clients in one pool mode is not taken for the other",
        file=f"{_AGENT}/enquiries.py",
        right='self.identity.model_copy(update={"detects_dead_clients": False})',
        wrong="self.identity",
        caught_by=("tests/unit/pooler/test_identity.py",),
    ),
    Bug(
        name="a-crash-is-death",
        promise="proof of death: ended containers count only with a final phase; a crashed one may run again",
        file=_DEATH,
        right="if pod.last_seen and pod.finished and pod.ended:",
        wrong="if pod.last_seen and (pod.deleted or pod.finished) and pod.ended:",
        caught_by=(f"{_TEST_DEATHS}::test_a_crash_that_was_reported_before_a_deletion_is_no_end",),
    ),
    Bug(
        name="any-final-phase-is-the-kubelets",
        promise="proof of death: the kubelet says so, not the collector of pods whose Node object is gone",
        file=f"{_OPERATOR}/reconcile/pods.py",
        right="ended=_ended(spec, status) and not _given_up(status),",
        wrong="ended=_ended(spec, status),",
        caught_by=(f"{_TEST_DEATHS}::test_the_final_phase_that_the_control_plane_gives_an_orphan_is_no_end",),
    ),
    Bug(
        name="deleted-is-death",
        promise="proof of death: a deletion is only a wish until the kubelet reports the containers ended",
        file=_DEATH,
        right="if pod.last_seen and pod.finished and pod.ended:",
        wrong="if pod.last_seen and (pod.deleted or (pod.finished and pod.ended)):",
        caught_by=(_TEST_DEATH,),
    ),
    Bug(
        name="init-containers-do-not-count",
        promise="proof of death: every container has ended, init and ephemeral ones too",
        file=f"{_OPERATOR}/reconcile/pods.py",
        right='        ("initContainers", "initContainerStatuses"),\n',
        wrong="",
        caught_by=(
            "tests/unit/reconcile/test_pods.py::test_a_pod_has_ended_when_every_container_of_every_sort_has",
        ),
    ),
    Bug(
        name="an-old-sight-is-the-last",
        promise="proof of death: only the last state of an object counts, the DELETED event's",
        file=_DEATHS,
        right="last = pod if change is Change.DELETED else None",
        wrong="last = pod",
        caught_by=(f"{_TEST_DEATHS}::test_a_version_that_may_not_be_the_last_proves_nothing",),
    ),
    Bug(
        name="not-seen-on-a-node-is-never-bound",
        promise="proof of death: never bound to a node, seen to the end",
        file=_DEATH,
        right="if pod.last_seen and not pod.exists and not pod.node:",
        wrong="if not pod.exists and not pod.node:",
        caught_by=(_TEST_DEATH,),
    ),
    Bug(
        name="the-kubelet-has-no-time",
        promise="proof of death: the kubelet is alive for the grace period and 120 s after the object is gone",
        file=_DEATH,
        right="looking_since + pod.grace_seconds + GONE_MARGIN_SECONDS",
        wrong="looking_since",
        caught_by=(_TEST_DEATH,),
    ),
    Bug(
        name="a-kubelet-that-is-back-has-looked",
        promise="proof of death: the kubelet is alive for as long without a break, not heard once after a cut",
        file=_DEATH,
        right="looking_since = max(pod.gone_since, node.alive_since)",
        wrong="looking_since = pod.gone_since",
        caught_by=(f"{_TEST_DEATHS}::test_one_renewal_after_a_long_cut_proves_nothing",),
    ),
    Bug(
        name="a-break-is-none",
        promise="proof of death: what the kubelet missed in a cut, it may find long after",
        file=_DEATHS,
        right="if self.noticed_at is None or ended > self.noticed_at + LEASE_GAP_SECONDS:",
        wrong="if self.noticed_at is None:",
        caught_by=(f"{_TEST_DEATHS}::test_one_renewal_after_a_long_cut_proves_nothing",),
    ),
    Bug(
        name="a-proof-is-forgotten",
        promise="proof of death: what was proven holds, however seldom anybody looks at the Lease then",
        file=_DEATHS,
        right="lost.killed = lost.killed or found is Life.DEAD_INFERRED",
        wrong="pass",
        caught_by=(
            f"{_TEST_DEATHS}::test_a_proof_holds_when_nobody_looks_for_a_while_or_the_kubelet_is_silent_then",
        ),
    ),
    Bug(
        name="the-kubelet-saw-every-deletion",
        promise="proof of death: the longest grace period counts that the kubelet may go by",
        file=f"{_OPERATOR}/reconcile/pods.py",
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
        file=_DEATHS,
        right="return replace(facts, gone_since=lost.since, killed=lost.killed)",
        wrong="return replace(facts, killed=lost.killed)",
        caught_by=(
            f"{_TEST_DEATHS}::test_a_refused_pod_is_waited_for_until_its_kubelet_must_have_killed_it",
        ),
    ),
    Bug(
        name="a-refused-pod-never-ran",
        promise="a kubelet that restarts may refuse what it ran before: a final phase alone is no end",
        file=_DEATH,
        right="if pod.last_seen and pod.finished and pod.ended:",
        wrong="if pod.last_seen and pod.finished:",
        caught_by=(
            f"{_TEST_DEATHS}::test_a_refused_pod_is_waited_for_until_its_kubelet_must_have_killed_it",
        ),
    ),
    Bug(
        name="nobody-looks-whether-it-is-proven",
        promise="a pod that its kubelet refused gives its connections back by itself",
        file=_BUDGET_RECONCILER,
        right="if books.plan.held or books.plan.awaited or self._awaits_a_proof(books.plan):",
        wrong="if books.plan.held or books.plan.awaited:",
        caught_by=(
            f"{_TEST_BUDGET_RECONCILER}"
            "::test_a_refused_pod_gives_its_connections_back_once_its_kubelet_must_have_killed_it",
        ),
    ),
    Bug(
        name="freed-by-the-last-operator-only",
        promise="what the dead gave back is not counted again, whoever is the operator",
        file=_BUDGET_RECONCILER,
        right="freed=pod.uid in freed)",
        wrong="freed=False)",
        caught_by=(
            f"{_TEST_BUDGET_RECONCILER}"
            "::test_what_a_refused_pod_gave_back_is_not_counted_again_by_the_next_operator",
        ),
    ),
    Bug(
        name="a-kubelet-that-is-not-ready-counts",
        promise="proof of death: the kubelet that renews its Lease is Ready",
        file=_DEATH,
        right="if not node.ready or node.lease_renewed_at is None",
        wrong="if node.lease_renewed_at is None",
        caught_by=(_TEST_DEATH,),
    ),
    Bug(
        name="a-lease-that-is-there-was-renewed",
        promise="proof of death: the operator itself has seen the Lease renewed, by its own clock",
        file=_DEATHS,
        right="_Lease(renew_time, begun))",
        wrong="_Lease(renew_time, begun, begun, begun, begun))",
        caught_by=(f"{_TEST_DEATHS}::test_the_first_sight_of_a_lease_is_no_renewal",),
    ),
    Bug(
        name="a-late-answer-is-a-renewal",
        promise="proof of death: an answer that came late does not tell of a renewal",
        file=_DEATHS,
        right="if known.looked_at != before:",
        wrong="if before is None:",
        caught_by=(f"{_TEST_DEATHS}::test_a_look_that_is_answered_late_is_no_renewal",),
    ),
    Bug(
        name="any-taint-is-out-of-service",
        promise="proof of death: the node is tainted out-of-service, by that name",
        file=_DEATHS,
        right="out_of_service=_OUT_OF_SERVICE in taints",
        wrong="out_of_service=bool(taints)",
        caught_by=(f"{_TEST_DEATHS}::test_another_taint_proves_nothing",),
    ),
    Bug(
        name="a-missing-node-is-death",
        promise="absence is not death: a missing Node object proves nothing",
        file=_DEATH,
        right="(node is not None and _proves_the_end(node, pod))",
        wrong="node is None or _proves_the_end(node, pod)",
        caught_by=(_TEST_DEATH,),
    ),
    Bug(
        name="absence-is-death",
        promise="absence is not death: that the object of a pod is gone proves nothing",
        file=_DEATH,
        right="if pod.last_seen and not pod.exists and not pod.node:",
        wrong="if pod.last_seen and not pod.exists:",
        caught_by=(_TEST_DEATH,),
    ),
    Bug(
        name="the-unknown-are-dead",
        promise="absence is not death: who is not proven dead is Unknown, and counted",
        file=_DEATH,
        right="return Life.TERMINATING if being_killed else Life.UNKNOWN",
        wrong="return Life.TERMINATING if being_killed else Life.DEAD_INFERRED",
        caught_by=(_TEST_DEATH,),
    ),
    Bug(
        name="dead-is-drained",
        promise="dead is not drained: a reservation is held until the backends must have ended",
        file=_BOOK,
        right="return hold is not None and pod.dead_for >= hold",
        wrong="return hold is not None",
        caught_by=(f"{_TEST_PLAN}::test_what_the_dead_held_is_freed_when_their_backends_must_have_ended",),
    ),
    Bug(
        name="freed-by-a-count-from-before-death",
        promise="dead is not drained: only a count of its backends that is younger than its death frees it",
        file=f"{_OPERATOR}/reconcile/counts.py",
        right="if newest is None or not newest.age < dead_for:",
        wrong="if newest is None:",
        caught_by=(
            "tests/unit/reconcile/test_counts.py::test_a_count_from_before_the_proof_of_death_says_nothing",
        ),
    ),
    Bug(
        name="once-noticed-always-noticed",
        promise="dead is not drained: a pod that came to session mode is not freed by what it said before",
        file=_BOOK,
        right="            detects_dead_clients=said,",
        wrong="            detects_dead_clients=said or entry.detects_dead_clients,",
        caught_by=(
            f"{_TEST_PLAN}::test_a_pods_newest_word_on_whether_the_server_notices_dead_clients_is_the_one_that_holds",
        ),
    ),
    Bug(
        name="who-was-cut-off-has-ended",
        promise="dead is not drained: a pod that cut a query off at its end does not say that it left nothing",
        file=f"{_AGENT}/supervisor.py",
        right="        if error is None and drain.result():\n",
        wrong="        if error is None:\n",
        caught_by=(f"{_TEST_SUPERVISOR}::test_a_pod_that_cut_a_query_off_may_have_left_something",),
    ),
    Bug(
        name="a-crash-leaves-nothing",
        promise="dead is not drained: a pod whose engine crashed does not say that it left nothing",
        file=f"{_AGENT}/hold.py",
        right="now + hold if detects_dead_clients else math.inf)",
        wrong="now + hold)",
        caught_by=(f"{_TEST_SUPERVISOR}::test_a_clean_end_says_nothing_of_an_engine_that_crashed_before",),
    ),
    Bug(
        name="cut-off-unseen",
        promise="dead is not drained: an engine that closes a connection in a query does not end clean",
        file=f"{_PGBOUNCER}/log.py",
        right='        self._cut_off += not closed["reason"].startswith(_IN_ORDER)\n',
        wrong="",
        caught_by=(
            f"{_TEST_PGBOUNCER}::test_it_ends_clean_if_no_connection_was_closed_that_a_query_may_have_run_on",
        ),
    ),
    Bug(
        name="a-hurried-end-is-clean",
        promise="dead is not drained: an engine that was hurried out does not end clean",
        file=f"{_PGBOUNCER}/log.py",
        right="return self._exits and not self._cut_off",
        wrong="return not self._cut_off",
        caught_by=(f"{_TEST_PGBOUNCER}::test_it_ends_clean_only_if_it_waited_until_it_could_exit",),
    ),
    Bug(
        name="given-up-is-confirmed",
        promise="dead is not drained: what the kernel may have given up telling the server was not confirmed",
        file=f"{_AGENT}/supervisor.py",
        right="return self._lives.left_nothing(self._clock.now()) and not self._given_up",
        wrong="return self._lives.left_nothing(self._clock.now())",
        caught_by=(
            f"{_TEST_SUPERVISOR}::test_what_a_pod_closed_and_the_kernel_may_have_given_up_telling_may_be_there",
        ),
    ),
    Bug(
        name="the-last-word-of-an-earlier-life",
        promise="dead is not drained: what a container said at an earlier end says nothing of its last one",
        file=f"{_OPERATOR}/reconcile/pods.py",
        right='container.get("state", {}).get("terminated", {}).get("message", "")',
        wrong='container.get("lastState", {}).get("terminated", {}).get("message", "")',
        caught_by=(
            "tests/unit/reconcile/test_pods.py::"
            "test_a_pod_has_left_nothing_if_its_agent_says_so_with_its_last_end",
        ),
    ),
    Bug(
        name="freed-where-nobody-notices-dead-clients",
        promise="dead is not drained: where the server does not look for dead clients, only a person frees",
        file=_DEATH,
        right="    if not detects_dead_clients:\n        return None\n",
        wrong="",
        caught_by=(_TEST_DEATH,),
    ),
    Bug(
        name="only-who-leads-looks",
        promise="the proofs of death go on when another replica leads: each follows them all the time",
        file=_DEATHS,
        right="list(self._to_look_at())",
        wrong="()",
        caught_by=(f"{_TEST_DEATHS}::test_who_leads_next_goes_on_with_the_proof_that_it_has_followed",),
    ),
    Bug(
        name="a-lost-deletion-is-a-dead-watch",
        promise="the proofs of death go on when a watch has lost a deletion: it does not end the leader",
        file=f"{_OPERATOR}/health.py",
        right="        return changed\n",
        wrong="        return changed + gone\n",
        caught_by=(_TEST_HEALTH,),
    ),
    Bug(
        name="a-restart-is-not-noticed",
        promise="proof of death: a deletion that a watch lost when it started again is found soon after",
        file=f"{_OPERATOR}/watching.py",
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

_WHAT_IS_WRITTEN = (
    Bug(
        name="granted-before-it-is-committed",
        promise="grants are written only after the ledger is committed",
        file=_BUDGET_RECONCILER,
        right="        await self._commit(scene, next_status(books))\n        orders =",
        wrong="        await self._send(scene, books.plan.orders)\n"
        "        await self._commit(scene, next_status(books))\n        orders =",
        caught_by=(_TEST_BUDGET_RECONCILER,),
        because="409: resourceVersion is not what was expected",
    ),
    Bug(
        name="the-ledger-is-overwritten",
        promise="the ledger is written by compare-and-swap on its resourceVersion",
        file=f"{_OPERATOR}/cluster/api.py",
        right='body={**live, "status": status}',
        wrong='body={**live, "metadata": {**meta, "resourceVersion": ""}, "status": status}',
        caught_by=(_TEST_BUDGET_RECONCILER, _TEST_API),
        because="409: resourceVersion is not what was expected",
    ),
    Bug(
        name="a-changed-pod-is-written",
        promise="a patch of a pod carries the resourceVersion that was observed: a late write is refused",
        file=f"{_OPERATOR}/cluster/api.py",
        right='                "resourceVersion": meta["resourceVersion"],\n',
        wrong="",
        caught_by=(_TEST_BUDGET_RECONCILER, _TEST_API),
        because="KeyError: 'resourceVersion'",
    ),
    Bug(
        name="a-namesake-is-written",
        promise="a patch of a pod carries its uid: a successor of the same name does not get its grant",
        file=f"{_OPERATOR}/cluster/api.py",
        right='                "uid": meta["uid"],\n',
        wrong="",
        caught_by=(_TEST_BUDGET_RECONCILER, _TEST_API),
        because="KeyError: 'uid'",
    ),
    Bug(
        name="shares-above-the-cap",
        promise="the shares of a pod's databases, the monitor's included, never exceed its cap",
        file=f"{_OPERATOR}/reconcile/grants.py",
        right="allocate(cap - sum(monitor.values()), claims)",
        wrong="allocate(cap, claims)",
        caught_by=("tests/unit/reconcile/test_grants.py",),
    ),
    Bug(
        name="the-same-status-is-written-again",
        promise="a status is written only when something changes",
        file=f"{_OPERATOR}/reconcile/pool.py",
        right="        if status == facts.pool.status:\n            return\n",
        wrong="",
        caught_by=(
            "tests/unit/reconcile/test_pool_reconciler.py::test_an_unchanged_world_writes_nothing_and_asks_nothing",
        ),
    ),
    Bug(
        name="the-same-ledger-is-written-again",
        promise="a ledger is written only when something changes",
        file=_BUDGET_RECONCILER,
        right="        if status == before:\n            return\n",
        wrong="",
        caught_by=(f"{_TEST_BUDGET_RECONCILER}::test_an_unchanged_world_writes_nothing",),
    ),
)

_SIZES = (
    Bug(
        name="a-share-is-all-or-nothing",
        promise="where not all fixed shares fit, no pod that serves sessions is paused",
        file=f"{_OPERATOR}/budget/plan.py",
        right="else (_fixed, _kept, _least)",
        wrong="else (_fixed,)",
        caught_by=(_TEST_PLAN,),
    ),
    Bug(
        name="the-ended-have-given-back",
        promise="what is held for a pod that has ended is not shared before it is free",
        file=f"{_OPERATOR}/reconcile/scene.py",
        right="if not self._takes_part(uid))",
        wrong="if uid in self.pods and not self._takes_part(uid))",
        caught_by=("tests/unit/reconcile/test_sessions.py",),
    ),
    Bug(
        name="the-refused-have-shares",
        promise="pods that a kubelet refused take nothing from those that run",
        file=f"{_OPERATOR}/reconcile/capacity.py",
        right="not pod.finished for pod in there",
        wrong="not pod.ended for pod in there",
        caught_by=("tests/unit/reconcile/test_sessions.py",),
    ),
    Bug(
        name="the-most-generous-pool-counts",
        promise="of several pools on one server, the strictest setting holds",
        file=f"{_OPERATOR}/budget/size.py",
        right="strictest = min(asks,",
        wrong="strictest = max(asks,",
        caught_by=("tests/unit/budget/test_size.py",),
    ),
    Bug(
        name="max-connections-is-no-ceiling",
        promise="the budget stays below max_connections less all that is reserved",
        file=f"{_OPERATOR}/budget/size.py",
        right="ceilings.append(max_connections - server_reserved - reserved)",
        wrong="ceilings.append(max_connections)",
        caught_by=("tests/unit/budget/test_size.py",),
    ),
    Bug(
        name="no-room-for-a-rollout",
        promise="of the pods that fit, room for one is kept, so that a rollout can surge",
        file=f"{_OPERATOR}/budget/fit.py",
        right="room = connections - (largest if surge else 0)",
        wrong="room = connections",
        caught_by=("tests/unit/budget/test_fit.py",),
    ),
    Bug(
        name="a-rollout-that-cannot-proceed",
        promise="where one pod fits, it goes before its successor comes",
        file=f"{_OPERATOR}/budget/fit.py",
        right="max_unavailable=int(not surge)",
        wrong="max_unavailable=0",
        caught_by=("tests/unit/budget/test_fit.py",),
    ),
    Bug(
        name="pods-for-a-saturated-database",
        promise="more poolers never mean more backends: a saturated database gets a condition, not a pod",
        file=f"{_OPERATOR}/scaling/policies.py",
        right="    saturated,\n    pooler_busy,\n",
        wrong="    pooler_busy,\n    saturated,\n",
        caught_by=("tests/unit/scaling/test_policies.py", "tests/unit/scaling/test_decision.py"),
    ),
    Bug(
        name="pods-that-the-budget-cannot-feed",
        promise="no more pods run than the budget has floors for",
        file=f"{_OPERATOR}/scaling/decision.py",
        right="return min(max(replicas, view.minimum), view.maximum, view.room)",
        wrong="return min(max(replicas, view.minimum), view.maximum)",
        caught_by=("tests/unit/scaling/test_decision.py",),
    ),
)

_THE_AGENT = (
    Bug(
        name="raised-before-others-are-drained",
        promise="inside a pod too, shares are lowered first, and others raised only by what has drained",
        file=f"{_AGENT}/limits.py",
        right="raised = min(wanted, own.get(name, 0) + max(free, 0))",
        wrong="raised = wanted",
        caught_by=(
            "tests/unit/pooler/test_limits.py::"
            "test_a_larger_share_waits_for_the_connections_that_another_database_still_holds",
        ),
    ),
    Bug(
        name="opened-while-postgresql-ends-the-old-ones",
        promise="a database that closes connections keeps a place free for what PostgreSQL has not ended yet",
        file=f"{_AGENT}/shedding.py",
        right="closing | (lately.closing & names) - giving",
        wrong="closing",
        caught_by=(
            f"{_TEST_SHEDDING}::"
            "test_after_closing_without_a_hurry_one_place_is_held_back_until_the_server_has_ended_it",
        ),
    ),
    Bug(
        name="opened-while-closing-in-a-hurry",
        promise="a database that closes faster than PostgreSQL ends backends opens nothing meanwhile",
        file=f"{_AGENT}/shedding.py",
        right="for name in hurried | calming}",
        wrong="for name in hurried & calming}",
        caught_by=(
            f"{_TEST_SHEDDING}::"
            "test_what_hurries_opens_nothing_nor_does_it_before_the_server_has_ended_what_closed",
        ),
    ),
    Bug(
        name="opened-for-who-starves-before-the-old-one-has-ended",
        promise="whoever has no connection gets a freed place only when PostgreSQL has ended what was there",
        file=f"{_AGENT}/shedding.py",
        right="max(status.open_of(name), lately.open.get(name, 0)) <",
        wrong="status.open_of(name) <",
        caught_by=(
            f"{_TEST_SHEDDING}::test_who_has_none_gets_the_place_that_was_freed_once_the_server_has_ended_it",
        ),
    ),
    Bug(
        name="no-place-for-who-starves",
        promise="a user without a connection does not wait for a long transaction of who has more than his part",
        file=f"{_AGENT}/shedding.py",
        right="closing = above | overdrawn - giving",
        wrong="closing = above | overdrawn",
        caught_by=(
            f"{_TEST_SHEDDING}::test_who_has_none_gets_the_place_that_was_freed_once_the_server_has_ended_it",
        ),
    ),
    Bug(
        name="no-cancel-while-above-the-limit",
        promise="clients can cancel their queries while connections have to close",
        file=f"{_PGBOUNCER}/config.py",
        right="return max(setup.pool_size(name), enough_to_cancel)",
        wrong="return setup.pool_size(name)",
        caught_by=(
            "tests/unit/pooler/test_pgbouncer_config.py::test_whoever_has_more_than_he_may_can_still_cancel",
        ),
    ),
    Bug(
        name="acknowledged-while-above-the-limit",
        promise="a pod acknowledges only when every database is at or below its share",
        file=f"{_AGENT}/plan.py",
        right=" and not over_limit(view)",
        wrong="",
        caught_by=(f"{_TEST_AGENT_PLAN}::test_a_grant_is_settled_when_every_database_is_at_its_share",),
    ),
    Bug(
        name="acknowledged-at-first-sight",
        promise="a pod acknowledges only when it has been drained for a while: a login may be under way",
        file=f"{_AGENT}/acknowledge.py",
        right="elif now - self._since >= SETTLED_SECONDS:",
        wrong="else:",
        caught_by=(
            f"{_TEST_TIMING}::test_a_generation_is_acknowledged_when_it_has_been_settled_long_enough",
        ),
    ),
    Bug(
        name="acknowledged-before-the-server-noticed",
        promise="what was closed while the network was cut counts until PostgreSQL must have noticed",
        file=f"{_AGENT}/supervisor.py",
        right=" or self._all_confirmed(view.material.peers)",
        wrong=" or view.material is not None",
        caught_by=(
            f"{_TEST_SUPERVISOR}::"
            "test_a_shrink_is_not_acknowledged_while_the_server_has_not_noticed_what_was_closed",
        ),
    ),
    Bug(
        name="started-before-the-server-noticed",
        promise="no engine starts while PostgreSQL may not have noticed the end of the one before",
        file=f"{_AGENT}/supervisor.py",
        right="return self._in_force is None and not self._all_confirmed(material.peers)",
        wrong="return False",
        caught_by=(
            f"{_TEST_SUPERVISOR}::"
            "test_no_engine_starts_while_the_server_has_not_noticed_the_end_of_the_earlier_one",
        ),
    ),
    Bug(
        name="left-before-the-server-noticed",
        promise="a pod that leaves stays until PostgreSQL has noticed what it closed, as long as its grace period",
        file=f"{_AGENT}/supervisor.py",
        right="return accepted is None or self._all_confirmed(accepted.peers)",
        wrong="return True",
        caught_by=(
            f"{_TEST_SUPERVISOR}::"
            "test_a_pod_that_leaves_stays_while_the_server_has_not_noticed_what_was_closed",
        ),
    ),
    Bug(
        name="a-step-does-not-start-the-time-anew",
        promise="a pod acknowledges only when it has been drained for a while without a break",
        file=f"{_AGENT}/supervisor.py",
        right="            if not settled:\n",
        wrong="            if not settled and self._leaving:\n",
        caught_by=(
            f"{_TEST_SUPERVISOR}::"
            "test_a_grant_that_was_left_by_a_step_is_acknowledged_only_after_the_whole_time_again",
        ),
    ),
    Bug(
        name="moved-with-connections-open",
        promise="a pod opens nothing on a new server while something is open on the old one",
        file=f"{_AGENT}/plan.py",
        right="    if view.status.open > 0:\n        return AbortBusy()",
        wrong="    if view.status.open > 10**6:\n        return AbortBusy()",
        caught_by=(f"{_TEST_AGENT_PLAN}::test_a_move_pauses_then_waits_then_goes",),
    ),
    Bug(
        name="started-without-a-grant",
        promise="fail closed: a pod without a grant starts no engine",
        file=f"{_AGENT}/supervisor.py",
        right="        if self._grant is None or material is None:\n            return TICK_SECONDS\n",
        wrong="        if material is not None and not self._engine.running:\n"
        '            await self._engine.start(Setup(material, 1, "localhost", 5432, 1, {}))\n'
        "        if self._grant is None or material is None:\n            return TICK_SECONDS\n",
        caught_by=(f"{_TEST_SUPERVISOR}::test_a_pod_without_a_grant_starts_no_engine",),
    ),
    Bug(
        name="started-with-nothing-granted",
        promise="fail closed: 0 connections start no engine, to which 0 is unlimited",
        file=f"{_AGENT}/plan.py",
        right="if view.server.cap == 0 or not shares(view):",
        wrong="if view.server.cap < 0:",
        caught_by=(
            f"{_TEST_AGENT_PLAN}::test_no_engine_starts_without_connections_because_0_means_unlimited_to_it",
        ),
    ),
    Bug(
        name="ready-without-a-grant",
        promise="fail closed: a pod is Ready only when it is granted",
        file=f"{_AGENT}/report.py",
        right='return "no grant yet: waiting for the operator"',
        wrong='return ""',
        caught_by=("tests/unit/pooler/test_http.py::test_readiness_says_what_is_missing",),
    ),
    Bug(
        name="ready-before-it-listens",
        promise="fail closed: a pod is Ready only when its engine listens",
        file=f"{_AGENT}/report.py",
        right="    if not facts.running:\n        return (\n",
        wrong="    if not facts.running and not facts.warm:\n        return (\n",
        caught_by=(
            f"{_TEST_SUPERVISOR}::test_a_restarted_container_waits_for_its_backends_and_comes_back_on_its_last_grant",
        ),
    ),
    Bug(
        name="an-older-grant-is-followed",
        promise="generations only rise: an older grant is refused",
        file=f"{_AGENT}/grants.py",
        right="held is None or offered.generation > held.generation",
        wrong="held is None or offered.generation != held.generation",
        caught_by=("tests/unit/pooler/test_grants.py",),
    ),
    Bug(
        name="an-altered-grant-is-followed",
        promise="generations only rise: a grant that was altered is refused",
        file=f"{_AGENT}/grants.py",
        right='    if offered != held:\n        return Refused(f"generation {held.generation} was altered',
        wrong="    if offered != held:\n        return Accepted(offered)\n"
        '    if offered != held:\n        return Refused(f"generation {held.generation} was altered',
        caught_by=("tests/unit/pooler/test_grants.py",),
    ),
    Bug(
        name="applied-but-not-persisted",
        promise="a grant is persisted before it is applied",
        file=f"{_AGENT}/supervisor.py",
        right="            self._store.keep_grant(verdict.grant)\n",
        wrong="            pass\n",
        caught_by=(f"{_TEST_SUPERVISOR}::test_the_grant_is_on_the_disk_before_the_engine_hears_of_it",),
    ),
    Bug(
        name="persisted-but-not-on-the-disk",
        promise="what is persisted is on the disk: it survives a crash of the node",
        file="pooler/pgpool_pooler/files.py",
        right="        os.fsync(file.fileno())\n",
        wrong="",
        caught_by=(
            "tests/unit/pooler/test_files.py::test_content_is_on_the_disk_before_it_has_its_name_and_then_so_is_the_name",
        ),
    ),
    Bug(
        name="no-wait-for-its-own-ghosts",
        promise="after a restart the agent waits until its own old backends are gone",
        file=f"{_AGENT}/hold.py",
        right="        if lived_before:\n",
        wrong="        if lived_before and self.crashes:\n",
        caught_by=(f"{_TEST_TIMING}::test_a_new_pod_does_not_wait_and_a_restarted_one_does",),
    ),
    Bug(
        name="the-last-grant-is-forgotten",
        promise="without operator and API server, a restarted container serves on its persisted grant",
        file=f"{_AGENT}/supervisor.py",
        right="self._grant = store.grant()",
        wrong="self._grant: Grant | None = None",
        caught_by=(
            f"{_TEST_SUPERVISOR}::test_a_restarted_container_waits_for_its_backends_and_comes_back_on_its_last_grant",
        ),
    ),
    Bug(
        name="more-than-its-share",
        promise="a pod opens no more connections than its grant allows, whatever its clients want",
        file="pooler/pgpool_pooler/engines/base.py",
        right="        limit = self.limits[name]\n",
        wrong="        limit = self.limits[name] + 1\n",
        caught_by=(f"{_TEST_PGBOUNCER}::test_new_limits_are_written_before_the_reload",),
    ),
)

_CLIENTS_SURVIVE = (
    Bug(
        name="the-old-servers-silence-is-the-new-ones",
        promise="clients survive: a switchover to a server that answers is not taken for an outage",
        file=f"{_AGENT}/enquiries.py",
        right='        self._cancel("probe")\n',
        wrong="",
        caught_by=(
            "tests/unit/pooler/test_identity.py::"
            "test_what_an_old_server_answers_to_a_probe_is_not_said_of_the_new_one",
        ),
    ),
    Bug(
        name="no-pause-in-an-outage",
        promise="clients survive: while the server takes no connections they wait instead of being rejected",
        file=f"{_AGENT}/plan.py",
        right="return view.grant.mode is Mode.PAUSE or view.outage or",
        wrong="return view.grant.mode is Mode.PAUSE or",
        caught_by=(f"{_TEST_AGENT_PLAN}::test_an_outage_pauses_and_its_end_resumes",),
    ),
    Bug(
        name="ended-without-a-drain",
        promise="clients survive: a pod that ends lets clients finish their transactions first",
        file=f"{_AGENT}/drain.py",
        right="            await engine.stop_accepting()\n",
        wrong="            await engine.kill()\n            await engine.stop_accepting()\n",
        caught_by=(
            f"{_TEST_TIMING}::test_a_drain_hangs_up_first_and_finishes_as_soon_as_the_clients_are_gone",
        ),
    ),
    Bug(
        name="ended-while-still-ready",
        promise="clients survive: a pod that ends is out of its Service before it stops listening",
        file=f"{_AGENT}/supervisor.py",
        right="self._begin_drain(unready_seconds=UNREADY_SECONDS)",
        wrong="self._begin_drain(unready_seconds=0.0)",
        caught_by=(f"{_TEST_SUPERVISOR}::test_a_pod_that_leaves_fails_readiness_first_and_then_drains",),
    ),
    Bug(
        name="sigterm-is-not-heard",
        promise="clients survive: SIGTERM, the kubelet's word, starts the drain",
        file=f"{_AGENT}/run.py",
        right="for number in (signal.SIGTERM, signal.SIGINT):",
        wrong="for number in (signal.SIGINT,):",
        caught_by=("tests/unit/pooler/test_run.py::test_sigterm_drains_the_pod_instead_of_killing_it",),
    ),
    Bug(
        name="the-kubelet-does-not-wait-for-the-drain",
        promise="clients survive: the kubelet gives a pod time to leave its Service and to drain",
        file=f"{_OPERATOR}/desired/deployment.py",
        right="pool.spec.timeouts.drain_seconds + _STOP_MARGIN_SECONDS",
        wrong="pool.spec.timeouts.drain_seconds",
        caught_by=("tests/unit/desired/test_children.py::test_the_kubelet_ends_no_pod_that_still_drains",),
    ),
    Bug(
        name="drained-for-half-the-time",
        promise="clients survive: a transaction that runs when its pod ends has all of drainSeconds",
        file=f"{_AGENT}/drain.py",
        right="await _until(engine, start + seconds, clock, clients_too=False)",
        wrong="await _until(engine, start + seconds / 2, clock, clients_too=False)",
        caught_by=(f"{_TEST_TIMING}::test_a_transaction_that_does_not_end_is_cut_off_in_the_end",),
    ),
    Bug(
        name="told-to-stop-at-once",
        promise="clients survive: the signal that stops an engine from listening ends no transaction",
        file=f"{_PGBOUNCER}/engine.py",
        right="self._process.send(signal.SIGTERM)",
        wrong="self._process.send(signal.SIGQUIT)",
        caught_by=(
            f"{_TEST_PGBOUNCER}::"
            "test_leaving_stops_listening_and_hangs_up_between_transactions_also_after_a_reload",
        ),
    ),
    Bug(
        name="finished-by-a-second-signal",
        promise="clients survive: an engine that finishes lets the transactions end that run",
        file=f"{_PGBOUNCER}/engine.py",
        right='await self._console.run("SHUTDOWN WAIT_FOR_SERVERS")',
        wrong="self._process.send(signal.SIGTERM)",
        caught_by=(f"{_TEST_PGBOUNCER}::test_finishing_sends_no_second_signal_and_leaves_no_console_open",),
    ),
    Bug(
        name="a-database-is-cut-off-to-retire-it",
        promise="clients survive: a database that is no longer granted lets its transactions end",
        file=f"{_PGBOUNCER}/engine.py",
        right='f"PAUSE {identifier(database)}"',
        wrong='f"KILL {identifier(database)}"',
        caught_by=(f"{_TEST_PGBOUNCER}::test_a_retired_database_takes_no_client_and_opens_nothing",),
    ),
    Bug(
        name="restarted-in-the-middle-of-transactions",
        promise="clients survive: an engine that has to start anew drains first",
        file=f"{_AGENT}/supervisor.py",
        right="            case plan.Restart():\n                self._begin_drain(unready_seconds=0.0)",
        wrong="            case plan.Restart():\n                await self._engine.kill()",
        caught_by=(
            f"{_TEST_SUPERVISOR}::test_a_parameter_of_the_start_restarts_the_engine_gently_and_after_the_hold",
        ),
    ),
    Bug(
        name="moved-without-patience",
        promise="clients survive: transactions on a server that the pod leaves have switchoverSeconds",
        file=f"{_AGENT}/plan.py",
        right=' if view.move_overdue else Idle("waiting for transactions on the old server")',
        wrong="",
        caught_by=(f"{_TEST_AGENT_PLAN}::test_a_move_pauses_then_waits_then_goes",),
    ),
    Bug(
        name="turned-away-at-login-during-a-pause",
        promise="clients survive: who logs in during a pause waits as long as a query may",
        file=f"{_PGBOUNCER}/engine.py",
        right='"already suspended/paused")\n        await self._set_login_timeout()\n',
        wrong='"already suspended/paused")\n',
        caught_by=(
            f"{_TEST_PGBOUNCER}::test_clients_that_log_in_during_a_pause_wait_as_long_as_a_query_may",
        ),
    ),
    Bug(
        name="the-agent-dies-of-its-own-failure",
        promise="clients survive: a failure of the agent does not end process 1 and the engine with it",
        file=f"{_AGENT}/supervisor.py",
        right='            self._engine_error = f"the agent failed: {type(error).__name__}: {error}"\n',
        wrong="            raise\n",
        caught_by=(
            f"{_TEST_SUPERVISOR}::test_a_failure_of_the_agent_itself_is_told_and_does_not_end_process_1",
        ),
        because="RuntimeError: unforeseen",
    ),
)

_COMES_BACK = (
    Bug(
        name="a-failed-drain-is-never-over",
        promise="the budget comes back: a pod whose drain fails ends all the same",
        file=f"{_AGENT}/supervisor.py",
        right='            log.error("the drain failed", error=repr(error))\n',
        wrong="            self._drain = drain\n            raise error\n",
        caught_by=(f"{_TEST_BROKEN}::test_a_drain_that_fails_leaves_no_engine_and_the_pod_can_end",),
        because="TimeoutError",
    ),
    Bug(
        name="half-revived-and-left",
        promise="the budget comes back: a database that is paused by itself is served again, whatever else it is",
        file=f"{_AGENT}/plan.py",
        right="if name in wanted and name in view.status.withheld:",
        wrong="if name in wanted and name in view.status.retired:",
        caught_by=(
            f"{_TEST_AGENT_PLAN}::"
            "test_a_database_that_was_only_half_revived_is_revived_and_not_settled_before",
        ),
    ),
    Bug(
        name="a-silent-pod-grows",
        promise="the budget is where it can be used: what a silent pod once wanted takes nothing from others",
        file=_PLAN,
        right="return _frozen(claim) if frozen or pod.silent else claim",
        wrong="return _frozen(claim) if frozen else claim",
        caught_by=(
            f"{_TEST_PLAN}::"
            "test_a_silent_pod_keeps_what_it_has_and_takes_nothing_from_others_whatever_it_once_wanted",
        ),
    ),
    Bug(
        name="the-dead-hold-for-ever",
        promise="the budget comes back: what the dead held is free when their backends must have ended",
        file=_BOOK,
        right="if self._written_off(pod) or (self._drained(pod) and not self.recovering):",
        wrong="if self._written_off(pod):",
        caught_by=(f"{_TEST_PLAN}::test_what_the_dead_held_is_freed_when_their_backends_must_have_ended",),
    ),
    Bug(
        name="nobody-looks-when-a-hold-is-over",
        promise="the budget comes back: the end of a hold, which no event tells of, is looked for",
        file=_BUDGET_RECONCILER,
        right="pauses = [books.plan.look_again, await self._send(scene, orders)]",
        wrong="pauses = [await self._send(scene, orders)]",
        caught_by=(
            f"{_TEST_BUDGET_RECONCILER}::"
            "test_a_pod_that_the_kubelet_reported_ended_gives_its_connections_back_after_the_hold",
        ),
    ),
    Bug(
        name="nobody-looks-at-who-is-held",
        promise="the budget comes back: the proof of an Unknown pod's death is looked for",
        file=_BUDGET_RECONCILER,
        right="            pauses.append(HELD_SECONDS)\n",
        wrong="            pass\n",
        caught_by=(
            f"{_TEST_BUDGET_RECONCILER}::"
            "test_a_pod_without_a_word_keeps_its_connections_and_is_looked_at_again",
        ),
    ),
    Bug(
        name="the-kubelets-last-word-is-not-heard",
        promise="the budget comes back: the last version of a deleted pod proves its death",
        file=_DEATHS,
        right="last = pod if change is Change.DELETED else None",
        wrong="last = None",
        caught_by=(f"{_TEST_DEATHS}::test_the_last_version_of_a_deleted_object_counts",),
    ),
    Bug(
        name="a-renewed-lease-is-not-noticed",
        promise="the budget comes back: a kubelet that is heard after a pod has vanished proves its death",
        file=_DEATHS,
        right="self.renew_time, self.renewed_at, self.noticed_at = renew_time, self.looked_at, begun",
        wrong="self.renew_time, self.noticed_at = renew_time, begun",
        caught_by=(
            f"{_TEST_DEATHS}::"
            "test_a_missing_pod_is_dead_once_its_kubelet_lived_on_for_the_grace_period_and_a_margin",
        ),
    ),
    Bug(
        name="what-was-given-back-stays-reserved",
        promise="the budget comes back: what a pod acknowledged to have given back is free",
        file=_BOOK,
        right="                self.entries[uid] = replace(entry, reserved=entry.cap)\n",
        wrong="                continue\n",
        caught_by=(f"{_TEST_PLAN}::test_what_a_pod_acknowledged_to_have_given_back_is_granted_at_once",),
    ),
    Bug(
        name="who-has-left-is-waited-for",
        promise="the budget comes back: a pod that has left for another server holds nothing here",
        file=_BOOK,
        right="if not pod.assigned and _has_left(pod.report, entry):",
        wrong="if pod.orphan and _has_left(pod.report, entry):",
        caught_by=(f"{_TEST_PLAN}::test_a_pod_that_has_left_is_freed",),
    ),
    Bug(
        name="a-ledger-recovers-for-ever",
        promise="the budget comes back: a lost ledger is sound again when every pod was heard and has drained",
        file=_BOOK,
        right="self.recovering = bool(self.awaited())",
        wrong="self.recovering = True",
        caught_by=(
            f"{_TEST_PLAN}::test_a_pod_that_has_not_drained_yet_may_hold_what_an_overwritten_grant_allowed",
        ),
    ),
    Bug(
        name="who-cannot-hold-anything-is-waited-for",
        promise="the budget comes back: a lost ledger waits for no pod that no node has yet",
        file=_BOOK,
        right="return not pod.node or not (pod.known_generation or pod.started)",
        wrong="return not (pod.known_generation or pod.started)",
        caught_by=(f"{_TEST_PLAN}::test_a_pod_that_no_node_has_yet_is_not_waited_for",),
    ),
    Bug(
        name="one-pod-keeps-the-others-waiting",
        promise="the budget comes back: a pod that cannot be written keeps no other from its grant",
        file=_BUDGET_RECONCILER,
        right="                failures.append(error)\n",
        wrong="                raise\n",
        caught_by=(
            f"{_TEST_BUDGET_RECONCILER}::test_a_pod_that_cannot_be_written_keeps_no_other_from_its_grant",
        ),
    ),
    Bug(
        name="a-lost-wake-up-is-waited-for",
        promise="the budget comes back: a pod whose kubelet missed its grant is poked",
        file=_BUDGET_RECONCILER,
        right='return [await self._pods.poke(pod, "grant", str(grant.generation))]',
        wrong="return []",
        caught_by=(
            f"{_TEST_BUDGET_RECONCILER}::"
            "test_a_pod_that_does_not_notice_its_grant_is_poked_after_a_second_and_a_half",
        ),
    ),
    Bug(
        name="a-crashed-engine-stays-down",
        promise="the budget comes back: an engine that ended by itself is started again",
        file=f"{_AGENT}/supervisor.py",
        right='            self._ended("the engine ended by itself")\n',
        wrong="            pass\n",
        caught_by=(f"{_TEST_SUPERVISOR}::test_a_crashed_engine_is_started_again_after_the_hold_and_told",),
    ),
    Bug(
        name="a-mute-engine-is-waited-for",
        promise="the budget comes back: an engine that stays mute is ended",
        file=f"{_AGENT}/supervisor.py",
        right="if self._lives.mute_too_long(now) and self._drain is None:",
        wrong="if self._lives.mute_too_long(now) and self._leaving:",
        caught_by=(f"{_TEST_SUPERVISOR}::test_an_engine_that_stays_mute_is_ended",),
    ),
    Bug(
        name="a-pause-that-does-not-end",
        promise="the budget comes back: when an outage is over, clients are served again",
        file=f"{_AGENT}/plan.py",
        right="        step = Resume()\n",
        wrong="        step = Idle()\n",
        caught_by=(f"{_TEST_AGENT_PLAN}::test_an_outage_pauses_and_its_end_resumes",),
    ),
)

_WHAT_IS_SAID = (
    Bug(
        name="a-release-takes-back-the-last",
        promise="the command that releases a silent pod keeps who was released before",
        file=f"{_OPERATOR}/status/budget_satisfied.py",
        right="sorted({*released, *pods})",
        wrong="sorted(pods)",
        caught_by=("tests/unit/status/test_pgbudget.py",),
    ),
    Bug(
        name="refused-for-ever",
        promise="nothing hidden, and nothing made up: what the engine has taken after all is not called refused",
        file=f"{_AGENT}/materials.py",
        right='            self._refused, self.refusal = [], ""\n        now',
        wrong="            self._refused = []\n        now",
        caught_by=(f"{_TEST_SUPERVISOR}::test_what_the_engine_refused_and_then_took_is_not_told_any_more",),
    ),
    Bug(
        name="held-and-not-said",
        promise="nothing hidden: a pool whose budget is held by pods that cannot be proven dead says so",
        file=f"{_OPERATOR}/status/budget_satisfied.py",
        right="        or _held(facts)\n",
        wrong="",
        caught_by=("tests/unit/status/test_conditions.py::test_budget_satisfied",),
    ),
    Bug(
        name="held-and-not-said-in-the-ledger",
        promise="nothing hidden: a ledger names the pods that hold it",
        file=f"{_OPERATOR}/status/pgbudget.py",
        right="held = [grant for grant in facts.grants if grant.state is GrantState.UNKNOWN]",
        wrong="held = [grant for grant in facts.grants if grant.reserved < 0]",
        caught_by=("tests/unit/status/test_pgbudget.py::test_held",),
    ),
    Bug(
        name="recovering-and-not-said",
        promise="nothing hidden: what freezes a ledger is told",
        file=f"{_OPERATOR}/status/pgbudget.py",
        right="    if facts.recovering:\n",
        wrong="    if facts.recovering and not facts.grants:\n",
        caught_by=("tests/unit/status/test_pgbudget.py",),
    ),
)

_ONE_SERVER = (
    Bug(
        name="another-namespace-is-let-in",
        promise="a server belongs to one namespace until that shares it",
        file=f"{_OPERATOR}/reconcile/world.py",
        right="if self._namespace in allowed(budget) else",
        wrong="if budget else",
        caught_by=(f"{_TEST_CLAIMED}::test_a_second_namespace_gets_no_connections_and_no_ledger",),
        because="KeyError: 'bank/pay write'",
    ),
    Bug(
        name="a-second-ledger-for-a-claimed-server",
        promise="there is no second ledger for a server that another namespace owns",
        file=f"{_OPERATOR}/reconcile/pool.py",
        right="if claim.budget is None and not claim.claimed_by:",
        wrong="if claim.budget is None:",
        caught_by=(f"{_TEST_CLAIMED}::test_a_second_namespace_gets_no_connections_and_no_ledger",),
    ),
    Bug(
        name="the-youngest-ledger-owns",
        promise="the first ledger of a server owns it",
        file=f"{_OPERATOR}/cluster/shared.py",
        right='return meta.get("creationTimestamp", ""), meta["namespace"]',
        wrong='return "", meta["namespace"]',
        caught_by=(f"{_TEST_CLAIMED}::test_of_two_ledgers_the_younger_grants_nothing_and_goes",),
    ),
    Bug(
        name="a-younger-ledgers-grants-are-forgotten",
        promise="what a younger ledger reserved counts in the one that owns the server",
        file=f"{_OPERATOR}/reconcile/scene.py",
        right="with_given_up(budget, others if is_owner else ())",
        wrong="with_given_up(budget, ())",
        caught_by=(
            f"{_TEST_CLAIMED}::test_what_a_younger_ledger_has_reserved_counts_although_it_was_not_sent_yet",
        ),
    ),
    Bug(
        name="handed-over-before-it-is-counted",
        promise="a ledger that gives way keeps what the owner does not count yet",
        file=f"{_OPERATOR}/budget/handover.py",
        right="return follows or owned.reserved >= entry.reserved",
        wrong="return True",
        caught_by=(f"{_TEST_HANDOVER}::test_what_is_left",),
    ),
    Bug(
        name="a-ledger-that-gave-way-is-sound",
        promise="a ledger that did not own its server has to recover when it does",
        file=f"{_OPERATOR}/budget/handover.py",
        right="left, recovering=True)",
        wrong="left)",
        caught_by=(f"{_TEST_HANDOVER}::test_it_knows_nothing_of_the_server_any_more",),
    ),
    Bug(
        name="permission-cannot-be-withdrawn",
        promise="who may not draw on a ledger any more gives back what it has",
        file=f"{_OPERATOR}/reconcile/scene.py",
        right="        if uid in self.barred:\n            return 0\n",
        wrong="",
        caught_by=(
            f"{_TEST_CLAIMED}::test_when_permission_is_withdrawn_what_is_held_counts_until_it_is_given_back",
        ),
    ),
    Bug(
        name="two-decide-on-a-server-at-once",
        promise="nobody decides on a server while another ledger of it commits",
        file=f"{_OPERATOR}/reconcile/budget.py",
        right="async with self._locks.of(server_of(raw)):",
        wrong="async with self._locks.of(namespace):",
        caught_by=(f"{_TEST_CLAIMED}::test_nobody_decides_on_a_server_while_a_decision_on_it_is_under_way",),
    ),
    Bug(
        name="the-older-of-two-names-has-all",
        promise="two ledgers of one server reserve no more than one of them",
        file=f"{_OPERATOR}/budget/identity.py",
        right="max(0, budget - sum(alias.reserved for alias in aliases))",
        wrong="budget",
        caught_by=(f"{_TEST_ALIASED}::test_the_first_one_gives_back_what_the_second_one_has",),
    ),
    Bug(
        name="the-younger-of-two-names-grows",
        promise="the younger of two ledgers of one server only shrinks",
        file=f"{_OPERATOR}/budget/identity.py",
        right="min(mine.reserved, budget // len(group)), only_shrinks=True)",
        wrong="budget // len(group))",
        caught_by=(f"{_TEST_ALIASED}::test_the_second_ledger_gets_no_more_than_floors",),
    ),
    Bug(
        name="the-older-relies-on-who-does-not-know",
        promise="no ledger grows beside another that may be about to",
        file=f"{_OPERATOR}/budget/identity.py",
        right="if all(mine.key in alias.aliases for alias in aliases):",
        wrong="if aliases:",
        caught_by=(f"{_TEST_IDENTITY}::test_share",),
    ),
    Bug(
        name="growth-before-others-can-know",
        promise="a ledger grows only on what its status says of its server",
        file=f"{_OPERATOR}/reconcile/kinship.py",
        right=" or not set(servers) <= set(kept)",
        wrong="",
        caught_by=(f"{_TEST_ALIASED}::test_nothing_grows_in_the_step_that_learns_of_another_server",),
    ),
    Bug(
        name="a-restart-makes-two-of-one",
        promise="a restart that only one ledger has heard of makes no second server",
        file=f"{_OPERATOR}/budget/identity.py",
        right="return one.identity == other.identity or outdated(one, other) or outdated(other, one)",
        wrong="return one.identity == other.identity",
        caught_by=(f"{_TEST_ALIASED}::test_a_restart_that_only_one_of_them_has_heard_of_resolves_nothing",),
    ),
    Bug(
        name="no-address-is-an-identity",
        promise="a server without an address is told from no other",
        file=f"{_OPERATOR}/reconcile/scene.py",
        right="if said is not None and said.address:",
        wrong="if said is not None:",
        caught_by=(
            f"{_TEST_ALIASED}::test_servers_without_an_address_are_told_apart_by_nothing_and_are_no_aliases",
        ),
    ),
    Bug(
        name="many-servers-share-a-growing-budget",
        promise="nothing grows while several servers answer at one address",
        file=f"{_OPERATOR}/budget/plan.py",
        right="return _frozen(claim) if frozen or pod.silent else claim",
        wrong="return _frozen(claim) if pod.silent else claim",
        caught_by=(f"{_TEST_ALIASED}::test_nothing_grows_while_there_are_several",),
    ),
    Bug(
        name="leftovers-are-many-servers",
        promise="a failover is not called several servers",
        file=f"{_OPERATOR}/budget/identity.py",
        right="before.said or again > 1",
        wrong="True",
        caught_by=(
            f"{_TEST_ALIASED}::test_while_pods_learn_of_a_failover_nothing_is_said_and_nothing_grows",
        ),
    ),
)

BUGS = (
    *_THE_LEDGER,
    *_PROOFS_OF_DEATH,
    *_WHAT_IS_WRITTEN,
    *_SIZES,
    *_THE_AGENT,
    *_CLIENTS_SURVIVE,
    *_COMES_BACK,
    *_WHAT_IS_SAID,
    *_ONE_SERVER,
)
"""Caught by unit and property tests: seconds each."""


def _on_the_cluster(name: str, *caught_by: str, because: str) -> Bug:
    """One of them, to be caught by end-to-end tests."""
    [bug] = [bug for bug in BUGS if bug.name == name]
    return replace(bug, name=f"cluster-{name}", caught_by=caught_by, because=because)


ON_THE_CLUSTER = (
    _on_the_cluster("released-when-ordered", _TEST_LONG, because=f" <= {BUDGET}"),
    _on_the_cluster("acknowledged-before-the-server-noticed", _TEST_CUT_OFF, because=f" <= {BUDGET}"),
    _on_the_cluster(
        "absence-is-death", _TEST_FAULT, "--fault", "pod/force-delete", because="sessions at once"
    ),
    _on_the_cluster("ended-without-a-drain", _TEST_ROLL_OUT, because="transaction "),
)
"""Caught by end-to-end tests: minutes each."""
