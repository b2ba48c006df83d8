"""Wakes the loop up when the kubelet has written; what is missed the loop's own tick finds."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import structlog
from asyncinotify import Inotify, Mask

_EVENTS: Final = Mask.MOVED_TO | Mask.CREATE | Mask.DELETE | Mask.ONLYDIR

log = structlog.get_logger()


async def watch(directories: Iterable[Path], wake: Callable[[], None]) -> None:
    """Watch the directories themselves: a watch on a file dies when the kubelet swaps the volume."""
    try:
        await _watch(directories, wake)
    except OSError as error:
        # A node has only so many watches (EMFILE, ENOSPC).
        log.warning("no watch on the mounts, their changes are seen at the next tick", error=str(error))


async def _watch(directories: Iterable[Path], wake: Callable[[], None]) -> None:
    with Inotify() as inotify:
        for directory in directories:
            inotify.add_watch(directory, _EVENTS)
        async for _ in inotify:
            wake()
            await asyncio.sleep(0)
