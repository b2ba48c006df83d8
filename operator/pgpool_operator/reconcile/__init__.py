"""The one sequence: observe -> desired -> apply (PgPool), and ledger -> commit -> grants (PgBudget)."""

from .deaths import Deaths
from .pods import FINISHED
from .reconciler import Reconciler

__all__ = ["FINISHED", "Deaths", "Reconciler"]
