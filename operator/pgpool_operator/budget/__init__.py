"""The budget of one database server: its size, its ledger, and who gets how much of it. Pure.

Read in this order: `size` (how large is B), `model` (the ledger), `death` (when a pod's part comes back),
`allocation` (who should have how much), `plan` (the one step that moves the ledger there), `fit` (how many pods
a budget can feed).
"""

from .allocation import Claim, allocate, expected_demand
from .death import Life, NodeFacts, PodFacts, hold_seconds, life
from .fit import Fit, PoolWants, fit
from .model import Ledger, Reservation
from .plan import Order, Plan, plan
from .size import Ask, Size, size
from .view import PodView, Report

__all__ = [
    "Ask",
    "Claim",
    "Fit",
    "Ledger",
    "Life",
    "NodeFacts",
    "Order",
    "Plan",
    "PodFacts",
    "PodView",
    "PoolWants",
    "Report",
    "Reservation",
    "Size",
    "allocate",
    "expected_demand",
    "fit",
    "hold_seconds",
    "life",
    "plan",
    "size",
]
