"""The engine's process: started, read, signalled and reaped by the agent, which is process 1 of the pod."""

import asyncio
import contextlib
import fcntl
import os
import signal
from collections.abc import Callable, Sequence
from typing import Final

import structlog

_PIPE_BYTES: Final = 1 << 20
"""An engine blocks when nobody reads its log; this much it can write while the agent does something else."""
_CHUNK: Final = 1 << 16

log = structlog.get_logger()


class Process:
    """One child process; its standard error goes line by line to `on_line`, its end to `on_exit`."""

    def __init__(self, on_line: Callable[[str], None], on_exit: Callable[[int], None]) -> None:
        self._on_line = on_line
        self._on_exit = on_exit
        self._child: asyncio.subprocess.Process | None = None
        self._follower: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The child, as long as it lives."""
        child = self._child
        return child.pid if child is not None and child.returncode is None else None

    @property
    def status(self) -> int | None:
        """The child's exit status, negative if a signal ended it; None before it has ended."""
        return self._child.returncode if self._child is not None else None

    async def start(self, argv: Sequence[str]) -> None:
        """Start the child in a session of its own, so that only the agent's signals reach it."""
        self._child = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self._follower = asyncio.create_task(self._follow(self._child))

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if the child still lives."""
        if self._child is not None and self._child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._child.send_signal(number)

    async def wait(self) -> None:
        """Wait until the child has ended and its log has been read."""
        if self._follower is not None:
            await asyncio.shield(self._follower)

    async def _follow(self, child: asyncio.subprocess.Process) -> None:
        assert child.stderr is not None
        _widen_pipe(child)
        rest = b""
        while chunk := await child.stderr.read(_CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._tell(line)
        if rest:
            self._tell(rest)
        self._on_exit(await child.wait())

    def _tell(self, line: bytes) -> None:
        """Pass one line on. Who fails over it must not end the reading: the engine would block on a full pipe."""
        text = line.decode(errors="replace")
        try:
            self._on_line(text)
        except Exception:
            log.exception("a line of the engine's log was not understood", line=text)


def _widen_pipe(child: asyncio.subprocess.Process) -> None:
    assert child.stderr is not None
    transport = getattr(child.stderr, "_transport", None)
    pipe = transport.get_extra_info("pipe") if transport is not None else None
    if pipe is not None:
        # Refused beyond the user's quota of pipe memory; the engine then has the kernel's 64 KiB.
        with contextlib.suppress(PermissionError):
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def reap_orphans(own: int | None) -> None:
    """Collect children that are not the engine: what an exec into the pod leaves behind falls to process 1."""
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid == own:
            return
        with contextlib.suppress(ChildProcessError):
            os.waitpid(ended.si_pid, os.WNOHANG)


def cpu_seconds(pid: int | None) -> float:
    """User and system time of a process since it started; 0 if there is none."""
    if pid is None:
        return 0.0
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
