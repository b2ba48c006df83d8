"""The one sequence: observe -> desired -> apply (PgPool), and ledger -> commit -> grants (PgBudget)."""

from .reconciler import Reconciler

__all__ = ["Reconciler"]
