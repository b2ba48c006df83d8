"""One server has one budget, whatever its names and its users' namespaces."""

from tests.bugs.table.bug import OPERATOR, Bug

_TEST_IDENTITY = "tests/unit/budget/test_identity.py"
_TEST_HANDOVER = "tests/unit/budget/test_handover.py"
_TEST_CLAIMED = "tests/unit/reconcile/test_claimed.py"
_TEST_ALIASED = "tests/unit/reconcile/test_aliased.py"

ONE_SERVER = (
    Bug(
        name="another-namespace-is-let-in",
        promise="a server belongs to one namespace until that shares it",
        file=f"{OPERATOR}/reconcile/world.py",
        right="if self._namespace in allowed(budget) else",
        wrong="if budget else",
        caught_by=(f"{_TEST_CLAIMED}::test_a_second_namespace_gets_no_connections_and_no_ledger",),
        because="KeyError: 'bank/pay write'",
    ),
    Bug(
        name="a-second-ledger-for-a-claimed-server",
        promise="there is no second ledger for a server that another namespace owns",
        file=f"{OPERATOR}/reconcile/pool.py",
        right="if claim.budget is None and not claim.claimed_by:",
        wrong="if claim.budget is None:",
        caught_by=(f"{_TEST_CLAIMED}::test_a_second_namespace_gets_no_connections_and_no_ledger",),
    ),
    Bug(
        name="the-youngest-ledger-owns",
        promise="the first ledger of a server owns it",
        file=f"{OPERATOR}/cluster/shared.py",
        right='return meta.get("creationTimestamp", ""), meta["namespace"]',
        wrong='return "", meta["namespace"]',
        caught_by=(f"{_TEST_CLAIMED}::test_of_two_ledgers_the_younger_grants_nothing_and_goes",),
    ),
    Bug(
        name="a-younger-ledgers-grants-are-forgotten",
        promise="what a younger ledger reserved counts in the one that owns the server",
        file=f"{OPERATOR}/reconcile/scene.py",
        right="with_given_up(budget, others if is_owner else ())",
        wrong="with_given_up(budget, ())",
        caught_by=(
            f"{_TEST_CLAIMED}::test_what_a_younger_ledger_has_reserved_counts_although_it_was_not_sent_yet",
        ),
    ),
    Bug(
        name="handed-over-before-it-is-counted",
        promise="a ledger that gives way keeps what the owner does not count yet",
        file=f"{OPERATOR}/budget/handover.py",
        right="return follows or owned.reserved >= entry.reserved",
        wrong="return True",
        caught_by=(f"{_TEST_HANDOVER}::test_what_is_left",),
    ),
    Bug(
        name="a-ledger-that-gave-way-is-sound",
        promise="a ledger that did not own its server has to recover when it does",
        file=f"{OPERATOR}/budget/handover.py",
        right="left, recovering=True)",
        wrong="left)",
        caught_by=(f"{_TEST_HANDOVER}::test_it_knows_nothing_of_the_server_any_more",),
    ),
    Bug(
        name="permission-cannot-be-withdrawn",
        promise="who may not draw on a ledger any more gives back what it has",
        file=f"{OPERATOR}/reconcile/scene.py",
        right="        if uid in self.barred:\n            return 0\n",
        wrong="",
        caught_by=(
            f"{_TEST_CLAIMED}::test_when_permission_is_withdrawn_what_is_held_counts_until_it_is_given_back",
        ),
    ),
    Bug(
        name="two-decide-on-a-server-at-once",
        promise="nobody decides on a server while another ledger of it commits",
        file=f"{OPERATOR}/reconcile/budget.py",
        right="async with self._locks.of(server_of(raw)):",
        wrong="async with self._locks.of(namespace):",
        caught_by=(f"{_TEST_CLAIMED}::test_nobody_decides_on_a_server_while_a_decision_on_it_is_under_way",),
    ),
    Bug(
        name="the-older-of-two-names-has-all",
        promise="two ledgers of one server reserve no more than one of them",
        file=f"{OPERATOR}/budget/identity.py",
        right="max(0, budget - sum(alias.reserved for alias in aliases))",
        wrong="budget",
        caught_by=(f"{_TEST_ALIASED}::test_the_first_one_gives_back_what_the_second_one_has",),
    ),
    Bug(
        name="the-younger-of-two-names-grows",
        promise="the younger of two ledgers of one server only shrinks",
        file=f"{OPERATOR}/budget/identity.py",
        right="min(mine.reserved, budget // len(group)), only_shrinks=True)",
        wrong="budget // len(group))",
        caught_by=(f"{_TEST_ALIASED}::test_the_second_ledger_gets_no_more_than_floors",),
    ),
    Bug(
        name="the-older-relies-on-who-does-not-know",
        promise="no ledger grows beside another that may be about to",
        file=f"{OPERATOR}/budget/identity.py",
        right="if all(mine.key in alias.aliases for alias in aliases):",
        wrong="if aliases:",
        caught_by=(f"{_TEST_IDENTITY}::test_share",),
    ),
    Bug(
        name="growth-before-others-can-know",
        promise="a ledger grows only on what its status says of its server",
        file=f"{OPERATOR}/reconcile/kinship.py",
        right=" or not set(servers) <= set(kept)",
        wrong="",
        caught_by=(f"{_TEST_ALIASED}::test_nothing_grows_in_the_step_that_learns_of_another_server",),
    ),
    Bug(
        name="a-restart-makes-two-of-one",
        promise="a restart that only one ledger has heard of makes no second server",
        file=f"{OPERATOR}/budget/identity.py",
        right="return one.identity == other.identity or outdated(one, other) or outdated(other, one)",
        wrong="return one.identity == other.identity",
        caught_by=(f"{_TEST_ALIASED}::test_a_restart_that_only_one_of_them_has_heard_of_resolves_nothing",),
    ),
    Bug(
        name="no-address-is-an-identity",
        promise="a server without an address is told from no other",
        file=f"{OPERATOR}/reconcile/scene.py",
        right="if said is not None and said.address:",
        wrong="if said is not None:",
        caught_by=(
            f"{_TEST_ALIASED}::test_servers_without_an_address_are_told_apart_by_nothing_and_are_no_aliases",
        ),
    ),
    Bug(
        name="many-servers-share-a-growing-budget",
        promise="nothing grows while several servers answer at one address",
        file=f"{OPERATOR}/budget/plan.py",
        right="return _frozen(claim) if frozen or pod.silent else claim",
        wrong="return _frozen(claim) if pod.silent else claim",
        caught_by=(f"{_TEST_ALIASED}::test_nothing_grows_while_there_are_several",),
    ),
    Bug(
        name="leftovers-are-many-servers",
        promise="a failover is not called several servers",
        file=f"{OPERATOR}/budget/identity.py",
        right="before.said or again > 1",
        wrong="True",
        caught_by=(
            f"{_TEST_ALIASED}::test_while_pods_learn_of_a_failover_nothing_is_said_and_nothing_grows",
        ),
    ),
)
