"""Clients that vanish in their queries, again and again: their backends go on for a while, and PgBouncer does not
count them. With the README's fence PostgreSQL never has more than the budget all the same."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from e2e.conftest import MakePool
from e2e.judge.load import IMAGE
from e2e.judge.visitor import Visitor, Visits
from e2e.judge.watch import Watched, watched
from e2e.kube import Kubectl, eventually
from e2e.world import BUDGET, USER, Postgres

GROUPS, CLIENTS_EACH = 10, 20
ROUNDS = 6
_PRICE = ("too many connections for role", "server login has been failing")
"""What other clients of a pool are told where ghosts fill the fence."""
SECONDS_EACH = 3

_SCRIPT = f"""echo 'SELECT pg_sleep(0.5);' > /tmp/script
for round in $(seq {ROUNDS}); do
  for group in $(seq {GROUPS}); do
    pgbench -n -c {CLIENTS_EACH} -T 600 -f /tmp/script "$DSN" > /dev/null 2>&1 &
  done
  sleep {SECONDS_EACH}
  kill -KILL $(jobs -p)
  wait
done"""


@pytest.fixture
def fence(database: Postgres, request: pytest.FixtureRequest) -> Iterator[int]:
    """The CONNECTION LIMIT of the pool's role; -1 is none."""
    database.query(f'ALTER ROLE "{USER}" CONNECTION LIMIT {request.param}')
    yield int(request.param)
    database.query(f'ALTER ROLE "{USER}" CONNECTION LIMIT -1')


@contextmanager
def vanishing(kube: Kubectl, dsn: str) -> Iterator[None]:
    """A pod whose 200 clients are killed in their queries and come back; the block ends with the last round."""
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
        eventually("the clients come", lambda: phase() == "Running")
        yield
        eventually("they were killed for the last time", lambda: phase() == "Succeeded")
    finally:
        kube("delete", "pod", name, "--ignore-not-found", "--grace-period=0", "--force")


@pytest.mark.parametrize(
    "fence", [BUDGET, 2 * BUDGET, -1], indirect=True, ids=["at the budget", "at twice the budget", "without"]
)
def test_clients_that_vanish_in_their_queries(
    make_pool: MakePool, database: Postgres, kube: Kubectl, fence: int
) -> None:
    pool = make_pool(read=None)
    pool.wait_settled()
    with watched(database) as seen, Visitor(lambda: pool.query("SELECT 1")) as visits:
        with vanishing(kube, pool.dsn()):
            pass
        eventually("the bystander is served at last", lambda: served_again(visits))
    report(seen, visits, fence)
    assert max(seen.samples.busy) >= BUDGET, "clients had all of the budget when they vanished"
    assert seen.log.ghosts >= BUDGET, "and left backends at work"
    assert seen.samples.peak <= fence or fence < 0
    # More than the budget at once it need not be: that takes new logins within the tenth of a second of a ghost.
    assert seen.log.peak <= 2 * BUDGET
    assert visits.served > ROUNDS
    if fence == BUDGET:
        # PgBouncer ends who waits when a login is refused and the pool has lost its last backend.
        assert all(any(known in failure for known in _PRICE) for failure in visits.failures)
    else:
        assert visits.failures == []


def served_again(visits: Visits) -> bool:
    """Whether somebody is served after everything."""
    before = visits.served
    eventually("one more visit", lambda: visits.served > before)
    return True


def report(seen: Watched, visits: Visits, fence: int) -> None:
    """Print what PostgreSQL and the bystander saw."""
    print(  # noqa: T201
        f"fence {fence}: log peak {seen.log.peak} of {seen.log.opened} logins, {seen.log.refused} refused, "
        f"{seen.log.ghosts} ghosts; sampled peak {seen.samples.peak}, busy {max(seen.samples.busy)}, gaps to "
        f"{seen.samples.longest_gap:.3f} s; bystander served {visits.served} times, failed "
        f"{len(visits.failures)}: {sorted(set(visits.failures))}"
    )
