"""Which pods go when there are too many."""

from collections.abc import Mapping

from .signals import PodLoad


def least_missed(loads: Mapping[str, PodLoad | None], count: int) -> tuple[str, ...]:
    """The keys of `count` pods whose leaving hurts least: those whose load is not known (they take no clients, or
    are silent), then those with the fewest clients, of these those whose connections are used least."""

    def hurt(key: str) -> tuple[float, float, str]:
        load = loads[key]
        return (load.clients, load.active, key) if load is not None else (-1.0, 0.0, key)

    return tuple(sorted(loads, key=hurt)[: max(0, count)])
