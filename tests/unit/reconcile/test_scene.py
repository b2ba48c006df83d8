"""How the plan sees a pod, from what pods and ledger say."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from pgpool_operator.agents import SILENT_SECONDS
from pgpool_operator.budget import Life
from pgpool_operator.cluster.kinds import PGBUDGET, PGPOOL, POD
from pgpool_operator.cluster.store import Store
from pgpool_operator.reconcile.grants import PeerIds
from pgpool_operator.reconcile.scene import Heard, Scene, observe
from pgpool_operator.reconcile.world import World
from pgpool_pooler.contract import Phase, ServerIdentity, ServerState, State

HOST = "10.0.0.7"


def stored(kind: str, name: str, **fields: Any) -> dict[str, Any]:
    labels = {"pgpool.dev/pool": "app", "pgpool.dev/endpoint": "write"} if kind == "Pod" else {}
    metadata = {
        "name": name,
        "namespace": "shop",
        "uid": f"uid-{name}",
        "resourceVersion": "1",
        "generation": 1,
        "creationTimestamp": "2026-11-20T10:00:00Z",
        "labels": labels,
    }
    return {"kind": kind, "metadata": metadata, **fields}


def state(name: str, detects: bool | None) -> State:
    """What a pod says; `detects` None: it has not logged in yet."""
    identity = ServerIdentity(
        address=HOST,
        port=5432,
        started_at=datetime(2026, 11, 20, tzinfo=UTC),
        version="17.6",
        max_connections=100,
        reserved_connections=3,
        in_recovery=False,
        client_address="10.0.0.1",
        detects_dead_clients=bool(detects),
    )
    here = ServerState(
        host=HOST,
        port=5432,
        cap=4,
        open=0,
        active=0,
        reachable=None,
        identity=identity if detects is not None else None,
    )
    return State(
        uid=f"uid-{name}",
        pod=name,
        phase=Phase.GATED,
        ready=False,
        generation=1,
        acknowledged=0,
        cap=4,
        servers=(here,),
    )


def scene(*states: State, version: str = "", age: float = 0.0, **changes: Any) -> Scene:
    store = Store()
    spec = {
        "database": {"servers": [{"host": HOST, "cpu": 8}]},
        "databases": [{"name": "app"}],
        "auth": {"userSecrets": [{"name": "main-app"}]},
        "write": {},
        **changes,
    }
    store.put(PGPOOL, stored("PgPool", "app", spec=spec))
    server = {"server": {"host": HOST, "port": 5432}}
    budget = stored("PgBudget", f"{HOST}-5432", spec=server, status={"version": version})
    store.put(PGBUDGET, budget)
    for said in states:
        store.put(POD, stored("Pod", said.pod, spec={}, status={}))
    known = {said.uid: said for said in states}
    heard = lambda uid: Heard(known.get(uid), {}, age)  # noqa: E731
    return observe(budget, World(store, "shop"), heard, PeerIds())


@pytest.mark.parametrize(
    ("others", "detects"),
    [
        ((True, True), True),
        ((True, False), False),
        ((None,), False),
        ((), False),
    ],
    ids=["all others read it", "one read otherwise", "the other could not read it either", "it is alone"],
)
def test_a_pod_that_never_logged_in_is_noticed_to_go_as_the_others_of_its_pool_are(
    others: tuple[bool | None, ...], detects: bool
) -> None:
    mates = [state(f"mate-{number}", read) for number, read in enumerate(others)]
    view = scene(state("new", None), *mates).view("uid-new", Life.ALIVE, 0.0)
    assert view.detects_dead_clients is None
    assert view.assumed_to_detect is detects


@pytest.mark.parametrize(
    ("age", "silent"), [(0.0, False), (SILENT_SECONDS, False), (SILENT_SECONDS + 1, True)]
)
def test_a_pod_whose_last_word_is_old_is_silent(age: float, silent: bool) -> None:
    assert scene(state("a", True), age=age).view("uid-a", Life.ALIVE, 0.0).silent is silent


def test_a_pod_that_was_never_heard_is_not_silent() -> None:
    """It gets its floor: else it would never start."""
    unheard = replace(scene(state("a", True)), heard=lambda _uid: Heard(None, {}))
    assert not unheard.view("uid-a", Life.ALIVE, 0.0).silent


def test_what_a_pod_has_read_itself_holds_for_it() -> None:
    view = scene(state("new", False), state("mate", True)).view("uid-new", Life.ALIVE, 0.0)
    assert view.detects_dead_clients is False
    assert view.assumed_to_detect is None


def test_of_a_pod_without_a_word_whose_pool_is_gone_nobody_can_tell() -> None:
    orphaned = replace(scene(state("new", None), state("mate", True)), owners={})
    assert orphaned.view("uid-new", Life.DEAD_REPORTED, 0.0).assumed_to_detect is None


@pytest.mark.parametrize(
    ("version", "changes", "detects"),
    [
        ("17.6", {}, True),
        ("14.1", {}, True),
        ("13.22", {}, False),
        ("", {}, False),
        ("17.6", {"poolMode": "session"}, False),
        ("17.6", {"databases": [{"name": "app", "poolMode": "session"}]}, False),
        ("17.6", {"users": [{"name": "report", "poolMode": "session"}]}, False),
    ],
)
def test_where_no_pod_of_a_pool_could_log_in_the_servers_version_and_the_pools_mode_decide(
    version: str, changes: dict[str, Any], detects: bool
) -> None:
    view = scene(state("new", None), version=version, **changes).view("uid-new", Life.ALIVE, 0.0)
    assert view.detects_dead_clients is None
    assert view.assumed_to_detect is detects
