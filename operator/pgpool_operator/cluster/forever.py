"""Tasks that never end: where one does, even without an error, nothing goes on without it."""

import asyncio
from collections.abc import Collection
from typing import Any, NoReturn


class EndedError(Exception):
    """The operator cannot go on; the text says why, for one line of the log."""


async def together(tasks: Collection["asyncio.Task[Any]"]) -> NoReturn:
    """Wait until one of the tasks ends, end the others, and raise why it did.

    As a TaskGroup, but for one that is cancelled by somebody else or returns: a group would go on without it.
    """
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    why(done)


def why(done: Collection["asyncio.Task[Any]"]) -> NoReturn:
    """Raise the error of the first of the tasks that have one, else EndedError."""
    for task in done:
        if not task.cancelled():
            task.result()
    raise EndedError(f"ended by itself: {', '.join(sorted(task.get_name() for task in done))}")
