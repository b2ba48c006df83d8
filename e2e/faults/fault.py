"""What can be broken: a name, and a block that breaks it at its start and mends it at its end."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from e2e.faults.stage import Stage
from e2e.world import BUDGET

TRANSACTION_SECONDS = 0.02

Act = Callable[[Stage], AbstractContextManager[None]]
_Broken = Callable[[Stage], Iterator[None]]


@dataclass(frozen=True)
class Fault:
    """One fault."""

    name: str
    """class/what: pod/force-delete."""
    act: Act
    seconds: float
    """How long it lasts once it is in force; 0 for one that is over when it is done."""
    daily: bool
    """It stands for its class in `make test`."""
    mixed: bool
    """It can be one of several at a time."""
    most: int
    """The largest B of the whole time; at its end it is BUDGET again."""
    transaction_seconds: float = TRANSACTION_SECONDS
    """How long the clients' transactions are."""
    interrupts: bool = False
    """Nobody can be served while it lasts, or so few that who waits does so for long."""

    @property
    def family(self) -> str:
        """The class."""
        return self.name.partition("/")[0]


class Catalog:
    """The faults of one class, by decorating what breaks."""

    def __init__(self, family: str) -> None:
        self._family = family
        self.faults: list[Fault] = []

    def fault(
        self,
        name: str,
        *,
        seconds: float = 0.0,
        daily: bool = False,
        mixed: bool = False,
        most: int = BUDGET,
        transaction_seconds: float = TRANSACTION_SECONDS,
        interrupts: bool = False,
    ) -> Callable[[_Broken], _Broken]:
        """Enter a generator: what is before its `yield` breaks, what is after it mends, whatever happens."""

        def enter(broken: _Broken) -> _Broken:
            act = contextmanager(broken)
            whole = f"{self._family}/{name}"
            self.faults.append(
                Fault(whole, act, seconds, daily, mixed, most, transaction_seconds, interrupts)
            )
            return broken

        return enter


def by_name(catalogs: Iterable[Catalog]) -> dict[str, Fault]:
    """All faults of some classes."""
    return {fault.name: fault for catalog in catalogs for fault in catalog.faults}
