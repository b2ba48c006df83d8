"""Control of a PgBouncer process by the methods that were measured to keep its caps and its clients.

- A RELOAD with lower limits does not shrink a busy pool. A short `server_lifetime` makes connections close as
  they become free. PgBouncer spaces them by server_lifetime / pool_size (`life_over` in its objects.c): with 0 all
  of them close within milliseconds, those below the limit too, and are opened again while PostgreSQL, where CPU is
  short, is still ending the old ones (seen: an end takes 2 ms, p99 131 ms, at most 387 ms under 30 runnable
  processes on 2 CPUs; a login 10 ms). So they are spaced by how many have to go, and none is opened meanwhile.
  RECONNECT and PAUSE/RESUME race with logins.
- `SET max_user_connections=1` keeps PgBouncer from opening connections for users that have one and no rule of
  their own.
- A RELOAD forgets what was SET (the file wins), so the file is written first.
- A PAUSE outlives the console connection that issued it, and RESUME works while one is pending.
"""

import asyncio
import secrets
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, Final, Protocol

from pydantic import ValidationError

from pgpool_pooler.engines.base import CapChange, EngineError, EngineRejected, EngineStatus, Setup, Traits
from pgpool_pooler.errors import first_error

from .config import INI, Files, Unrenderable, database_limit, pool_size, render, settings
from .console import CommandRefused, Console, identifier
from .log import LogReader
from .parameters import NEEDS_RESTART
from .status import Allowed, engine_status

_START_SECONDS: Final = 10.0
_START_POLL_SECONDS: Final = 0.02
_CLOSING_SECONDS: Final = 0.05
"""In which what is in excess closes, where that many connections become free."""
_LIFETIME_SECONDS: Final = 0.5
"""At most: a connection that is younger does not close."""
_UNLOGGED_SECONDS: Final = 0.05
"""PgBouncer logs before it answers, but through another pipe."""
HANG_UP_IDLE_SECONDS: Final = "0.01"
"""client_idle_timeout while draining: a client between two transactions is idle after this time."""


class EngineProcess(Protocol):
    """The process, as far as the control code needs it."""

    @property
    def pid(self) -> int | None:
        """The process, as long as it lives."""

    async def start(self, argv: list[str]) -> None:
        """Start it."""

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""

    async def wait(self) -> None:
        """Wait for its end."""


class PgBouncer:
    """PgBouncer behind the engine interface."""

    traits: ClassVar[Traits] = Traits(cap_change=CapChange.RELOAD, reload_doubles=False, threads=1)

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
        self._lifetime = ""
        self._login_timeout = ""
        self._patience = ""
        self._max_clients = 0
        self._hanging_up = False
        self._allowed: dict[str, Allowed] = {}
        self._excess: Mapping[str, int] = {}
        self._opening = True

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
        self._hanging_up, self._excess, self._opening = False, {}, True
        await self._console.close()
        self._put(self._render(setup))
        await self._process.start([str(self._binary), self._files.path(INI)])
        try:
            async with asyncio.timeout(_START_SECONDS):
                await self._listening()
                await self._read_back(setup)
        except TimeoutError:
            await self.kill()
            words = f"PgBouncer did not answer within {_START_SECONDS:.0f} s of its start"
            raise EngineRejected(words, ran=True) from None
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
            self._allowed,
        )

    async def apply(self, setup: Setup) -> None:
        """See Engine."""
        rendered, before = self._render(setup), self._written
        self._put(rendered)
        try:
            await self._reload()
            await self._read_back(setup)
        except EngineRejected:
            self._put(before)
            await self._reload()
            raise
        finally:
            if self._hanging_up:
                await self._hang_up_idle()
            if self._excess or not self._opening:
                await self._shed()
        self._note(setup)

    async def pause(self) -> None:
        """See Engine. Clients that log in meanwhile wait as long as a query may."""
        await self._begin("PAUSE", "already suspended/paused")
        await self._console.run(f"SET client_login_timeout={self._patience}")

    async def resume(self) -> None:
        """See Engine."""
        await self._begin("RESUME", "not paused")
        await self._console.run(f"SET client_login_timeout={self._login_timeout}")

    async def retire(self, database: str) -> None:
        """See Engine."""
        await self._console.run(f"DISABLE {identifier(database)}")
        await self._begin(f"PAUSE {identifier(database)}", "already")

    async def revive(self, database: str) -> None:
        """See Engine."""
        await self._console.run(f"ENABLE {identifier(database)}")
        await self._begin(f"RESUME {identifier(database)}", "is not paused")

    async def shed(self, excess: Mapping[str, int], *, opening: bool) -> None:
        """See Engine."""
        self._excess, self._opening = dict(excess), opening
        await self._shed()

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

    async def _shed(self) -> None:
        closing = f"SET server_lifetime='{self._closing_lifetime()}'"
        if self._opening:
            await self._console.run(closing)
            await self._console.run("SET max_user_connections=0")
        else:
            # What closes must not be opened again before that is forbidden.
            await self._console.run("SET max_user_connections=1")
            await self._console.run(closing)

    def _closing_lifetime(self) -> str:
        """With which the database that has to lose most for its size does so in time."""
        sizes = {name: may.each_user for name, may in self._allowed.items()}
        lifetimes = [_CLOSING_SECONDS * sizes.get(name, 1) / count for name, count in self._excess.items()]
        return f"{min(*lifetimes, _LIFETIME_SECONDS):.4f}" if lifetimes else self._lifetime

    async def _hang_up_idle(self) -> None:
        await self._console.run(f"SET client_idle_timeout='{HANG_UP_IDLE_SECONDS}'")

    async def _listening(self) -> None:
        while True:
            if not self.running:
                await self._process.wait()
                words = self.last_words
                # What it dislikes it says before it listens; without a word it was ended by something else.
                raise EngineRejected(words or "PgBouncer ended at its start", ran=not words)
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
        differing = mismatches(
            settings(setup, self._files), {key: row["value"] for key, row in actual.items()}
        )
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
            return render(setup, self._files, self._lockout)
        except ValidationError as error:
            raise EngineRejected(first_error(error)) from error
        except Unrenderable as error:
            raise EngineRejected(str(error)) from error

    def _put(self, files: Mapping[str, bytes]) -> None:
        for name, content in files.items():
            if self._written.get(name) != content:
                self._write(self._files.directory / name, content)
        self._written = dict(files)

    def _note(self, setup: Setup) -> None:
        chosen = settings(setup, self._files)
        self._lifetime = chosen.get("server_lifetime", "3600")
        self._login_timeout = chosen["client_login_timeout"]
        queue, login = int(chosen["query_wait_timeout"]), int(chosen["client_login_timeout"])
        self._patience = str(max(queue, login) if queue else 0)
        self._max_clients = int(chosen["max_client_conn"])
        self._allowed = {
            name: Allowed(in_all=database_limit(setup, name), each_user=pool_size(setup, name))
            for name in setup.limits
        }


def mismatches(wanted: Mapping[str, str], actual: Mapping[str, str | None]) -> list[str]:
    """Settings that PgBouncer did not take over, in words; a RELOAD alone does not tell."""
    return [
        f"PgBouncer has {name} = {actual[name]} instead of {value}"
        for name, value in wanted.items()
        if name in actual and (actual[name] or "") != value
    ]
