"""When and as whom the agent asks who the server is, over how many backends, and what it makes of the answers."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pgpool_pooler.agent import sql
from pgpool_pooler.agent.enquiries import DISPUTED_SECONDS, IDENTITY_SECONDS, Enquiries
from pgpool_pooler.agent.reach import Answer
from pgpool_pooler.agent.sql import Access
from pgpool_pooler.contract import PoolMode, ServerIdentity, Timeouts, UserRule
from pgpool_pooler.engines.base import Material, Setup, User
from pgpool_pooler.engines.pgbouncer.build import clear_users

from .builders import APP, config, database, material, setup
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
        self.clock = FakeClock()
        self.enquiries = Enquiries(Path("/run/pgpool"), 5432, clear_users, self.clock)
        self.enquiries.warm = True
        self.answers: tuple[ServerIdentity, ...] = (server("10.0.0.1"),)
        self.counts: list[int] = []
        self.asked_as: list[tuple[str, str]] = []
        self.seconds = 0.0

    async def identify(
        self, access: Access, _mode: PoolMode, count: int, seconds: float
    ) -> tuple[ServerIdentity, ...]:
        self.asked_as.append((access.database, access.user.name))
        self.counts.append(count)
        self.seconds = seconds
        return self.answers

    async def ask(self, now: float, given: Setup = SETUP, *at_work: tuple[str, str]) -> int:
        """Give an occasion to ask; return how often it was asked so far."""
        self.clock.time = now
        self.enquiries.identify(given, frozenset(at_work), now)
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


async def test_in_another_mode_the_server_notices_nothing_until_it_is_asked_again(asked: Asked) -> None:
    """Sessions put back what PgBouncer has set on a connection."""
    await asked.ask(0.0)
    sessions = setup({"app": 6}, material=material(config=config(database("app", PoolMode.SESSION))))
    asked.enquiries.identify(sessions, frozenset(), 1.0)
    assert asked.enquiries.identity == server("10.0.0.1").model_copy(update={"detects_dead_clients": False})
    assert await asked.ask(1.0, sessions) == 2
    assert asked.enquiries.identity == server("10.0.0.1"), "what it says of this mode"


@pytest.mark.parametrize(("queue", "seconds"), [(120, 130.0), (1, 11.0), (0, 610.0)])
async def test_the_answer_may_take_as_long_as_clients_may_wait(
    asked: Asked, queue: int, seconds: float
) -> None:
    """Else a pool with a long queue never learns that its server allows more now."""
    waiting = material(config=config(database("app"), timeouts=Timeouts(queue_seconds=queue)))
    await asked.ask(0.0, setup({"app": 6}, material=waiting))
    assert asked.seconds == seconds


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


@pytest.mark.parametrize(
    ("pool", "crowd", "backends"),
    [
        (material("app"), {"app": 2}, 3),
        (material(config=config(database("app", max_percent=34))), {}, 3),
        (material(config=config(database("app"), users=(UserRule(name="app", max_percent=17),))), {}, 2),
    ],
    ids=["beside another user", "of his database", "of his rule"],
)
async def test_as_many_backends_are_asked_as_the_user_may_have(
    asked: Asked, pool: Material, crowd: dict[str, int], backends: int
) -> None:
    await asked.ask(0.0, setup({"app": 6}, material=pool, crowd=crowd))
    assert asked.counts == [backends]


async def test_what_an_old_server_answers_to_a_probe_is_not_said_of_the_new_one(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {"10.0.0.1": asyncio.Event(), "10.0.0.2": asyncio.Event()}
    heard: list[Answer] = []

    async def ping(host: str, _port: int) -> Answer:
        await answers[host].wait()
        return Answer.SILENT if host == "10.0.0.1" else Answer.ACCEPTS

    monkeypatch.setattr(sql, "ping", ping)
    asked.enquiries.probe(SETUP, heard.append, 1.0)
    await asyncio.sleep(0)
    asked.enquiries.server_changed()
    asked.enquiries.probe(replace(SETUP, host="10.0.0.2"), heard.append, 1.0)
    for answer in answers.values():
        answer.set()
        await asyncio.sleep(0.01)
    assert heard == [Answer.ACCEPTS]


async def test_it_asks_as_a_user_that_is_there_anyhow(asked: Asked) -> None:
    """Another one's clients would count as a crowd, which halves what each user of the database may have."""
    users = (APP, User("report", password="secret"), User("sealed", verifier="SCRAM-SHA-256$4096:x"))
    given = setup({"a": 6, "b": 6}, material=material("a", "b", users=users))
    await asked.ask(0.0, given, ("b", "report"))
    await asked.ask(60.0, given, ("a", "sealed"))
    await asked.ask(120.0, given)
    assert asked.asked_as == [("b", "report"), ("a", "app"), ("a", "app")]
