"""What one pod needs at least."""

from typing import Any

import pytest

from pgpool_operator.reconcile.capacity import floor
from pgpool_operator.reconcile.world import World
from tests.support.shop import open_shop

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
