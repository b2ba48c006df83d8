"""The table: deliberate bugs, at least one against each promise, and the tests that must fail with it."""

from tests.bugs.table.agent import AGENTS
from tests.bugs.table.bug import Bug
from tests.bugs.table.clients import CLIENTS
from tests.bugs.table.cluster import ON_THE_CLUSTER
from tests.bugs.table.comes_back import COMES_BACK
from tests.bugs.table.death import DEATHS
from tests.bugs.table.drained import DRAINED
from tests.bugs.table.guard import Guard
from tests.bugs.table.ledger import LEDGER
from tests.bugs.table.one_server import ONE_SERVER
from tests.bugs.table.said import SAID
from tests.bugs.table.size import SIZE
from tests.bugs.table.walks import ON_WALKS

__all__ = ["BUGS", "ON_THE_CLUSTER", "Bug", "Guard"]

BUGS = (
    *LEDGER,
    *DEATHS,
    *DRAINED,
    *SIZE,
    *AGENTS,
    *CLIENTS,
    *COMES_BACK,
    *SAID,
    *ONE_SERVER,
    *ON_WALKS,
)
"""Caught by unit and property tests: seconds each. Those ON_THE_CLUSTER take end-to-end tests, minutes each."""
