"""What wakes the loop up, and what must not end it."""

import asyncio
import errno
import os
from pathlib import Path

import pytest

from pgpool_pooler.agent import watch

from .kubelet import write_volume


async def test_a_volume_that_the_kubelet_writes_wakes_the_loop(tmp_path: Path) -> None:
    woken = asyncio.Event()
    watcher = asyncio.create_task(watch.watch([tmp_path], woken.set))
    await asyncio.sleep(0)
    write_volume(tmp_path, {"grant": "{}"}, "1")
    async with asyncio.timeout(10):
        await woken.wait()
    watcher.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watcher


async def test_where_a_node_has_no_watch_left_the_loop_goes_on_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left() -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(watch, "Inotify", none_left)
    await watch.watch([tmp_path], lambda: None)
