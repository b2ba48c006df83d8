import os
from pathlib import Path

import pytest

from pgpool_pooler.agent import mounts
from pgpool_pooler.agent.mounts import EMPTY, Mount
from pgpool_pooler.agent.store import AcceptedConfig, Store
from pgpool_pooler.contract import Peers
from pgpool_pooler.files import write_durably

from .builders import config, grant
from .kubelet import write_volume


def test_a_volume_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    assert Mount(tmp_path / "users").read() == EMPTY


def test_a_volume_is_read_whole_and_again_after_each_swap(tmp_path: Path) -> None:
    volume = Mount(tmp_path)
    write_volume(tmp_path, {"grant": "one", "config-hash": "1"}, "a")
    assert (volume.read().text("grant"), volume.read().text("config-hash")) == ("one", "1")
    write_volume(tmp_path, {"grant": "two"}, "b")
    assert volume.read().files == {"grant": b"two"}
    assert volume.read().text("config-hash") == ""


def test_a_swap_in_the_middle_of_reading_does_not_mix_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_volume(tmp_path, {"a": "old", "b": "old"}, "1")
    read_file = mounts._read_file
    swapped: list[bool] = []

    def read_and_swap(name: str, directory: int) -> bytes:
        content = read_file(name, directory)
        if not swapped:
            swapped.append(True)
            write_volume(tmp_path, {"a": "new", "b": "new"}, "2")
        return content

    monkeypatch.setattr(mounts, "_read_file", read_and_swap)
    assert Mount(tmp_path).read().files == {"a": b"new", "b": b"new"}


def test_what_was_persisted_is_there_after_a_restart(tmp_path: Path) -> None:
    accepted = AcceptedConfig(
        config_hash="c1", config=config(), peers=Peers(addresses={1: "10.0.0.9"}), detects_dead_clients=True
    )
    Store(tmp_path, tmp_path).keep_grant(grant({"app": 3}))
    Store(tmp_path, tmp_path).keep_accepted(accepted)
    assert Store(tmp_path, tmp_path).grant() == grant({"app": 3})
    assert Store(tmp_path, tmp_path).accepted() == accepted


def test_a_new_pod_has_persisted_nothing(tmp_path: Path) -> None:
    assert Store(tmp_path, tmp_path).grant() is None
    assert Store(tmp_path, tmp_path).accepted() is None


def test_a_damaged_grant_is_none_but_says_that_there_was_one(tmp_path: Path) -> None:
    memory, disk = tmp_path / "memory", tmp_path / "disk"
    memory.mkdir()
    disk.mkdir()
    store = Store(disk, memory)
    assert not store.lived()
    store.keep_grant(grant({"app": 3}))
    (disk / "grant.json").write_bytes(b"{")
    assert store.grant() is None
    assert store.lived()


def test_files_with_passwords_are_for_the_pod_only(tmp_path: Path) -> None:
    write_durably(tmp_path / "userlist.txt", b"x")
    assert (tmp_path / "userlist.txt").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["userlist.txt"]


def test_content_is_on_the_disk_before_it_has_its_name_and_then_so_is_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "grant.json"
    synced: list[tuple[str, bool]] = []

    def fsync(handle: int) -> None:
        synced.append((Path(f"/proc/self/fd/{handle}").readlink().name, path.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    write_durably(path, b"new")
    assert synced == [(".grant.json.new", False), (tmp_path.name, True)]
