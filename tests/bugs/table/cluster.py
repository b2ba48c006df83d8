"""Some that end-to-end tests on the cluster catch too."""

from functools import partial

from e2e.world import BUDGET
from tests.bugs.table.agent import AGENTS
from tests.bugs.table.bug import again
from tests.bugs.table.clients import CLIENTS
from tests.bugs.table.death import DEATHS
from tests.bugs.table.ledger import LEDGER

_TEST_LONG = "e2e/test_budget.py::test_connections_in_long_transactions_are_counted_until_those_end"
_TEST_CUT_OFF = (
    "e2e/test_budget.py::test_what_a_pod_closes_while_it_is_cut_off_from_the_database_is_not_given_to_others"
)
_TEST_ROLL_OUT = "e2e/test_no_harm.py::test_no_transaction_fails_while_the_poolers_change[roll_out]"
_TEST_FAULT = "e2e/test_faults.py::test_the_budget_holds_through_a_fault"

_again = partial(again, "cluster")

ON_THE_CLUSTER = (
    _again(LEDGER, "released-when-ordered", _TEST_LONG, because=f" <= {BUDGET}"),
    _again(AGENTS, "acknowledged-before-the-server-noticed", _TEST_CUT_OFF, because=f" <= {BUDGET}"),
    _again(
        DEATHS, "absence-is-death", _TEST_FAULT, "--fault", "pod/force-delete", because="sessions at once"
    ),
    _again(CLIENTS, "ended-without-a-drain", _TEST_ROLL_OUT, because="transaction "),
)
