"""DatabaseSaturated: clients wait for the database, not for poolers."""

from ..api import ConditionStatus
from .facts import Facts, Verdict

TYPE = "DatabaseSaturated"


def database_saturated(_: Facts) -> Verdict:
    """Never known: this release reads no load from the database."""
    return Verdict(ConditionStatus.UNKNOWN, "NoSignal", "the database's load is not measured")
