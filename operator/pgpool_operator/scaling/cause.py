"""What the database is busy with, as far as its own pg_stat_activity was seen."""

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum

from .signals import Backends

MOST = 0.5
"""A cause is named if it explains at least this part of the pool's backends."""


class Cause(StrEnum):
    """Why all backends are taken."""

    UNKNOWN = "Unknown"
    """Nobody could look, or what could be seen explains too little."""
    LOW = "Low"
    """The database has little to do: its backends wait for their clients."""
    CPU = "Cpu"
    IO = "Io"
    LOCK = "Lock"
    HELD = "Held"
    """Clients are in transactions and ask nothing."""


def cause_of(backends: Backends | None, cpus: float) -> Cause:
    """The cause on one server with `cpus` CPUs.

    At least as many backends on a CPU, or ready to run, as there are CPUs: more connections would only make each
    slower. Otherwise the class that makes up most of the backends; those that may not be seen count for none.
    """
    if backends is None:
        return Cause.UNKNOWN
    if cpus > 0 and backends.cpu >= cpus:
        return Cause.CPU
    everything = sum(vars(backends).values())
    classes = {
        Cause.LOCK: backends.lock,
        Cause.HELD: backends.held,
        Cause.IO: backends.io,
        Cause.LOW: backends.idle,
    }
    found, most = max(classes.items(), key=lambda item: item[1])
    return found if everything > 0 and most >= MOST * everything else Cause.UNKNOWN


def prevailing(causes: Iterable[Cause]) -> Cause:
    """The one that most pods name; Unknown counts only if nobody knows better."""
    known = Counter(cause for cause in causes if cause is not Cause.UNKNOWN)
    return known.most_common(1)[0][0] if known else Cause.UNKNOWN
