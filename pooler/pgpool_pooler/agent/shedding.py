"""How an engine closes connections of which there are too many, and what it may open in their place, and when.

| a database                                              | closes     | opens              |
|---------------------------------------------------------|------------|--------------------|
| is above its limit                                      | what frees | up to the limit - 1|
| is above it with work alone, and clients wait           | in a hurry | nothing            |
| was so within the last SETTLED_SECONDS                  | nothing    | nothing            |
| is within it, but a user has more than his part         | what frees | up to the limit - 1|
| the same, another user has none, and there is room      | nothing    | up to the limit    |

What has closed, the server may still be ending: it must not be replaced before that. The last line is for users
who came when somebody else had everything in long transactions: they get what frees, one by one.
"""

from dataclasses import replace

from pgpool_pooler.contract import MONITOR_DATABASE
from pgpool_pooler.engines.base import EngineStatus, Setup

from .lately import Lately


def shed(setup: Setup, before: Setup | None, status: EngineStatus, lately: Lately) -> Setup:
    """`setup` with what to close and hold back; `before` is the one in force while `status` was seen."""
    names = setup.limits.keys() - {MONITOR_DATABASE}
    above = frozenset(name for name in names if _is_above(setup, name, status))
    hurried = frozenset(name for name in above if _is_hurried(setup, name, before, status))
    calming = (lately.hurried & names) - above
    overdrawn = (status.overdrawn & names) - above - calming
    giving = frozenset(name for name in overdrawn & status.starved if _has_room(setup, name, status, lately))
    closing = above | overdrawn - giving
    held_back = dict.fromkeys(closing | (lately.closing & names) - giving, 1)
    held_back |= {name: setup.database_limit(name) - 1 for name in hurried | calming}
    return replace(
        setup,
        closing=closing,
        hurried=hurried,
        held_back=held_back,
        most_of_one={name: _most_of_one(name, before, status) for name in closing - hurried},
    )


def _is_above(setup: Setup, name: str, status: EngineStatus) -> bool:
    load = status.load_of(name)
    return load.open - load.doubtful > setup.database_limit(name)


def _is_hurried(setup: Setup, name: str, before: Setup | None, status: EngineStatus) -> bool:
    """As long as enough are idle, closing those is faster."""
    queued = any(database == name for database, _ in status.queues)
    hurries = before is not None and name in before.hurried
    return (queued or hurries) and status.load_of(name).active >= setup.database_limit(name)


def _has_room(setup: Setup, name: str, status: EngineStatus, lately: Lately) -> bool:
    return max(status.open_of(name), lately.open.get(name, 0)) < setup.database_limit(name)


def _most_of_one(name: str, before: Setup | None, status: EngineStatus) -> int:
    """The last one that was told, as long as it is about right: each change is a RELOAD."""
    now = status.most_of_one.get(name, 0)
    told = before.most_of_one.get(name, 0) if before is not None else 0
    return told if now <= told <= now + 2 else now
