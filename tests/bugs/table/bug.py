"""What a deliberate bug is, and the paths that many of them name."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from tests.bugs.table.guard import Guard


@dataclass(frozen=True)
class Bug:
    """One wrong change of the product."""

    name: str
    guards: Guard
    """What it breaks first of all."""
    promise: str
    """What it breaks, in words of its own."""
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


def again(where: str, bugs: Iterable[Bug], name: str, *caught_by: str, because: str) -> Bug:
    """The one of them that has the name, to be caught by other tests; `where` comes before its name."""
    [bug] = [bug for bug in bugs if bug.name == name]
    return replace(bug, name=f"{where}-{name}", caught_by=caught_by, because=because)


OPERATOR = "operator/pgpool_operator"
AGENT = "pooler/pgpool_pooler/agent"
PGBOUNCER = "pooler/pgpool_pooler/engines/pgbouncer"
BOOK_PY = f"{OPERATOR}/budget/book.py"
DEATH_PY = f"{OPERATOR}/budget/death.py"
PLAN_PY = f"{OPERATOR}/budget/plan.py"
DEATHS_PY = f"{OPERATOR}/reconcile/deaths.py"
BUDGET_RECONCILER_PY = f"{OPERATOR}/reconcile/budget.py"
TEST_PLAN = "tests/unit/budget/test_plan.py"
TEST_DEATH = "tests/unit/budget/test_death.py"
TEST_COUNTS = "tests/unit/reconcile/test_counts.py"
TEST_DEATHS = "tests/unit/reconcile/test_deaths.py"
TEST_BUDGET_RECONCILER = "tests/unit/reconcile/test_budget_reconciler.py"
TEST_SUPERVISOR = "tests/unit/pooler/test_supervisor.py"
TEST_RUNNER = "tests/unit/pooler/test_runner.py"
TEST_OUTLOOK = "tests/unit/pooler/test_outlook.py"
TEST_ENDING = "tests/unit/pooler/test_ending.py"
TEST_CLOSINGS = "tests/unit/pooler/test_closings.py"
TEST_AGENT_PLAN = "tests/unit/pooler/test_plan.py"
TEST_PGBOUNCER = "tests/unit/pooler/test_pgbouncer_engine.py"
TEST_TIMING = "tests/unit/pooler/test_timing.py"
TEST_BROKEN = "tests/unit/pooler/test_broken.py"
TEST_CLAIMED = "tests/unit/reconcile/test_claimed.py"
TEST_ALIASED = "tests/unit/reconcile/test_aliased.py"
