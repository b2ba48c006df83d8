"""How large a budget is, and what shares, pods and rollouts fit into it."""

from tests.bugs.table.bug import OPERATOR, PLAN_PY, TEST_CLAIMED, TEST_PLAN, Bug

_TEST_SESSIONS = "tests/unit/reconcile/test_sessions.py"

SIZE = (
    Bug(
        name="more-than-floors-before-the-server-was-asked",
        promise="before the server's max_connections is known, floors are all that is granted",
        file=PLAN_PY,
        right="frozen=frozen or size.provisional)",
        wrong="frozen=frozen)",
        caught_by=(f"{TEST_PLAN}::test_without_max_connections_only_floors_are_granted",),
    ),
    Bug(
        name="a-share-of-a-size-that-is-not-known",
        promise="before the server's max_connections is known, pods in session mode get no more than floors either",
        file=PLAN_PY,
        right="(_least,) if frozen else (_fixed",
        wrong="(_fixed,) if frozen else (_fixed",
        caught_by=(
            f"{_TEST_SESSIONS}::test_before_max_connections_is_known_pods_in_session_mode_get_floors",
        ),
    ),
    Bug(
        name="sessions-take-the-others-floors",
        promise="pods in session mode leave room for the other pools' pods, and for one that is replaced",
        file=f"{OPERATOR}/budget/fit.py",
        right="room = connections - sum(others) - max(others, default=0)",
        wrong="room = connections",
        caught_by=(
            f"{_TEST_SESSIONS}::test_a_pool_in_session_mode_rolls_out_beside_one_in_transaction_mode",
        ),
    ),
    Bug(
        name="a-share-is-all-or-nothing",
        promise="where not all fixed shares fit, no pod that serves sessions is paused",
        file=f"{OPERATOR}/budget/plan.py",
        right="else (_fixed, _kept, _least)",
        wrong="else (_fixed,)",
        caught_by=(TEST_PLAN,),
    ),
    Bug(
        name="the-ended-have-given-back",
        promise="what is held for a pod that has ended is not shared before it is free",
        file=f"{OPERATOR}/reconcile/scene.py",
        right="if not self._takes_part(uid))",
        wrong="if uid in self.pods and not self._takes_part(uid))",
        caught_by=("tests/unit/reconcile/test_sessions.py",),
    ),
    Bug(
        name="the-refused-have-shares",
        promise="pods that a kubelet refused take nothing from those that run",
        file=f"{OPERATOR}/reconcile/capacity.py",
        right="not pod.finished for pod in there",
        wrong="not pod.ended for pod in there",
        caught_by=("tests/unit/reconcile/test_sessions.py",),
    ),
    Bug(
        name="the-most-generous-pool-counts",
        promise="of several pools on one server, the strictest setting holds",
        file=f"{OPERATOR}/budget/size.py",
        right="strictest = min(asks,",
        wrong="strictest = max(asks,",
        caught_by=("tests/unit/budget/test_size.py",),
    ),
    Bug(
        name="max-connections-is-no-ceiling",
        promise="the budget stays below max_connections less all that is reserved",
        file=f"{OPERATOR}/budget/size.py",
        right="ceilings.append(max_connections - server_reserved - reserved)",
        wrong="ceilings.append(max_connections)",
        caught_by=("tests/unit/budget/test_size.py",),
    ),
    Bug(
        name="no-room-for-a-rollout",
        promise="of the pods that fit, room for one is kept, so that a rollout can surge",
        file=f"{OPERATOR}/budget/fit.py",
        right="room = connections - (largest if surge else 0)",
        wrong="room = connections",
        caught_by=("tests/unit/budget/test_fit.py",),
    ),
    Bug(
        name="a-rollout-that-cannot-proceed",
        promise="where one pod fits, it goes before its successor comes",
        file=f"{OPERATOR}/budget/fit.py",
        right="max_unavailable=int(not surge)",
        wrong="max_unavailable=0",
        caught_by=("tests/unit/budget/test_fit.py",),
    ),
    Bug(
        name="pods-for-a-saturated-database",
        promise="more poolers never mean more backends: a saturated database gets a condition, not a pod",
        file=f"{OPERATOR}/scaling/policies.py",
        right="    saturated,\n    pooler_busy,\n",
        wrong="    pooler_busy,\n    saturated,\n",
        caught_by=("tests/unit/scaling/test_policies.py", "tests/unit/scaling/test_decision.py"),
    ),
    Bug(
        name="pods-that-the-budget-cannot-feed",
        promise="no more pods run than the budget has floors for",
        file=f"{OPERATOR}/scaling/decision.py",
        right="return min(max(replicas, view.minimum), view.maximum, view.room)",
        wrong="return min(max(replicas, view.minimum), view.maximum)",
        caught_by=("tests/unit/scaling/test_decision.py",),
    ),
    Bug(
        name="a-limit-is-no-ceiling",
        promise="the limit that an administrator set in the ledger holds",
        file=f"{OPERATOR}/budget/size.py",
        right="ceilings.append(limit)",
        wrong="pass",
        caught_by=("tests/unit/budget/test_size.py::test_a_limit_of_the_dba_is_a_ceiling",),
    ),
    Bug(
        name="a-limit-that-nobody-reads",
        promise="the limit that an administrator set holds for all who draw on the ledger",
        file=f"{OPERATOR}/reconcile/sizing.py",
        right="status.server_reserved_connections or 0, budget.spec.limit)",
        wrong="status.server_reserved_connections or 0)",
        caught_by=(f"{TEST_CLAIMED}::test_the_administrators_limit_holds_for_all_of_them",),
    ),
)
