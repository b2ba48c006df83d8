"""Control of a PgBouncer process by the methods that were measured to keep its caps and its clients.

- A RELOAD with lower limits does not shrink a busy pool: only what is idle above pool_size closes, within 0.33 s.
- `server_lifetime` on the line of a database, in whole seconds, closes connections there as they become free, those
  below the limit too, and in no other database; a RELOAD with it marks no connection for closing (seen). PgBouncer
  spaces them, per pool, by server_lifetime / pool_size (`life_over` in its objects.c).
- What closes is opened again at once where somebody waits, while PostgreSQL may still be ending the old one (seen:
  an end takes 2 ms, p99 131 ms, at most 387 ms under 30 runnable processes on 2 CPUs; a login 10 ms). So places of
  the limit are held back there (`Setup.held_back`). RECONNECT and PAUSE/RESUME race with logins.
- A RELOAD forgets what was SET (the file wins), so what has to outlive it is in the file, or is set again after it.
- A PAUSE outlives the console connection that issued it, and RESUME works while one is pending.
"""

import asyncio
import secrets
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, Final, Protocol

from pydantic import ValidationError

from pgpool_pooler.engines.base import EngineError, EngineRejected, EngineStatus, Setup, Traits
from pgpool_pooler.errors import first_error

from .config import INI, Files, Unrenderable, render, settings
from .console import CommandRefused, Console, identifier
from .log import LogReader
from .parameters import NEEDS_RESTART
from .status import engine_status

_START_SECONDS: Final = 10.0
_START_POLL_SECONDS: Final = 0.02
_UNLOGGED_SECONDS: Final = 0.05
"""PgBouncer logs before it answers, but through another pipe."""
HANG_UP_IDLE_SECONDS: Final = "0.01"
"""client_idle_timeout while draining: a client between two transactions is idle after this time."""


class EngineProcess(Protocol):
    """The process, as far as the control code needs it."""

    @property
    def pid(self) -> int | None:
        """The process, as long as it lives."""

    @property
    def status(self) -> int | None:
        """Its exit status; None before it has ended."""

    async def start(self, argv: list[str]) -> None:
        """Start it."""

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""

    async def wait(self) -> None:
        """Wait for its end."""


class PgBouncer:
    """PgBouncer behind the engine interface."""

    traits: ClassVar[Traits] = Traits(threads=1)

    def __init__(
        self,
        files: Files,
        binary: Path,
        console: Console,
        process: EngineProcess,
        log: LogReader,
        write: Callable[[Path, bytes], None],
    ) -> None:
        self._files = files
        self._binary = binary
        self._console = console
        self._process = process
        self._log = log
        self._write = write
        self._lockout = secrets.token_hex(16)
        self._written: dict[str, bytes] = {}
        self._in_force: Setup | None = None
        self._max_clients = 0
        self._hanging_up = False
        self._paused = False
        self._parts: dict[str, int] = {}

    @property
    def running(self) -> bool:
        """See Engine."""
        return self._process.pid is not None

    @property
    def pid(self) -> int | None:
        """See Engine."""
        return self._process.pid

    @property
    def last_words(self) -> str:
        """See Engine."""
        return self._log.errors()

    def needs_restart(self, old: Setup, new: Setup) -> bool:
        """See Engine: the parameters that PgBouncer reads at its start only."""
        before, after = old.material.config.parameters, new.material.config.parameters
        return any(before.get(name) != after.get(name) for name in NEEDS_RESTART)

    async def start(self, setup: Setup) -> None:
        """See Engine."""
        self._log.forget_errors()
        self._hanging_up = self._paused = False
        await self._console.close()
        self._put(self._render(setup))
        await self._process.start([str(self._binary), self._files.path(INI)])
        try:
            async with asyncio.timeout(_START_SECONDS):
                await self._listening()
                await self._read_back(setup)
        except TimeoutError:
            await self.kill()
            raise EngineError(
                f"PgBouncer did not answer within {_START_SECONDS:.0f} s of its start"
            ) from None
        except BaseException:
            # Whatever it was: beside the next one it would hold the cap twice.
            await self.kill()
            raise
        self._note(setup)

    async def observe(self) -> EngineStatus:
        """See Engine."""
        return engine_status(
            await self._console.rows("SHOW DATABASES"),
            await self._console.rows("SHOW POOLS"),
            await self._console.rows("SHOW STATS"),
            await self._console.rows("SHOW STATE"),
            self._max_clients,
            self._parts,
        )

    async def apply(self, setup: Setup) -> None:
        """See Engine."""
        self._put(self._render(setup))
        try:
            await self._reload()
            await self._read_back(setup)
            self._note(setup)
        except EngineRejected:
            if self._in_force is not None:
                self._put(self._render(self._in_force))
                await self._reload()
            raise
        finally:
            if self._hanging_up:
                await self._hang_up_idle()

    async def pause(self) -> None:
        """See Engine. Clients that log in meanwhile wait as long as a query may."""
        self._paused = True
        await self._begin("PAUSE", "already suspended/paused")
        await self._set_login_timeout()

    async def resume(self) -> None:
        """See Engine."""
        await self._begin("RESUME", "not paused")
        self._paused = False
        await self._set_login_timeout()

    async def retire(self, database: str) -> None:
        """See Engine."""
        await self._console.run(f"DISABLE {identifier(database)}")
        await self._begin(f"PAUSE {identifier(database)}", "already")

    async def revive(self, database: str) -> None:
        """See Engine."""
        await self._console.run(f"ENABLE {identifier(database)}")
        await self._begin(f"RESUME {identifier(database)}", "is not paused")

    async def abort_busy(self) -> None:
        """See Engine."""
        for client in await self._console.rows("SHOW CLIENTS"):
            if client["link"]:
                await self._begin(f"KILL_CLIENT {client['id']}", "")

    async def stop_accepting(self) -> None:
        """See Engine. SIGTERM stops listening on TCP at once (PgBouncer >= 1.23); the console stays."""
        self._process.send(signal.SIGTERM)
        self._hanging_up = True
        await self._hang_up_idle()

    async def finish(self) -> None:
        """See Engine. A second signal would cut off transactions, the command does not."""
        await self._console.run("SHUTDOWN WAIT_FOR_SERVERS")
        await self._console.close()

    async def kill(self) -> None:
        """See Engine."""
        self._process.send(signal.SIGKILL)
        await self._console.close()
        await self._process.wait()

    def expect_end(self) -> None:
        """See Engine."""
        self._log.expect_end()

    async def ended_clean(self) -> bool:
        """See Engine. All that it wrote has been read when the wait is over."""
        await self._process.wait()
        return self._process.status == 0 and self._log.ended_clean

    async def _set_login_timeout(self) -> None:
        """At once, without a RELOAD. The next file says the same, so that no RELOAD ends who waits at its login."""
        if self._in_force is not None:
            seconds = self._settings(self._in_force)["client_login_timeout"]
            await self._console.run(f"SET client_login_timeout={seconds}")

    async def _hang_up_idle(self) -> None:
        await self._console.run(f"SET client_idle_timeout='{HANG_UP_IDLE_SECONDS}'")

    async def _listening(self) -> None:
        while True:
            if not self.running:
                await self._process.wait()
                # What it dislikes it says before it listens; without a word it was ended by something else.
                if not self.last_words:
                    raise EngineError("PgBouncer ended at its start")
                raise EngineRejected(self.last_words)
            try:
                await self._console.rows("SHOW VERSION")
            except EngineError:
                await asyncio.sleep(_START_POLL_SECONDS)
            else:
                return

    async def _reload(self) -> None:
        self._log.forget_errors()
        try:
            await self._console.run("RELOAD")
        except CommandRefused as refused:
            await asyncio.sleep(_UNLOGGED_SECONDS)
            raise EngineRejected(self.last_words or str(refused)) from refused

    async def _read_back(self, setup: Setup) -> None:
        actual = {row["key"]: row for row in await self._console.rows("SHOW CONFIG")}
        differing = mismatches(self._settings(setup), {key: row["value"] for key, row in actual.items()})
        if differing:
            raise EngineRejected("; ".join(differing), ran=True)

    async def _begin(self, command: str, harmless: str) -> None:
        """Issue a command; an answer that says it is so already is fine."""
        try:
            await self._console.begin(command)
        except CommandRefused as refused:
            if harmless not in str(refused):
                raise EngineError(f"{command}: {refused}") from refused

    def _render(self, setup: Setup) -> dict[str, bytes]:
        try:
            return render(setup, self._files, self._lockout, paused=self._paused)
        except ValidationError as error:
            raise EngineRejected(first_error(error)) from error
        except Unrenderable as error:
            raise EngineRejected(str(error)) from error

    def _put(self, files: Mapping[str, bytes]) -> None:
        for name, content in files.items():
            if self._written.get(name) != content:
                self._write(self._files.directory / name, content)
                self._written[name] = content

    def _settings(self, setup: Setup) -> dict[str, str]:
        return settings(setup, self._files, paused=self._paused)

    def _note(self, setup: Setup) -> None:
        self._in_force = setup
        self._max_clients = int(self._settings(setup)["max_client_conn"])
        self._parts = {name: setup.pool_size(name) for name in setup.limits}


def mismatches(wanted: Mapping[str, str], actual: Mapping[str, str | None]) -> list[str]:
    """Settings that PgBouncer did not take over, in words; a RELOAD alone does not tell."""
    return [
        f"PgBouncer has {name} = {actual[name]} instead of {value}"
        for name, value in wanted.items()
        if name in actual and (actual[name] or "") != value
    ]
