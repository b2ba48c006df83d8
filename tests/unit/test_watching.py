"""Which PgPools a changed object concerns."""

from typing import Any

import pytest

from pgpool_operator.cluster.kinds import PGPOOL, SERVICE
from pgpool_operator.cluster.queue import WorkQueue
from pgpool_operator.cluster.store import Store
from pgpool_operator.watching import Key, Router

OWNER = [{"kind": "PgPool", "name": "app", "uid": "1"}]
LABEL = {"pgpool.dev/pool": "app"}


@pytest.mark.parametrize(
    "metadata",
    [
        {"labels": LABEL, "ownerReferences": OWNER},
        {"labels": LABEL},
        {"ownerReferences": OWNER},
    ],
    ids=["untouched", "disowned by hand", "label taken away by hand"],
)
async def test_a_changed_child_concerns_its_pool_once(metadata: dict[str, Any]) -> None:
    store, queue = Store(), WorkQueue[Key]()
    Router(store, queue)
    child = {
        "metadata": {"namespace": "shop", "name": "app-rw", "uid": "2", "resourceVersion": "1", **metadata}
    }
    store.put(SERVICE, {"apiVersion": "v1", "kind": "Service", **child})
    assert await queue.take() == Key(PGPOOL, "shop", "app")
    assert len(queue) == 0


async def test_an_object_of_nobody_concerns_no_pool() -> None:
    store, queue = Store(), WorkQueue[Key]()
    Router(store, queue)
    metadata = {"namespace": "shop", "name": "other", "uid": "2", "resourceVersion": "1"}
    store.put(SERVICE, {"apiVersion": "v1", "kind": "Service", "metadata": metadata})
    assert len(queue) == 0
