"""All faults, by name."""

from e2e.faults.control_plane import API
from e2e.faults.crashes import OPERATOR
from e2e.faults.database import DATABASE
from e2e.faults.fault import Fault, by_name
from e2e.faults.ledger import LEDGERS
from e2e.faults.nodes import NODE
from e2e.faults.pods import POD

FAULTS: dict[str, Fault] = by_name((POD, NODE, API, OPERATOR, LEDGERS, DATABASE))
