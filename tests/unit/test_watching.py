"""What is kept of an object, and which PgPools and PgBudgets its change concerns."""

from typing import Any

import pytest

from pgpool_operator.agents import Target
from pgpool_operator.cluster.kinds import NODE, PGBUDGET, PGPOOL, POD, SERVICE, Kind
from pgpool_operator.cluster.queue import WorkQueue
from pgpool_operator.cluster.store import Change, Store
from pgpool_operator.watching import Key, Router, registry, slim
from pgpool_pooler.contract import GRANT_ANNOTATION, Grant, ServerGrant

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


def stored(name: str, namespace: str = "shop", **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace, "uid": name, "resourceVersion": "1"} | more}


@pytest.fixture
def store() -> Store:
    """Two pools and a ledger in one namespace, a pool and a ledger in another."""
    store = Store()
    for name in ("app", "batch"):
        store.put(PGPOOL, stored(name))
    store.put(PGBUDGET, stored("db1"))
    store.put(PGPOOL, stored("other", "bank"))
    store.put(PGBUDGET, stored("db2", "bank"))
    return store


async def queued(queue: WorkQueue[Key]) -> set[str]:
    """The names of what is in the queue, which is empty then."""
    keys = [await queue.take() for _ in range(len(queue))]
    for key in keys:
        queue.done(key)
    return {f"{key.namespace}/{key.name}" for key in keys}


POOLS, LEDGERS = {"shop/app", "shop/batch"}, {"shop/db1"}


@pytest.mark.parametrize(
    ("kind", "obj", "concerned"),
    [
        pytest.param(PGPOOL, stored("app", resourceVersion="2", x=1), {"shop/app"} | LEDGERS, id="pool"),
        pytest.param(PGBUDGET, stored("db1", resourceVersion="2", x=1), LEDGERS | POOLS, id="ledger"),
        pytest.param(POD, stored("app-rw-1", labels=LABEL), {"shop/app"} | LEDGERS, id="pooler pod"),
        pytest.param(POD, stored("main-1"), LEDGERS, id="pod: a ledger that cannot be read may be its own"),
        pytest.param(
            NODE,
            {"metadata": {"name": "w1", "uid": "w1", "resourceVersion": "1"}},
            LEDGERS | {"bank/db2"},
            id="node",
        ),
    ],
)
async def test_a_change_concerns(store: Store, kind: Kind, obj: dict[str, Any], concerned: set[str]) -> None:
    queue = WorkQueue[Key]()
    Router(store, queue)
    store.put(kind, obj)
    assert await queued(queue) == concerned


def pool_on(host: str, name: str, **more: Any) -> dict[str, Any]:
    spec = {
        "database": {"servers": [{"host": host, "cpu": 8}]},
        "databases": [{"name": "app"}],
        "auth": {"userSecrets": [{"name": "main-app"}]},
        "write": {},
    }
    return stored(name, **more) | {"spec": spec}


def ledger_of(host: str, *pools: str, **more: Any) -> dict[str, Any]:
    said = {"pools": [f"shop/{pool}" for pool in pools]}
    return stored(f"{host}-5432", **more) | {"spec": {"server": {"host": host}}, "status": said}


@pytest.fixture
def apart() -> Store:
    """Two pools with a server each."""
    store = Store()
    for name, host in (("app", "db1"), ("batch", "db2")):
        store.put(PGPOOL, pool_on(host, name))
        store.put(PGBUDGET, ledger_of(host, name))
    return store


@pytest.mark.parametrize(
    ("kind", "obj", "concerned"),
    [
        pytest.param(
            PGPOOL, pool_on("db1", "app", resourceVersion="2", x=1), {"shop/app", "shop/db1-5432"}, id="pool"
        ),
        pytest.param(
            PGPOOL,
            pool_on("db2", "app", resourceVersion="2"),
            {"shop/app", "shop/db1-5432", "shop/db2-5432"},
            id="pool that moves: both its servers",
        ),
        pytest.param(
            PGBUDGET,
            ledger_of("db1", "app", resourceVersion="2", x=1),
            {"shop/app", "shop/db1-5432"},
            id="ledger",
        ),
        pytest.param(POD, stored("app-1", labels=LABEL), {"shop/app", "shop/db1-5432"}, id="pooler pod"),
        pytest.param(
            POD,
            stored("main-1", labels={"cluster-name": "main"}),
            set(),
            id="pod of a database that no pool uses",
        ),
    ],
)
async def test_a_change_concerns_nobody_on_other_servers(
    apart: Store, kind: Kind, obj: dict[str, Any], concerned: set[str]
) -> None:
    queue = WorkQueue[Key]()
    Router(apart, queue)
    apart.put(kind, obj)
    assert await queued(queue) == concerned


@pytest.fixture
def clusters() -> Store:
    """Two pools with a database of one pod each, which has a ledger."""
    store = Store()
    for name in ("main", "other"):
        pool = pool_on("x", name)
        pool["spec"]["database"] = {"cluster": {"provider": "patroni", "name": name}}
        store.put(PGPOOL, pool)
        store.put(POD, database_pod(name))
        spec = {"server": {"cluster": name, "instance": f"{name}-0"}}
        store.put(PGBUDGET, stored(f"{name}-0") | {"spec": spec, "status": {}})
    return store


def database_pod(cluster: str, **more: Any) -> dict[str, Any]:
    return stored(f"{cluster}-0", **({"labels": {"cluster-name": cluster}} | more))


async def test_a_ledger_concerns_the_pools_of_the_cluster_whose_pod_it_is_about(clusters: Store) -> None:
    queue = WorkQueue[Key]()
    Router(clusters, queue)
    spec = {"server": {"cluster": "main", "instance": "main-0"}, "limit": 7}
    clusters.put(PGBUDGET, stored("main-0", resourceVersion="2") | {"spec": spec, "status": {}})
    assert await queued(queue) == {"shop/main", "shop/main-0"}


async def test_a_database_pod_concerns_its_ledger_and_the_pools_that_use_it(clusters: Store) -> None:
    queue = WorkQueue[Key]()
    Router(clusters, queue)
    promoted = {"cluster-name": "main", "role": "primary"}
    clusters.put(POD, database_pod("main", labels=promoted, resourceVersion="2"))
    assert await queued(queue) == {"shop/main", "shop/main-0"}


@pytest.mark.parametrize("last", ["labels taken off", "labels changed", "deleted", "missed", "replaced"])
async def test_a_database_pod_that_is_one_no_more_concerns_the_pool_that_used_it(
    clusters: Store, last: str
) -> None:
    queue = WorkQueue[Key]()
    Router(clusters, queue)
    clusters.put(POD, database_pod("main", resourceVersion="2", x=1))
    clusters.remove(PGBUDGET, stored("main-0", resourceVersion="2"))
    await queued(queue)
    if last in ("deleted", "missed"):
        change = Change.DELETED if last == "deleted" else Change.MISSED
        clusters.remove(POD, database_pod("main", resourceVersion="3"), change)
    else:
        uid = "successor" if last == "replaced" else "main-0"
        labels = {"cluster-name": "x"} if last == "labels changed" else {}
        clusters.put(POD, database_pod("main", labels=labels, uid=uid, resourceVersion="3"))
    assert await queued(queue) == {"shop/main"}


async def test_a_pool_that_came_after_its_database_hears_when_a_pod_leaves_that(clusters: Store) -> None:
    queue = WorkQueue[Key]()
    late = clusters.get(PGPOOL, "shop", "main")
    assert late is not None
    clusters.remove(PGPOOL, late)
    Router(clusters, queue)
    clusters.put(POD, database_pod("main", resourceVersion="2", x=1))
    again = {**late, "metadata": late["metadata"] | {"uid": "again", "resourceVersion": "3"}}
    clusters.put(PGPOOL, again)
    await queued(queue)
    clusters.put(POD, database_pod("main", labels={}, resourceVersion="4"))
    assert await queued(queue) == {"shop/main", "shop/main-0"}


def with_a_pod_of_batch(ledger: dict[str, Any]) -> dict[str, Any]:
    grant = {"uid": "batch-1", "pod": "batch-1", "pool": "shop/batch", "endpoint": "write", "cap": 1}
    more = {"reserved": 1, "generation": 1, "state": "Active", "since": "2026-11-24T12:00:00Z"}
    return ledger | {"status": ledger["status"] | {"grants": [grant | more]}}


@pytest.mark.parametrize("known", ["from the start", "from an event"])
async def test_a_pool_hears_when_a_server_that_it_has_left_lets_its_last_pod_go(
    apart: Store, known: str
) -> None:
    queue = WorkQueue[Key]()
    apart.put(POD, stored("batch-1", labels={"pgpool.dev/pool": "batch"}))
    left = with_a_pod_of_batch(ledger_of("db1", "app", resourceVersion="2"))
    if known == "from the start":
        apart.put(PGBUDGET, left)
    router = Router(apart, queue)
    router.everything()
    apart.put(PGBUDGET, left)
    await queued(queue)
    apart.put(PGBUDGET, ledger_of("db1", "app", resourceVersion="3"))
    assert "shop/batch" in await queued(queue)


async def test_a_pod_concerns_a_ledger_that_knows_it_whatever_its_label_says(apart: Store) -> None:
    queue = WorkQueue[Key]()
    apart.put(PGBUDGET, with_a_pod_of_batch(ledger_of("db1", "app", resourceVersion="2")))
    Router(apart, queue)
    apart.put(POD, stored("batch-1", labels={"pgpool.dev/pool": "renamed"}))
    assert await queued(queue) == {"shop/renamed", "shop/db1-5432"}


async def test_a_pooler_pod_that_lost_its_label_concerns_who_had_it_and_the_ledger_that_knows_it(
    apart: Store,
) -> None:
    queue = WorkQueue[Key]()
    Router(apart, queue)
    apart.put(POD, stored("batch-1", labels={"pgpool.dev/pool": "batch"}))
    apart.put(PGBUDGET, with_a_pod_of_batch(ledger_of("db1", "app", resourceVersion="2")))
    await queued(queue)
    apart.put(POD, stored("batch-1", labels={}, resourceVersion="2"))
    assert await queued(queue) == {"shop/batch", "shop/db2-5432", "shop/db1-5432"}
    apart.put(POD, stored("batch-1", labels={}, resourceVersion="3", deletionTimestamp="now"))
    assert await queued(queue) == {"shop/db1-5432"}


def granted(name: str, host: str, **more: Any) -> dict[str, Any]:
    """A pod of no pool that has a grant."""
    server = ServerGrant(host=host, port=5432, cap=3)
    grant = Grant(uid=name, generation=1, servers=(server,), peer_id=1)
    return stored(name, annotations={GRANT_ANNOTATION: grant.model_dump_json()}, **more)


async def test_a_pod_concerns_the_ledger_of_the_server_that_it_is_granted(apart: Store) -> None:
    queue = WorkQueue[Key]()
    Router(apart, queue)
    apart.put(POD, granted("old-1", "DB2."))
    assert await queued(queue) == {"shop/db2-5432"}


async def test_the_ledger_of_a_discovered_server_is_found_by_the_address_that_it_notes(
    clusters: Store,
) -> None:
    for number, address in enumerate(("10.0.0.9:5432", "[fd00::9]:5432", "nonsense")):
        spec = {"server": {"cluster": "main", "instance": f"db-{number}"}}
        clusters.put(PGBUDGET, stored(f"db-{number}") | {"spec": spec, "status": {"address": address}})
    queue = WorkQueue[Key]()
    Router(clusters, queue)
    clusters.put(POD, granted("old-1", "10.0.0.9"))
    clusters.put(POD, granted("old-2", "fd00::9"))
    assert await queued(queue) == {"shop/db-0", "shop/db-1"}


@pytest.mark.parametrize(
    ("metadata", "kept"),
    [({"labels": LABEL}, True), ({"annotations": {GRANT_ANNOTATION: "{}"}}, True), ({}, False)],
    ids=["pooler pod", "pooler pod that lost its label", "other pod"],
)
def test_a_pod_that_may_hold_connections_is_kept_whole(metadata: dict[str, Any], kept: bool) -> None:
    spec = {"terminationGracePeriodSeconds": 60, "containers": []}
    slimmed = slim(POD, stored("x") | {"metadata": stored("x")["metadata"] | metadata, "spec": spec})
    assert ("terminationGracePeriodSeconds" in slimmed["spec"]) is kept


@pytest.fixture
def shared() -> Store:
    """A server that two namespaces name; a third one has a server that says it is the same; a fourth is apart."""
    store = Store()
    for namespace, name, host in (
        ("shop", "app", "db1"),
        ("bank", "pay", "db1"),
        ("farm", "eggs", "10.0.0.5"),
        ("mill", "flour", "db2"),
    ):
        store.put(PGPOOL, pool_on(host, name, namespace=namespace, uid=f"{namespace}-{name}"))
    itself = [{"address": "10.0.0.5", "port": 5432, "startedAt": "2026-11-01T00:00:00Z"}]
    for namespace, host in (("shop", "db1"), ("farm", "10.0.0.5"), ("mill", "db2")):
        ledger = ledger_of(host, namespace=namespace, uid=f"{namespace}-ledger")
        ledger["status"] |= {"servers": itself if namespace != "mill" else []}
        store.put(PGBUDGET, ledger)
    return store


ALIASES = {"shop/db1-5432", "farm/10.0.0.5-5432"}


@pytest.mark.parametrize(
    ("kind", "namespace", "name", "concerned"),
    [
        pytest.param(
            PGBUDGET,
            "shop",
            "db1-5432",
            ALIASES | {"shop/app", "bank/pay"},
            id="ledger: who names its server",
        ),
        pytest.param(PGBUDGET, "farm", "10.0.0.5-5432", ALIASES | {"farm/eggs"}, id="ledger: its aliases"),
        pytest.param(PGPOOL, "bank", "pay", {"bank/pay", "shop/db1-5432"}, id="pool: its server's ledger"),
        pytest.param(PGPOOL, "mill", "flour", {"mill/flour", "mill/db2-5432"}, id="nobody else"),
    ],
)
async def test_a_change_concerns_who_shares_a_server_in_other_namespaces(
    shared: Store, kind: Kind, namespace: str, name: str, concerned: set[str]
) -> None:
    queue = WorkQueue[Key]()
    Router(shared, queue)
    known = shared.get(kind, namespace, name)
    assert known is not None
    shared.put(kind, {**known, "metadata": known["metadata"] | {"resourceVersion": "2"}, "x": 1})
    assert await queued(queue) == concerned


async def test_a_pod_concerns_the_ledger_of_another_namespace_that_tells_of_it(shared: Store) -> None:
    ledger = shared.get(PGBUDGET, "shop", "db1-5432")
    assert ledger is not None
    grant = {"uid": "pay-1", "pod": "pay-1", "pool": "bank/pay"}
    changed = {**ledger, "metadata": ledger["metadata"] | {"resourceVersion": "2"}}
    shared.put(PGBUDGET, changed | {"status": ledger["status"] | {"grants": [grant]}})
    queue = WorkQueue[Key]()
    Router(shared, queue)
    shared.put(POD, stored("pay-1", "bank"))
    assert await queued(queue) == {"shop/db1-5432"}


async def test_a_new_pod_concerns_the_ledger_of_another_namespace_that_tells_of_its_pool(
    shared: Store,
) -> None:
    """It may come to a node when its pool has nothing more to say."""
    ledger = shared.get(PGBUDGET, "shop", "db1-5432")
    assert ledger is not None
    changed = {**ledger, "metadata": ledger["metadata"] | {"resourceVersion": "2"}}
    shared.put(PGBUDGET, changed | {"status": ledger["status"] | {"pools": ["bank/pay"]}})
    queue = WorkQueue[Key]()
    Router(shared, queue)
    shared.put(POD, stored("pay-2", "bank", labels={"pgpool.dev/pool": "pay"}))
    assert await queued(queue) == {"bank/pay", "shop/db1-5432"}


async def test_when_a_ledger_goes_those_hear_of_it_that_waited_for_its_server(shared: Store) -> None:
    queue = WorkQueue[Key]()
    Router(shared, queue)
    ledger = shared.get(PGBUDGET, "shop", "db1-5432")
    assert ledger is not None
    shared.remove(PGBUDGET, ledger)
    assert await queued(queue) == ALIASES | {"shop/app", "bank/pay"}


async def test_nothing_is_remembered_of_what_is_gone(clusters: Store) -> None:
    queue = WorkQueue[Key]()
    router = Router(clusters, queue)
    router.everything()
    for name in ("main", "other"):
        clusters.put(POD, database_pod(name, resourceVersion="2", x=1))
        clusters.remove(POD, database_pod(name, resourceVersion="3"))
        clusters.remove(PGBUDGET, stored(f"{name}-0", resourceVersion="3"))
    assert (router._labels, router._near) == ({}, {})


async def test_everything_is_queued_as_a_resync(store: Store) -> None:
    queue = WorkQueue[Key]()
    Router(store, queue).everything()
    assert await queued(queue) == POOLS | LEDGERS | {"bank/other", "bank/db2"}


async def test_a_pods_new_state_concerns_its_pool_and_the_ledgers(store: Store) -> None:
    queue = WorkQueue[Key]()
    store.put(POD, stored("app-rw-1", labels=LABEL))
    Router(store, queue).heard(Target("app-rw-1", "shop", "app-rw-1", "10.0.2.1"))
    assert await queued(queue) == {"shop/app"} | LEDGERS


async def test_a_predecessors_late_state_concerns_nobody(store: Store) -> None:
    queue = WorkQueue[Key]()
    store.put(POD, stored("app-rw-1", labels=LABEL, uid="successor"))
    Router(store, queue).heard(Target("predecessor", "shop", "app-rw-1", "10.0.2.1"))
    assert len(queue) == 0


async def test_a_database_pod_that_says_nothing_new_concerns_nobody(store: Store) -> None:
    """Patroni writes the WAL position to its pods' annotations every few seconds."""
    queue = WorkQueue[Key]()
    store.put(POD, slim(POD, stored("main-1", annotations={"status": '{"xlog_location": 1}'})))
    Router(store, queue)
    moved = stored("main-1", annotations={"status": '{"xlog_location": 2}'}, resourceVersion="2")
    store.put(POD, slim(POD, moved))
    assert len(queue) == 0


async def test_a_nodes_heartbeat_concerns_nobody(store: Store) -> None:
    queue = WorkQueue[Key]()
    store.put(NODE, slim(NODE, node("12:00:00", "1")))
    Router(store, queue)
    store.put(NODE, slim(NODE, node("12:05:00", "2")))
    assert len(queue) == 0


def node(heartbeat: str, version: str, **spec: Any) -> dict[str, Any]:
    ready = {"type": "Ready", "status": "True", "lastHeartbeatTime": heartbeat}
    return {
        "metadata": {"name": "w1", "uid": "w1", "resourceVersion": version, "annotations": {"a": heartbeat}},
        "spec": spec,
        "status": {
            "allocatable": {"cpu": "8"},
            "images": [{"names": [heartbeat]}],
            "conditions": [ready, {"type": "MemoryPressure", "status": "False"}],
        },
    }


def test_of_a_node_only_what_tells_of_its_cpus_and_its_life_is_kept() -> None:
    taint = {"key": "node.kubernetes.io/out-of-service"}
    assert slim(NODE, node("12:00:00", "7", taints=[taint], podCIDR="10.0.0.0/24")) == {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "w1", "uid": "w1", "resourceVersion": "7"},
        "spec": {"taints": [taint]},
        "status": {"allocatable": {"cpu": "8"}, "conditions": [{"type": "Ready", "status": "True"}]},
    }


def test_of_another_pod_only_what_discovery_reads_is_kept() -> None:
    labels = {"cluster-name": "main", "role": "primary"}
    containers = [{"name": "postgres", "resources": {"limits": {"cpu": "8"}}}]
    pod = stored("main-1", labels=labels, annotations={"status": "..."}, managedFields=[{}])
    pod["spec"] = {"nodeName": "w1", "containers": containers, "volumes": [{"name": "data"}]}
    pod["status"] = {
        "phase": "Running",
        "podIP": "10.0.1.1",
        "podIPs": [{"ip": "10.0.1.1"}, {"ip": "fd00::1"}],
        "conditions": [{"type": "Ready", "status": "True", "lastProbeTime": None}],
        "containerStatuses": [{"name": "postgres"}],
    }
    assert slim(POD, pod) == {
        "apiVersion": "v1",
        "kind": "Pod",
        **stored("main-1", labels=labels),
        "spec": {"nodeName": "w1", "containers": containers},
        "status": {
            "phase": "Running",
            "podIP": "10.0.1.1",
            "podIPs": [{"ip": "10.0.1.1"}, {"ip": "fd00::1"}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def test_a_pooler_pod_is_kept_whole_but_for_who_wrote_what() -> None:
    pod = stored("app-rw-1", labels=LABEL, annotations={"pgpool.dev/grant": "{}"})
    pod |= {"spec": {"initContainers": [{"name": "first"}]}, "status": {"containerStatuses": []}}
    watched = {**pod, "metadata": pod["metadata"] | {"managedFields": [{"manager": "kubelet"}]}}
    assert slim(POD, watched) == {"apiVersion": "v1", "kind": "Pod", **pod}


async def test_an_object_that_is_listed_tells_that_the_watch_of_its_kind_has_started(store: Store) -> None:
    started: list[Kind] = []
    handlers = registry(store, started.append, nodes=True)._watching.get_all_handlers()
    observe: Any = next(handler.fn for handler in handlers if handler.id == POD.plural)
    for version, event in enumerate((None, "ADDED", "MODIFIED", "DELETED"), 1):
        await observe(event={"type": event, "object": stored("main-1", resourceVersion=str(version))})
        assert started == [POD]
        assert (store.get(POD, "shop", "main-1") is None) is (event == "DELETED")
