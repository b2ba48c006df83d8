"""The operator's decisions against a queueing model, in virtual time: `python -m tests.simulator --help`.

Everything that decides is the operator's own code (signals, causes, policies, behaviour, the ledger's plan, fit);
modelled are the clients, the poolers, the database, and the time that everything takes.
"""

from .record import Look, Moment, Run
from .run import simulate
from .scenario import ALWAYS, Database, Load, Poolers, Scenario, Silence, Work

__all__ = [
    "ALWAYS",
    "Database",
    "Load",
    "Look",
    "Moment",
    "Poolers",
    "Run",
    "Scenario",
    "Silence",
    "Work",
    "simulate",
]
