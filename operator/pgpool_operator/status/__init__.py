"""What the operator says: conditions, columns and events. Pure: facts in, words out; one module per condition."""

from .conditions import conditions
from .events import Event, budget_events, events
from .facts import EndpointFacts, Facts, ServerFacts, Trouble, server_facts
from .pgbudget import LedgerFacts, pgbudget_conditions
from .pgpool import as_json, pgpool_status

__all__ = [
    "EndpointFacts",
    "Event",
    "Facts",
    "LedgerFacts",
    "ServerFacts",
    "Trouble",
    "as_json",
    "budget_events",
    "conditions",
    "events",
    "pgbudget_conditions",
    "pgpool_status",
    "server_facts",
]
