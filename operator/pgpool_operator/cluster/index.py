"""Objects as the reconciles read them: each read once for each version, and found by what it is about."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from .kinds import Kind

Object = dict[str, Any]
M = TypeVar("M")


@dataclass(frozen=True)
class Reading(Generic[M]):
    """One way to read the objects of a kind; `Store.read` keeps an index for each."""

    kind: Kind
    read: Callable[[Object], M | None]
    """The model of an object; None: for this reading it is not there."""
    keys: Callable[[M], Iterable[Hashable]] = lambda _: ()
    """What a model is found by, beside its name."""


class Index(Mapping[str, M]):
    """The models of one namespace by name, always as of now. A new version is read when somebody asks.

    An error of `read` goes to whoever asks, each time, until the object changes: an object that cannot be read
    is not taken for one that is not there.
    """

    def __init__(self, reading: Reading[M]) -> None:
        self._reading = reading
        self._models: dict[str, M] = {}
        self._found: dict[Hashable, dict[str, M]] = {}
        self._changed: dict[str, Object] = {}

    def changed(self, name: str, obj: Object | None) -> None:
        """An object has a new version, or (None) is gone: that is forgotten at once, as nobody may ask again."""
        if obj is None:
            self._forget(name)
            self._changed.pop(name, None)
        else:
            self._changed[name] = obj

    def find(self, key: Hashable) -> tuple[M, ...]:
        """The models that have a key."""
        self._catch_up()
        return tuple(self._found.get(key, {}).values())

    def __getitem__(self, name: str) -> M:
        self._catch_up()
        return self._models[name]

    def __iter__(self) -> Iterator[str]:
        self._catch_up()
        return iter(tuple(self._models))

    def __len__(self) -> int:
        self._catch_up()
        return len(self._models)

    def _catch_up(self) -> None:
        while self._changed:
            name, obj = next(iter(self._changed.items()))
            model = self._reading.read(obj)
            self._forget(name)
            if model is not None:
                self._models[name] = model
                for key in set(self._reading.keys(model)):
                    self._found.setdefault(key, {})[name] = model
            del self._changed[name]

    def _forget(self, name: str) -> None:
        model = self._models.pop(name, None)
        for key in () if model is None else set(self._reading.keys(model)):
            named = self._found[key]
            del named[name]
            if not named:
                del self._found[key]
