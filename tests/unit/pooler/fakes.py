"""A PgBouncer console, an engine and a clock that tests can see through."""

import signal
from collections.abc import Callable
from typing import Any, ClassVar

from pgpool_pooler.agent.drain import Clock
from pgpool_pooler.engines.base import (
    DatabaseLoad,
    EngineError,
    EngineRejected,
    EngineStatus,
    Setup,
    Traits,
)
from pgpool_pooler.engines.pgbouncer.console import CommandRefused, Row


class FakeProcess:
    """A process that lives until it is told otherwise."""

    def __init__(self) -> None:
        self.pid: int | None = None
        self.status: int | None = None
        self.signals: list[signal.Signals] = []
        self.dies_at_start = False

    async def start(self, argv: list[str]) -> None:
        self.argv, self.status = argv, None
        self.pid = None if self.dies_at_start else 42

    def send(self, number: signal.Signals) -> None:
        self.signals.append(number)
        if number is signal.SIGKILL:
            self.end(-number)

    def end(self, status: int) -> None:
        self.pid, self.status = None, status

    async def wait(self) -> None:
        return


class FakeConsole:
    """Answers as PgBouncer does: RELOAD reads the file that is there, and forgets what was SET."""

    def __init__(self, ini: Callable[[], str]) -> None:
        self._ini = ini
        self.commands: list[str] = []
        self.config: dict[str, str] = {}
        self.paused = False
        self.refuses: dict[str, str] = {}
        self.keeps: dict[str, str] = {}
        self.shows: dict[str, list[Row]] = {}
        self.closed = False

    async def rows(self, command: str) -> list[Row]:
        self.commands.append(command)
        if command == "SHOW VERSION":
            self.config = self._file()
        if command == "SHOW CONFIG":
            return [{"key": key, "value": value} for key, value in self.config.items()]
        return self.shows.get(command, [])

    async def run(self, command: str) -> None:
        self._command(command)
        if command == "RELOAD":
            self.config = self._file()
        elif command.startswith("SET "):
            key, _, value = command.removeprefix("SET ").partition("=")
            self.config[key] = value.strip("'")

    async def begin(self, command: str) -> None:
        self._command(command)
        if command in ("PAUSE", "RESUME"):
            self.paused = command == "PAUSE"

    async def close(self) -> None:
        self.closed = True

    def _command(self, command: str) -> None:
        self.commands.append(command)
        if command in self.refuses:
            raise CommandRefused(self.refuses[command])

    def _file(self) -> dict[str, str]:
        section = self._ini().split("[databases]")[0]
        pairs = dict(line.split(" = ", 1) for line in section.splitlines() if " = " in line)
        return pairs | self.keeps


class FakeClock(Clock):
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


class FakeEngine:
    """An engine that does at once what it is told, and records it."""

    traits: ClassVar[Traits] = Traits(threads=1)

    def __init__(self) -> None:
        self.running = False
        self.pid = None
        self.last_words = ""
        self.told: list[Any] = []
        self.setup: Setup | None = None
        self.open: dict[str, int] = {}
        self.clients = 0
        self.paused = False
        self.retired: set[str] = set()
        self.refuses: Callable[[Setup], str] = lambda _: ""
        self.mute = False
        self.status: EngineStatus | None = None
        """What it says of itself; None: by what it was told and has open."""
        self.greedy: set[str] = set()
        """Databases where a user has more than his part."""
        self.clean = True
        """Nothing that works is cut off when it ends as it is asked to."""
        self.expects_end = False

    def needs_restart(self, old: Setup, new: Setup) -> bool:
        return old.material.config.parameters.get("pkt_buf") != new.material.config.parameters.get("pkt_buf")

    async def start(self, setup: Setup) -> None:
        self._take(setup, "start")
        self.running, self.paused, self.retired = True, False, set()

    async def apply(self, setup: Setup) -> None:
        self._hear()
        self._take(setup, "apply")

    async def observe(self) -> EngineStatus:
        self._hear()
        if self.status is not None:
            return self.status
        loads = {name: DatabaseLoad(open=count, usable=count) for name, count in self.open.items()}
        if self.clients:
            loads["app"] = DatabaseLoad(open=self.open.get("app", 0), clients=self.clients)
        return EngineStatus(
            databases=loads,
            paused=self.paused,
            retired=frozenset(self.retired),
            overdrawn=frozenset(self.greedy),
            withheld=frozenset(self.retired),
        )

    async def pause(self) -> None:
        self._hear()
        self.told.append("pause")
        self.paused = True

    async def resume(self) -> None:
        self._hear()
        self.told.append("resume")
        self.paused = False

    async def retire(self, database: str) -> None:
        self._hear()
        self.told.append(("retire", database))
        self.retired.add(database)

    async def revive(self, database: str) -> None:
        self._hear()
        self.told.append(("revive", database))
        self.retired.discard(database)

    async def abort_busy(self) -> None:
        self._hear()
        self.told.append("abort busy")
        self.open = dict.fromkeys(self.open, 0)

    async def stop_accepting(self) -> None:
        self._hear()
        self.told.append("stop accepting")

    async def finish(self) -> None:
        self._hear()
        self.told.append("finish")
        self.running = False

    async def kill(self) -> None:
        self.told.append("kill")
        self.running = self.clean = False

    def expect_end(self) -> None:
        self.expects_end = True

    async def ended_clean(self) -> bool:
        return self.clean and self.expects_end

    def _hear(self) -> None:
        if self.mute or not self.running:
            raise EngineError("no answer")

    def _take(self, setup: Setup, how: str) -> None:
        self.told.append((how, dict(setup.limits)))
        if words := self.refuses(setup):
            raise EngineRejected(words)
        self.setup = setup
