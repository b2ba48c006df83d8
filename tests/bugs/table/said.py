"""Nothing is hidden."""

from tests.bugs.table.bug import AGENT, OPERATOR, TEST_ALIASED, TEST_CLAIMED, TEST_SUPERVISOR, Bug

SAID = (
    Bug(
        name="a-release-takes-back-the-last",
        promise="the command that releases a silent pod keeps who was released before",
        file=f"{OPERATOR}/status/budget_satisfied.py",
        right="sorted({*released, *pods})",
        wrong="sorted(pods)",
        caught_by=("tests/unit/status/test_pgbudget.py",),
    ),
    Bug(
        name="refused-for-ever",
        promise="nothing hidden, and nothing made up: what the engine has taken after all is not called refused",
        file=f"{AGENT}/materials.py",
        right='            self._refused, self.refusal = [], ""\n        now',
        wrong="            self._refused = []\n        now",
        caught_by=(f"{TEST_SUPERVISOR}::test_what_the_engine_refused_and_then_took_is_not_told_any_more",),
    ),
    Bug(
        name="held-and-not-said",
        promise="nothing hidden: a pool whose budget is held by pods that cannot be proven dead says so",
        file=f"{OPERATOR}/status/budget_satisfied.py",
        right="        or _held(facts)\n",
        wrong="",
        caught_by=("tests/unit/status/test_conditions.py::test_budget_satisfied",),
    ),
    Bug(
        name="held-and-not-said-in-the-ledger",
        promise="nothing hidden: a ledger names the pods that hold it",
        file=f"{OPERATOR}/status/pgbudget.py",
        right="held = [grant for grant in facts.grants if grant.state is GrantState.UNKNOWN]",
        wrong="held = [grant for grant in facts.grants if grant.reserved < 0]",
        caught_by=("tests/unit/status/test_pgbudget.py::test_held",),
    ),
    Bug(
        name="recovering-and-not-said",
        promise="nothing hidden: what freezes a ledger is told",
        file=f"{OPERATOR}/status/pgbudget.py",
        right="    if facts.recovering:\n",
        wrong="    if facts.recovering and not facts.grants:\n",
        caught_by=("tests/unit/status/test_pgbudget.py",),
    ),
    Bug(
        name="claimed-and-not-said",
        promise="nothing hidden: a pool whose server belongs to another namespace says so, and what to do",
        file=f"{OPERATOR}/status/facts.py",
        right="    if claimed_by:\n",
        wrong="    if claimed_by and budget:\n",
        caught_by=(f"{TEST_CLAIMED}::test_its_pool_says_whose_the_server_is_and_what_the_owner_does",),
    ),
    Bug(
        name="aliased-and-not-said",
        promise="nothing hidden: two ledgers of one server name each other",
        file=f"{OPERATOR}/status/pgbudget.py",
        right="    if facts.alias_of:\n",
        wrong="    if facts.alias_of and facts.recovering:\n",
        caught_by=(f"{TEST_ALIASED}::test_both_ledgers_name_the_other",),
    ),
    Bug(
        name="aliased-and-said-in-the-ledger-only",
        promise="nothing hidden: pools say what is wrong with their server's name",
        file=f"{OPERATOR}/status/facts.py",
        right='frozenset({"LedgerRecovering", "ServerAliased", "ManyServers"})',
        wrong='frozenset({"LedgerRecovering"})',
        caught_by=(f"{TEST_ALIASED}::test_so_do_their_pools",),
    ),
    Bug(
        name="many-servers-and-not-said",
        promise="nothing hidden: several servers that answer at one address are said",
        file=f"{OPERATOR}/status/pgbudget.py",
        right="    if facts.answers_as > 1:\n",
        wrong="    if facts.answers_as > 10:\n",
        caught_by=(f"{TEST_ALIASED}::test_several_servers_behind_one_name_are_said",),
    ),
)
