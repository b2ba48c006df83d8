"""What one pod needs at least."""

from typing import Any

import pytest

from pgpool_operator.reconcile.capacity import floor, plans, why_no_more
from pgpool_operator.reconcile.world import World
from pgpool_pooler.contract import Endpoint
from tests.support.shop import LEDGER, open_shop

MONITOR = {"userSecrets": [{"name": "main-app"}], "monitor": {"secretRef": {"name": "watcher"}}}
TWO = [{"name": "app"}, {"name": "reports"}]


@pytest.mark.parametrize(
    ("spec", "least"),
    [
        ({}, 1),
        ({"databases": TWO}, 2),
        ({"auth": MONITOR}, 2),
        ({"databases": TWO, "auth": MONITOR}, 3),
    ],
)
def test_a_pod_needs_one_connection_for_each_database_and_one_for_a_monitor(
    spec: dict[str, Any], least: int
) -> None:
    [facts] = World(open_shop(**spec).store, "shop").pools.values()
    assert floor(facts) == least


def test_a_pool_that_gets_too_few_pods_is_told_what_each_needs_its_connections_for() -> None:
    [facts] = World(open_shop(auth=MONITOR, write={"replicas": 30}).store, "shop").pools.values()
    [plan] = plans(facts, {LEDGER: [facts]}, {LEDGER: 24}, {}).values()
    said = why_no_more(facts, Endpoint.WRITE, plan, {LEDGER: 24})
    assert "each needs 2 for 1 database and the monitor" in said
