"""Delays that double each time something fails. Pure."""

_MOST_DOUBLINGS = 30
"""Far beyond any longest delay; a float holds no more than a thousand, and a thing may fail for days."""


def backoff(first: float, longest: float, times: int) -> float:
    """Seconds to wait: `first`, doubled so many times, but no more than `longest`."""
    return min(longest, first * 2.0 ** min(times, _MOST_DOUBLINGS))
