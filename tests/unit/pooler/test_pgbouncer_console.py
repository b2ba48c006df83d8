"""PgBouncer's console with a connection that tests can close."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgpool_pooler.engines.base import EngineError
from pgpool_pooler.engines.pgbouncer.console import CommandRefused, SocketConsole


class FakeConnection:
    """Refuses every command; one that is closed says so."""

    broken = False
    """As psycopg has it: of a connection that was closed by its own `close`."""

    def __init__(self) -> None:
        self.closed = False

    async def execute(self, _: bytes) -> None:
        raise psycopg.OperationalError("the connection is closed" if self.closed else "no such command")

    async def close(self) -> None:
        self.closed = True


async def test_what_pgbouncer_refuses_is_told_in_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(_: SocketConsole) -> Any:
        return FakeConnection()

    monkeypatch.setattr(SocketConsole, "_connect", connect)
    with pytest.raises(CommandRefused, match="no such command"):
        await SocketConsole(Path("/nowhere"), 5432).run("FROBNICATE")


async def test_a_command_under_which_another_ones_timeout_closes_the_connection_has_no_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    console = SocketConsole(Path("/nowhere"), 5432)

    async def connect(_: SocketConsole) -> Any:
        await console.close()
        return FakeConnection()

    monkeypatch.setattr(SocketConsole, "_connect", connect)
    with pytest.raises(EngineError) as raised:
        await console.run("SET client_idle_timeout=1")
    assert not isinstance(raised.value, CommandRefused)
