"""Objects of a namespace as somebody reads them: each version once, found by what it is about, always as of now."""

from typing import Any

import pytest

from pgpool_operator.cluster.index import Reading
from pgpool_operator.cluster.kinds import POD
from pgpool_operator.cluster.store import Store


class Reader:
    """Reads a pod's colours; says which versions it was given."""

    def __init__(self) -> None:
        self.given: list[str] = []

    def __call__(self, raw: dict[str, Any]) -> tuple[str, ...] | None:
        meta = raw["metadata"]
        self.given.append(f"{meta['name']}@{meta['resourceVersion']}")
        if "unreadable" in raw:
            raise ValueError(meta["name"])
        return tuple(raw["colours"]) or None


def pod(name: str, *colours: str, version: int = 1, namespace: str = "shop", **more: Any) -> dict[str, Any]:
    meta = {"namespace": namespace, "name": name, "uid": name, "resourceVersion": str(version)}
    return {"metadata": meta, "colours": colours, **more}


@pytest.fixture
def store() -> Store:
    store = Store()
    store.put(POD, pod("a", "red"))
    store.put(POD, pod("b", "red", "blue"))
    store.put(POD, pod("c", "red", namespace="bank"))
    return store


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def colours(reader: Reader) -> Reading[tuple[str, ...]]:
    return Reading(POD, reader, lambda model: model)


def test_objects_of_the_namespace_are_found_by_name_and_by_key(
    store: Store, colours: Reading[tuple[str, ...]]
) -> None:
    index = store.read(colours, "shop")
    assert dict(index) == {"a": ("red",), "b": ("red", "blue")}
    assert index.find("red") == (("red",), ("red", "blue"))
    assert index.find("blue") == (("red", "blue"),)
    assert index.find("green") == ()


def test_what_changes_is_found_by_its_new_keys_only(store: Store, colours: Reading[tuple[str, ...]]) -> None:
    index = store.read(colours, "shop")
    assert index.find("red")
    store.put(POD, pod("a", "green", version=2))
    store.remove(POD, pod("b", version=2))
    store.put(POD, pod("d", "blue"))
    assert dict(index) == {"a": ("green",), "d": ("blue",)}
    assert (index.find("red"), index.find("green"), index.find("blue")) == ((), (("green",),), (("blue",),))


def test_an_object_that_says_a_key_twice_is_found_and_forgotten_once(
    store: Store, colours: Reading[tuple[str, ...]]
) -> None:
    store.put(POD, pod("d", "green", "green"))
    assert store.read(colours, "shop").find("green") == (("green", "green"),)
    store.remove(POD, pod("d"))
    assert store.read(colours, "shop").find("green") == ()


def test_a_version_is_read_once_however_often_it_is_asked_for(
    store: Store, colours: Reading[tuple[str, ...]], reader: Reader
) -> None:
    for _ in range(3):
        assert store.read(colours, "shop").find("red")
    store.put(POD, pod("a", "red", version=2))
    assert store.read(colours, "shop")["a"]
    assert reader.given == ["a@1", "b@1", "a@2"]


def test_versions_that_nobody_asked_for_in_between_are_not_read(
    store: Store, colours: Reading[tuple[str, ...]], reader: Reader
) -> None:
    index = store.read(colours, "shop")
    for version in (2, 3, 4):
        store.put(POD, pod("a", "red", version=version))
    assert len(index) == 2
    assert reader.given == ["a@4", "b@1"]


def test_of_an_emptied_namespace_nothing_is_kept_though_nobody_asks_again(
    store: Store, colours: Reading[tuple[str, ...]]
) -> None:
    index = store.read(colours, "shop")
    assert len(index) == 2
    store.put(POD, pod("a", "green", version=2))
    for name in "ab":
        store.remove(POD, pod(name, version=3))
    assert (index._models, index._found, index._changed) == ({}, {}, {})
    assert set(store._shelf(POD).by_namespace) == {"bank"}


def test_an_object_that_the_reading_leaves_out_is_not_there(
    store: Store, colours: Reading[tuple[str, ...]]
) -> None:
    index = store.read(colours, "shop")
    assert "a" in index
    store.put(POD, pod("a", version=2))
    assert "a" not in index
    assert index.find("red") == (("red", "blue"),)


def test_an_object_that_cannot_be_read_is_never_taken_for_one_that_is_not_there(
    store: Store, colours: Reading[tuple[str, ...]]
) -> None:
    index = store.read(colours, "shop")
    store.put(POD, pod("a", "red", version=2, unreadable=True))
    for _ in range(2):
        with pytest.raises(ValueError, match="a"):
            index.find("red")
    store.put(POD, pod("a", "red", version=3))
    assert "a" in index


def test_an_index_over_all_namespaces_follows_each_of_them(
    store: Store, colours: Reading[tuple[str, ...]]
) -> None:
    index = store.read(colours, None)
    assert dict(index) == {"bank/c": ("red",), "shop/a": ("red",), "shop/b": ("red", "blue")}
    store.put(POD, pod("a", "green", namespace="bank"))
    store.remove(POD, pod("a", version=2))
    assert index.find("green") == (index["bank/a"],) == (("green",),)
    assert "shop/a" not in index
