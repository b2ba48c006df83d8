from typing import Any

import pytest

from pgpool_operator.cluster.kinds import POD, Kind
from pgpool_operator.cluster.store import Change, Store

Heard = list[tuple[str, Change]]


def pod(name: str, version: int, uid: str | None = None) -> dict[str, Any]:
    meta = {"namespace": "shop", "name": name, "uid": uid or name, "resourceVersion": str(version)}
    return {"kind": "Pod", "metadata": meta, "status": {"version": version}}


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def heard(store: Store) -> Heard:
    heard: Heard = []

    def listen(_kind: Kind, obj: dict[str, Any], change: Change) -> None:
        heard.append((f"{obj['metadata']['uid']}@{obj['metadata']['resourceVersion']}", change))

    store.listen(listen)
    return heard


def test_a_newer_version_replaces_an_older_one(store: Store, heard: Heard) -> None:
    store.put(POD, pod("a", 1))
    store.put(POD, pod("a", 2))
    assert store.get(POD, "shop", "a") == pod("a", 2)
    assert heard == [("a@1", Change.PUT), ("a@2", Change.PUT)]


def test_a_newer_version_that_says_nothing_new_is_kept_and_not_told(store: Store, heard: Heard) -> None:
    store.put(POD, pod("a", 1))
    same = pod("a", 1)
    same["metadata"]["resourceVersion"] = "2"
    assert store.put(POD, same)
    assert store.get(POD, "shop", "a") == same
    assert heard == [("a@1", Change.PUT)]


def test_an_older_version_never_replaces_a_newer_one(store: Store, heard: Heard) -> None:
    store.put(POD, pod("a", 2))
    assert not store.put(POD, pod("a", 1))
    assert store.get(POD, "shop", "a") == pod("a", 2)
    assert heard == [("a@2", Change.PUT)]


def test_a_late_event_does_not_bring_a_deleted_object_back(store: Store, heard: Heard) -> None:
    store.put(POD, pod("a", 1))
    store.remove(POD, pod("a", 3))
    assert not store.put(POD, pod("a", 2))
    assert store.get(POD, "shop", "a") is None
    assert heard == [("a@1", Change.PUT), ("a@3", Change.DELETED)]


def test_a_successor_of_the_same_name_means_that_the_predecessor_is_gone(store: Store, heard: Heard) -> None:
    store.put(POD, pod("a", 1, uid="old"))
    store.put(POD, pod("a", 2, uid="new"))
    assert heard == [("old@1", Change.PUT), ("old@1", Change.MISSED), ("new@2", Change.PUT)]


def test_the_deletion_of_a_predecessor_leaves_its_successor(store: Store) -> None:
    store.put(POD, pod("a", 2, uid="new"))
    store.remove(POD, pod("a", 3, uid="old"))
    assert store.get(POD, "shop", "a") == pod("a", 2, uid="new")


def test_a_listing_finds_deletions_that_no_event_told_of(store: Store, heard: Heard) -> None:
    store.put(POD, pod("a", 1))
    store.put(POD, pod("b", 2))
    assert store.replace(POD, [pod("b", 2)], "10") == ([], [pod("a", 1)])
    assert list(store.all(POD, "shop")) == [pod("b", 2)]
    assert heard[-1] == ("a@1", Change.MISSED)


def test_a_listing_does_not_remove_what_is_younger_than_itself(store: Store) -> None:
    store.put(POD, pod("a", 11))
    assert store.replace(POD, [], "10") == ([], [])
    assert store.get(POD, "shop", "a") == pod("a", 11)


def test_objects_of_other_namespaces_are_not_listed(store: Store) -> None:
    store.put(POD, pod("a", 1))
    assert list(store.all(POD, "bank")) == []


def test_a_missed_deletion_that_is_seen_after_all_is_told_with_the_last_version(
    store: Store, heard: Heard
) -> None:
    store.put(POD, pod("a", 1))
    store.remove(POD, pod("a", 1), Change.MISSED)
    store.remove(POD, pod("a", 3))
    store.remove(POD, pod("a", 3))
    assert heard == [("a@1", Change.PUT), ("a@1", Change.MISSED), ("a@3", Change.DELETED)]


def test_a_deletion_that_was_seen_is_told_once(store: Store, heard: Heard) -> None:
    store.put(POD, pod("a", 1))
    store.remove(POD, pod("a", 3))
    store.remove(POD, pod("a", 1), Change.MISSED)
    store.remove(POD, pod("a", 3))
    assert not store.put(POD, pod("a", 2))
    assert heard == [("a@1", Change.PUT), ("a@3", Change.DELETED)]


def test_the_last_version_of_what_a_listing_found_to_be_gone_is_told_when_it_comes(
    store: Store, heard: Heard
) -> None:
    store.put(POD, pod("a", 1))
    store.replace(POD, [], "10")
    store.remove(POD, pod("a", 3))
    assert heard == [("a@1", Change.PUT), ("a@1", Change.MISSED), ("a@3", Change.DELETED)]


def test_an_older_reply_does_not_bring_back_what_a_listing_found_to_be_gone(store: Store) -> None:
    store.put(POD, pod("a", 2))
    store.replace(POD, [], "5")
    assert not store.put(POD, pod("a", 3))
    assert store.get(POD, "shop", "a") is None


@pytest.mark.parametrize(("listed", "version"), [([], "5"), ([pod("a", 2)], "3")], ids=["before", "after"])
def test_an_older_reply_does_not_bring_back_what_was_deleted_shortly_before_a_listing_or_after_it(
    store: Store, listed: list[dict[str, Any]], version: str
) -> None:
    store.put(POD, pod("a", 2))
    store.remove(POD, pod("a", 4))
    store.replace(POD, listed, version)
    assert not store.put(POD, pod("a", 3))
    assert store.get(POD, "shop", "a") is None


def test_what_was_missed_and_is_missed_again_is_told_with_its_last_version(
    store: Store, heard: Heard
) -> None:
    store.put(POD, pod("a", 1))
    store.replace(POD, [], "2")
    store.put(POD, pod("a", 3))
    store.replace(POD, [pod("a", 3)], "4")
    store.replace(POD, [], "5")
    store.remove(POD, pod("a", 6))
    assert heard[-2:] == [("a@3", Change.MISSED), ("a@6", Change.DELETED)]


def test_the_ends_of_objects_are_not_remembered_for_ever(store: Store) -> None:
    for number in range(3):
        store.put(POD, pod(f"deleted-{number}", 1))
        store.remove(POD, pod(f"deleted-{number}", 2))
        store.put(POD, pod(f"missed-{number}", 3))
        store.replace(POD, [], "4")
    shelf = store._shelf(POD)
    store.replace(POD, [], "5")
    store.replace(POD, [], "5")
    assert (shelf.buried, shelf.missed, shelf.old) == ({}, set(), set())
