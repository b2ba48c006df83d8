"""One transaction, with what it was drawn to need."""

from dataclasses import dataclass
from random import Random

from .clock import Action
from .scenario import Work


@dataclass(eq=False, slots=True)
class Transaction:
    """Times in seconds, as in `Work`."""

    cpu: float
    io: float
    hold: float
    pooler: float
    locks: bool
    ended: Action
    refused: Action
    """Its pod goes before it has a backend."""
    queued_at: float = 0.0
    began_at: float = 0.0
    """When it got its backend."""


def draw(work: Work, rng: Random, ended: Action, refused: Action) -> Transaction:
    """One more of these."""
    slow = work.slow > 0 and rng.random() < work.slow
    return Transaction(
        cpu=_exponential(work.slow_cpu if slow else work.cpu, rng),
        io=_exponential(work.io, rng),
        hold=_exponential(work.hold, rng),
        pooler=work.pooler,
        locks=work.locked > 0 and rng.random() < work.locked,
        ended=ended,
        refused=refused,
    )


def _exponential(mean: float, rng: Random) -> float:
    return rng.expovariate(1 / mean) if mean > 0 else 0.0
