"""The table: what is promised, one deliberate bug against each promise, and the tests that must fail with it."""

from dataclasses import dataclass


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


_OPERATOR = "operator/pgpool_operator"
_AGENT = "pooler/pgpool_pooler/agent"

_BOOK = f"{_OPERATOR}/budget/book.py"
_DEATH = f"{_OPERATOR}/budget/death.py"
_PLAN = f"{_OPERATOR}/budget/plan.py"
_DEATHS = f"{_OPERATOR}/reconcile/deaths.py"
_BUDGET_RECONCILER = f"{_OPERATOR}/reconcile/budget.py"

_TEST_PLAN = "tests/unit/budget/test_plan.py"
_TEST_IDENTITY = "tests/unit/budget/test_identity.py"
_TEST_HANDOVER = "tests/unit/budget/test_handover.py"
_TEST_CLAIMED = "tests/unit/reconcile/test_claimed.py"
_TEST_ALIASED = "tests/unit/reconcile/test_aliased.py"
_TEST_DEATH = "tests/unit/budget/test_death.py"
_TEST_DEATHS = "tests/unit/reconcile/test_deaths.py"
_TEST_BUDGET_RECONCILER = "tests/unit/reconcile/test_budget_reconciler.py"
_TEST_API = "tests/unit/cluster/test_api.py"
_TEST_SUPERVISOR = "tests/unit/pooler/test_supervisor.py"
_TEST_AGENT_PLAN = "tests/unit/pooler/test_plan.py"
_TEST_TIMING = "tests/unit/pooler/test_timing.py"
_TEST_LONG = "e2e/test_budget.py::test_connections_in_long_transactions_are_counted_until_those_end"
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
        right="most=pod.floor if size.provisional else pod.most",
        wrong="most=pod.most",
        caught_by=(f"{_TEST_PLAN}::test_without_max_connections_only_floors_are_granted",),
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
        name="a-crash-is-death",
        promise="proof of death: ended containers count only of a deleted pod, others restart",
        file=_DEATH,
        right="if pod.last_seen and pod.deleted and pod.ended:",
        wrong="if pod.last_seen and pod.ended:",
        caught_by=(_TEST_DEATH,),
    ),
    Bug(
        name="deleted-is-death",
        promise="proof of death: a deletion is only a wish until the kubelet reports the containers ended",
        file=_DEATH,
        right="        if pod.ended:\n            return Life.DEAD_REPORTED",
        wrong="        if pod.deleted:\n            return Life.DEAD_REPORTED",
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
        right="pod if change is Change.DELETED else None",
        wrong="pod",
        caught_by=(f"{_TEST_DEATHS}::test_a_version_that_may_not_be_the_last_proves_nothing",),
    ),
    Bug(
        name="not-seen-on-a-node-is-never-bound",
        promise="proof of death: never bound to a node, seen to the end",
        file=_DEATH,
        right="if pod.last_seen and not pod.node:",
        wrong="if not pod.node:",
        caught_by=(_TEST_DEATH,),
    ),
    Bug(
        name="the-kubelet-has-no-time",
        promise="proof of death: the kubelet is alive for the grace period and 30 s after the object is gone",
        file=_DEATH,
        right="pod.gone_since + pod.grace_seconds + GONE_MARGIN_SECONDS",
        wrong="pod.gone_since",
        caught_by=(_TEST_DEATH,),
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
        right="_Lease(renew_time, now))",
        wrong="_Lease(renew_time, now, now))",
        caught_by=(f"{_TEST_DEATHS}::test_the_first_sight_of_a_lease_is_no_renewal",),
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
        right="if node is not None and (node.out_of_service or",
        wrong="if node is None or (node.out_of_service or",
        caught_by=(_TEST_DEATH,),
    ),
    Bug(
        name="the-unknown-are-dead",
        promise="absence is not death: who is not proven dead is Unknown, and counted",
        file=_DEATH,
        right="        return Life.DEAD_INFERRED\n    return Life.UNKNOWN",
        wrong="        return Life.DEAD_INFERRED\n    return Life.DEAD_INFERRED",
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
        name="freed-where-nobody-notices-dead-clients",
        promise="dead is not drained: where the server does not look for dead clients, only a person frees",
        file=_DEATH,
        right="    if not detects_dead_clients:\n        return None\n",
        wrong="",
        caught_by=(_TEST_DEATH,),
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
    ),
    Bug(
        name="the-ledger-is-overwritten",
        promise="the ledger is written by compare-and-swap on its resourceVersion",
        file=f"{_OPERATOR}/cluster/api.py",
        right='body={**live, "status": status}',
        wrong='body={**live, "metadata": {**meta, "resourceVersion": ""}, "status": status}',
        caught_by=(_TEST_BUDGET_RECONCILER, _TEST_API),
    ),
    Bug(
        name="a-changed-pod-is-written",
        promise="a patch of a pod carries the resourceVersion that was observed: a late write is refused",
        file=f"{_OPERATOR}/cluster/api.py",
        right='                "resourceVersion": meta["resourceVersion"],\n',
        wrong="",
        caught_by=(_TEST_BUDGET_RECONCILER, _TEST_API),
    ),
    Bug(
        name="a-namesake-is-written",
        promise="a patch of a pod carries its uid: a successor of the same name does not get its grant",
        file=f"{_OPERATOR}/cluster/api.py",
        right='                "uid": meta["uid"],\n',
        wrong="",
        caught_by=(_TEST_BUDGET_RECONCILER, _TEST_API),
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
        right="raised = min(wanted, held[name] + max(free, 0))",
        wrong="raised = wanted",
        caught_by=(
            "tests/unit/pooler/test_limits.py::"
            "test_a_larger_share_waits_for_the_connections_that_another_database_still_holds",
        ),
    ),
    Bug(
        name="opened-while-postgresql-ends-the-old-ones",
        promise="what a shrink closes in excess is opened again only when PostgreSQL has ended it",
        file=f"{_AGENT}/acknowledge.py",
        right="ended = self._closed_at is None or now - self._closed_at >= SETTLED_SECONDS\n",
        wrong="ended = not closing\n",
        caught_by=(f"{_TEST_TIMING}::test_nothing_is_opened_before_what_was_closed_last_has_ended",),
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
)

_WHAT_IS_SAID = (
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
        right="return _frozen(claim) if frozen else claim",
        wrong="return claim",
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
    *_WHAT_IS_SAID,
    *_ONE_SERVER,
)
"""Caught by unit and property tests: seconds each."""

ON_THE_CLUSTER = (
    Bug(
        name="cluster-released-when-ordered",
        promise="release only on acknowledgement: a shrink frees nothing by itself",
        file=_BOOK,
        right="replace(entry, cap=targets[uid], generation=",
        wrong="replace(entry, cap=targets[uid], reserved=targets[uid], generation=",
        caught_by=(_TEST_LONG,),
    ),
    Bug(
        name="cluster-absence-is-death",
        promise="absence is not death: that the object of a pod is gone proves nothing",
        file=_DEATH,
        right="    if pod.last_seen and not pod.node:\n        return Life.NEVER_BOUND\n",
        wrong="    if pod.last_seen:\n        return Life.NEVER_BOUND\n",
        caught_by=(_TEST_FAULT, "--fault", "pod/force-delete"),
    ),
    Bug(
        name="cluster-more-than-its-share",
        promise="a pod opens no more connections than its grant allows, whatever its clients want",
        file="pooler/pgpool_pooler/engines/pgbouncer/config.py",
        right="    limit = setup.limits[name]\n",
        wrong="    limit = setup.limits[name] + 1\n",
        caught_by=(_TEST_LONG,),
    ),
)
"""Caught by end-to-end tests: minutes each."""
