"""The budget of one database server: its size, its ledger, and who gets how much of it. Pure.

Read in this order: `size` (how large is B), `model` (the ledger), `death` (when a pod's part comes back),
`allocation` (who should have how much), `plan` (the one step that moves the ledger there), `fit` (how many pods
a budget can feed), `identity` and `handover` (one budget for one server, whatever its names).
"""

from .allocation import Claim, allocate, expected_demand
from .death import GONE_MARGIN_SECONDS, Life, NodeFacts, PodFacts, hold_seconds, life
from .fit import Fit, PoolWants, fit, fixed_share
from .handover import give_way
from .identity import Answers, Identity, Party, Share, Sighting, answers, as_said, identities, share
from .model import Ledger, Reservation
from .plan import Order, Plan, plan
from .size import Ask, Size, size
from .view import PodView, Report

__all__ = [
    "GONE_MARGIN_SECONDS",
    "Answers",
    "Ask",
    "Claim",
    "Fit",
    "Identity",
    "Ledger",
    "Life",
    "NodeFacts",
    "Order",
    "Party",
    "Plan",
    "PodFacts",
    "PodView",
    "PoolWants",
    "Report",
    "Reservation",
    "Share",
    "Sighting",
    "Size",
    "allocate",
    "answers",
    "as_said",
    "expected_demand",
    "fit",
    "fixed_share",
    "give_way",
    "hold_seconds",
    "identities",
    "life",
    "plan",
    "share",
    "size",
]
