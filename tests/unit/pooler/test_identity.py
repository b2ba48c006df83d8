"""When the agent asks who the server is, over how many backends, and what it makes of several answers."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from pgpool_pooler.agent import sql
from pgpool_pooler.agent.enquiries import DISPUTED_SECONDS, IDENTITY_SECONDS, Enquiries
from pgpool_pooler.agent.sql import Access
from pgpool_pooler.contract import PoolMode, ServerIdentity
from pgpool_pooler.engines.base import Setup
from pgpool_pooler.engines.pgbouncer.build import clear_users

from .builders import material, setup
from .fakes import FakeClock

SETUP = setup({"app": 6}, material=material("app"))


def server(address: str) -> ServerIdentity:
    return ServerIdentity(
        address=address,
        port=5432,
        started_at=datetime(2026, 11, 1, tzinfo=UTC),
        version="17.6",
        max_connections=100,
        reserved_connections=3,
        in_recovery=False,
        client_address="10.1.0.7",
        detects_dead_clients=True,
    )


class Asked:
    """Enquiries whose question is answered by the test."""

    def __init__(self) -> None:
        self.enquiries = Enquiries(Path("/run/pgpool"), 5432, clear_users, FakeClock())
        self.enquiries.warm = True
        self.answers: tuple[ServerIdentity, ...] = (server("10.0.0.1"),)
        self.counts: list[int] = []

    async def identify(self, _access: Access, _mode: PoolMode, count: int) -> tuple[ServerIdentity, ...]:
        self.counts.append(count)
        return self.answers

    async def ask(self, now: float, given: Setup = SETUP) -> int:
        """Give an occasion to ask; return how often it was asked so far."""
        self.enquiries.identify(given, now)
        task = self.enquiries._tasks.get("identity")
        if task is not None:
            await task
        return len(self.counts)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    asked = Asked()
    monkeypatch.setattr(sql, "identify", asked.identify)
    return asked


async def test_one_server_is_asked_once_a_minute(asked: Asked) -> None:
    assert await asked.ask(0.0) == 1
    assert await asked.ask(IDENTITY_SECONDS - 0.1) == 1
    assert await asked.ask(IDENTITY_SECONDS) == 2
    assert (asked.enquiries.identity, asked.enquiries.others) == (server("10.0.0.1"), ())


async def test_several_servers_at_one_address_are_told_and_asked_again_soon(asked: Asked) -> None:
    asked.answers = (server("10.0.0.1"), server("10.0.0.2"))
    assert await asked.ask(0.0) == 1
    assert (asked.enquiries.identity, asked.enquiries.others) == (server("10.0.0.1"), (server("10.0.0.2"),))
    assert await asked.ask(DISPUTED_SECONDS) == 2


async def test_the_other_servers_are_forgotten_when_only_one_answers(asked: Asked) -> None:
    asked.answers = (server("10.0.0.1"), server("10.0.0.2"))
    await asked.ask(0.0)
    asked.answers = (server("10.0.0.2"),)
    await asked.ask(DISPUTED_SECONDS)
    assert (asked.enquiries.identity, asked.enquiries.others) == (server("10.0.0.2"), ())


async def test_as_many_backends_are_asked_as_the_user_may_have(asked: Asked) -> None:
    await asked.ask(0.0, setup({"app": 6}, material=material("app"), crowd={"app": 2}))
    assert asked.counts == [3]
