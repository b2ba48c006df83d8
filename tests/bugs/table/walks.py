"""Some that property tests catch too: random walks over the real plan."""

from functools import partial

from tests.bugs.table.bug import again
from tests.bugs.table.comes_back import COMES_BACK
from tests.bugs.table.ledger import LEDGER

_MACHINE = "tests/property/test_ledger_machine.py"
_TEST_HOLDS = f"{_MACHINE}::test_the_budget_holds_at_every_step_of_every_walk"
_TEST_SHARED = f"{_MACHINE}::test_when_faults_stop_everybody_who_belongs_to_a_server_shares_all_of_it"

_again = partial(again, "walks")

ON_WALKS = (
    _again(LEDGER, "sent-but-not-reserved", _TEST_HOLDS, because=" connections, of "),
    _again(LEDGER, "released-by-an-old-acknowledgement", _TEST_HOLDS, because=" connections, of "),
    _again(LEDGER, "committed-before-it-is-drained", _TEST_HOLDS, because=" reserved, of "),
    _again(COMES_BACK, "the-dead-hold-for-ever", _TEST_SHARED, because="ViolationError"),
)
