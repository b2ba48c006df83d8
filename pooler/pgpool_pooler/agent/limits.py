"""The arithmetic that keeps a pod inside its cap while the shares of its databases change."""

from collections.abc import Mapping


def next_limits(
    limits: Mapping[str, int],
    target: Mapping[str, int],
    open_: Mapping[str, int],
    cap: int,
    lately: Mapping[str, int],
) -> dict[str, int]:
    """The limits to put in force next, on the way from `limits` to `target`.

    A database that has to shrink gets its new limit at once. One that has to grow gets only what is free:
    `cap` less what every database holds, which is the largest of its limit in force, its open connections and those
    that it had lately: what has been closed, the server may still be ending.
    So whatever the engine opens between two steps, the sum never exceeds the cap (going from 10 + 2 to 4 + 8
    in one step would peak at 18 of 12).

    Args:
        limits: in force when `open_` was read.
        target: wanted in the end; a database that is not in it has to go to 0.
        open_: connections per database, those above their limit included.
        cap: of the pod's grant.
        lately: the highest of `open_` for as long as the server may take to end a connection.

    """
    names = sorted({*limits, *target})
    own = highest(limits, open_)
    free = cap - sum(highest(own, lately).values())
    following: dict[str, int] = {}
    for name in names:
        wanted, now = target.get(name, 0), limits.get(name, 0)
        if wanted <= now:
            following[name] = wanted
            continue
        raised = min(wanted, own.get(name, 0) + max(free, 0))
        free -= max(raised - own.get(name, 0), 0)
        following[name] = max(raised, now)
    return following


def exceeded(limits: Mapping[str, int], open_: Mapping[str, int]) -> bool:
    """Whether a database has more connections than its limit; one without a limit has the limit 0."""
    return any(count > limits.get(name, 0) for name, count in open_.items())


def highest(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """The higher of two counts of each database. Of two limits: those that hold whichever is in force.

    Their sum is within the cap where `other` comes from `next_limits(one, ...)`.
    """
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in sorted({*one, *other})}
