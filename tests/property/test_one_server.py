"""Ledgers of one server, reconciled at the same time in every order: together they never hand out more than B.

The real reconciles run against an API server that makes each of them wait at every request, so that all of them are
somewhere between their look and their writes; what pods hear, and when, is drawn.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgpool_operator.cluster.api import ApiError
from pgpool_operator.cluster.kinds import PGBUDGET, PGPOOL
from tests.support.fake_api import FakeApi, FakeServer, Object
from tests.support.town import Backend, Town

B = 24
NAME, ADDRESS = "db1", "10.0.0.5"
FLOORS = 2
"""Of the two pods of a pool, one each: granted before anybody knows which server it is."""
TICKS = (0, 1, 3, 50)
"""How long a request takes; most are quick."""
STEPS = 30
WORKERS = 3
SEEDS = st.integers(0, 10**9)


class SlowApi(FakeApi):
    """Each request is answered when chance wants it."""

    def __init__(self, server: FakeServer, rng: random.Random, answered: Callable[[], None]) -> None:
        super().__init__(server)
        self._rng = rng
        self._answered = answered

    async def _request(self, method: str, path: str, **params: Any) -> Object:
        for _ in range(self._rng.choice(TICKS)):
            await asyncio.sleep(0)
        answer = await super()._request(method, path, **params)
        self._answered()
        return answer


class Walk:
    """A town whose every moment is looked at."""

    def __init__(self, seed: int, behind: dict[str, tuple[Backend, ...]], most: int) -> None:
        self.rng = random.Random(seed)
        self.most = most
        self.busy: set[tuple[str, str, str]] = set()
        self.town = Town(behind=behind, kind_of_api=lambda server: SlowApi(server, self.rng, self.check))

    def check(self) -> None:
        granted = sum(self.town.caps().values())
        assert granted <= self.most, f"{granted} connections are granted, of {self.most}: {self.town.caps()}"

    def in_force(self) -> int:
        """What the pods may have open by what they have taken in."""
        return sum(state.cap for state in self.town.agents.states.values())

    async def go(self) -> None:
        for _ in range(STEPS):
            self.town.clock.now += 1
            await asyncio.gather(*(self._work() for _ in range(WORKERS)))
            if self.rng.random() < 0.6:
                self._hear()
            self.town.watch()
            assert self.in_force() <= self.most
        for _ in range(20):
            await self.town.round()
            self.town.answer()

    async def _work(self) -> None:
        """As one of the operator's workers: one object after the other, none that another worker has."""
        for _ in range(self.rng.randrange(5)):
            objects = [*self.town.objects(PGPOOL), *self.town.objects(PGBUDGET)]
            obj = self.rng.choice(objects)
            key = obj["kind"], obj["metadata"]["namespace"], obj["metadata"]["name"]
            if key not in self.busy:
                self.busy.add(key)
                await self._try(*key)
                self.busy.discard(key)

    async def _try(self, kind: str, namespace: str, name: str) -> None:
        pool = kind == PGPOOL.name
        reconcile = self.town.pools.reconcile if pool else self.town.budgets.reconcile
        try:
            await reconcile(namespace, name)
        except ApiError as error:
            if not (error.conflict or error.not_found):
                raise

    def _hear(self) -> None:
        names = sorted(self.town.caps())
        if names:
            self.town.answer(*self.rng.sample(names, k=self.rng.randrange(1, len(names) + 1)))


def run(walk: Walk) -> None:
    asyncio.run(walk.go())


@given(seed=SEEDS, mode=st.sampled_from(["transaction", "session"]))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_two_names_of_a_server_never_have_more_than_its_budget_and_the_floors_from_before_they_are_known(
    seed: int, mode: str
) -> None:
    one = (Backend(ADDRESS),)
    walk = Walk(seed, {NAME: one, ADDRESS: one}, B + FLOORS)
    walk.town.pool("shop/app", NAME, poolMode=mode)
    walk.town.pool("bank/pay", ADDRESS, poolMode=mode)
    run(walk)
    assert sum(walk.town.caps().values()) <= B
    assert walk.in_force() <= B


@given(seed=SEEDS, cpus=st.sampled_from([1, 8]))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_two_namespaces_that_name_a_server_never_have_more_than_its_budget(seed: int, cpus: int) -> None:
    """Be it so small that it cannot feed all pods of both."""
    walk = Walk(seed, {}, 3 * cpus)
    server = {"servers": [{"host": NAME, "cpu": cpus}]}
    walk.town.pool("shop/app", NAME, database=server)
    walk.town.pool("bank/pay", NAME, database=server)
    run(walk)
    assert sum(walk.town.caps().values()) == 3 * cpus
    assert len(walk.town.objects(PGBUDGET)) == 1


@given(seed=SEEDS)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_a_server_keeps_its_budget_while_permission_comes_and_goes(seed: int) -> None:
    walk = Walk(seed, {}, B)
    walk.town.pool("shop/app", NAME)
    walk.town.pool("bank/pay", NAME)
    walk.town.ledger("shop", NAME, created="2026-11-01T00:00:00Z", allowedNamespaces=["bank"])
    asyncio.run(walk.go())
    walk.town.ledger("shop", NAME, created="2026-11-01T00:00:00Z")
    asyncio.run(walk.go())
    assert walk.town.caps() == {"app-1": 12, "app-2": 12, "pay-1": 0, "pay-2": 0}


@pytest.mark.parametrize("seed", range(10))
def test_the_walks_use_the_whole_budget(seed: int) -> None:
    """Otherwise they would prove nothing."""
    one = (Backend(ADDRESS),)
    walk = Walk(seed, {NAME: one, ADDRESS: one}, B + FLOORS)
    walk.town.pool("shop/app", NAME)
    walk.town.pool("bank/pay", ADDRESS, pods=0)
    run(walk)
    assert sum(walk.town.caps().values()) == B
