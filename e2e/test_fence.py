"""Clients that vanish in their queries, again and again: their backends go on for a while, and PgBouncer does not
count them. With the README's fence PostgreSQL never has more than the budget all the same."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from e2e.conftest import MakePool
from e2e.judge.load import IMAGE
from e2e.judge.visitor import Visitor, Visits
from e2e.judge.watch import Watched, watched
from e2e.kube import Kubectl, eventually
from e2e.world import BUDGET, USER, Postgres

GROUPS, CLIENTS_EACH = 10, 20
ROUNDS = 4
SECONDS_EACH = 3
_PRICE = (
    "too many connections for role",
    "too many connections for database",
    "server login has been failing",
)
"""What other clients of a pool are told where ghosts fill the fence."""

_SCRIPT = f"""echo 'SELECT pg_sleep(0.5);' > /tmp/script
for group in $(seq {GROUPS}); do
  pgbench -n -c {CLIENTS_EACH} -T 600 -f /tmp/script "$DSN" > /dev/null 2>&1 &
done
sleep {SECONDS_EACH}
kill -KILL $(jobs -p)
wait"""


@dataclass(frozen=True)
class Fence:
    """A CONNECTION LIMIT."""

    of: str
    limit: int
    """-1 is none."""
    most: int
    """Backends of the pool that PostgreSQL may have with it."""
    full: bool
    """Ghosts may leave others no room."""


FENCES = {
    "at the budget": Fence(f'ROLE "{USER}"', BUDGET, BUDGET, full=True),
    # One is the sampler's.
    "of the database": Fence("DATABASE app", BUDGET + 1, BUDGET, full=True),
    "at twice the budget": Fence(f'ROLE "{USER}"', 2 * BUDGET, 2 * BUDGET, full=False),
    # More than the budget it need not be: that takes new logins within the tenth of a second of a ghost.
    "without": Fence(f'ROLE "{USER}"', -1, 2 * BUDGET, full=False),
}


@pytest.fixture
def fence(database: Postgres, request: pytest.FixtureRequest) -> Iterator[Fence]:
    """PostgreSQL has the limit meanwhile."""
    built = FENCES[request.param]
    database.query(f"ALTER {built.of} CONNECTION LIMIT {built.limit}")
    yield built
    database.query(f"ALTER {built.of} CONNECTION LIMIT -1")


def vanish(kube: Kubectl, dsn: str) -> None:
    """A pod's 200 clients come, and are killed in their queries."""
    name = "vanishing"
    container = {
        "name": name,
        "image": IMAGE,
        "command": ["bash", "-c", _SCRIPT],
        "env": [{"name": "DSN", "value": dsn}],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"pgpool.dev/e2e": "load"}},
        "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]},
    }

    def phase() -> str:
        found = kube.get("pod", name)
        assert found is not None, f"pod {name} is gone"
        return str(found["status"]["phase"])

    kube("delete", "pod", name, "--ignore-not-found", "--grace-period=0", "--force")
    kube.apply(pod)
    try:
        eventually("they were killed", lambda: phase() == "Succeeded")
    finally:
        kube("delete", "pod", name, "--ignore-not-found", "--grace-period=0", "--force")


@pytest.mark.parametrize("fence", FENCES, indirect=True)
def test_clients_that_vanish_in_their_queries(
    make_pool: MakePool, database: Postgres, kube: Kubectl, fence: Fence
) -> None:
    pool = make_pool(read=None)
    pool.wait_settled()
    ghosts = []
    with watched(database) as seen, Visitor(lambda: pool.query("SELECT 1")) as visits:
        for _ in range(ROUNDS):
            before = seen.log.ghosts
            vanish(kube, pool.dsn())
            eventually("the bystander is served", lambda: served_again(visits))
            ghosts.append(seen.log.ghosts - before)
    report(seen, visits, fence, ghosts)
    assert max(seen.samples.busy) >= BUDGET, "clients had all of the budget when they vanished"
    assert min(ghosts) > 0, "and left backends at work, each time"
    assert sum(ghosts) >= BUDGET
    assert seen.samples.peak <= fence.most
    # A place is free before PostgreSQL logs the end of who had it: by the log, who waits for it overlaps with him.
    assert seen.log.peak <= 2 * BUDGET
    if fence.full:
        # PgBouncer ends who waits when a login is refused and the pool has lost its last backend.
        assert all(any(known in failure for known in _PRICE) for failure in visits.failures)
    else:
        assert visits.failures == []


def served_again(visits: Visits) -> bool:
    """Whether somebody is served after everything."""
    before = visits.served
    eventually("one more visit", lambda: visits.served > before)
    return True


def report(seen: Watched, visits: Visits, fence: Fence, ghosts: list[int]) -> None:
    """Print what PostgreSQL and the bystander saw."""
    print(  # noqa: T201
        f"{fence.of}, limit {fence.limit}: log peak {seen.log.peak} of {seen.log.opened} logins, "
        f"{seen.log.refused} refused, ghosts {ghosts}; sampled peak {seen.samples.peak}, busy "
        f"{max(seen.samples.busy)}, gaps to {seen.samples.longest_gap:.3f} s; bystander served {visits.served} "
        f"times, failed {len(visits.failures)}: {sorted(set(visits.failures))}"
    )
