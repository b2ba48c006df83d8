"""One server that several namespaces name: the first PgBudget owns it, the others draw on it where they may."""

import asyncio
import itertools
from typing import Any

import pytest

from pgpool_operator.cluster.kinds import DEPLOYMENT, PGBUDGET, PGPOOL, POD
from pgpool_pooler.contract import GRANT_ANNOTATION, Grant, ServerGrant
from tests.support.fake_api import FakeApi, FakeServer, Object
from tests.support.shop import PORT, report_end
from tests.support.town import Town

HOST = "db1"
LEDGER = f"{HOST}-{PORT}"
WORDS = f"{HOST}:{PORT} belongs to PgBudget shop/{LEDGER}: its owner adds bank to allowedNamespaces"


async def shop_then_bank(**spec: Any) -> Town:
    """The shop owns the server and serves; then the bank names it too."""
    town = Town()
    town.pool("shop/app", HOST)
    await town.settle()
    if spec:
        town.ledger("shop", HOST, **spec)
    town.pool("bank/pay", HOST)
    await town.settle()
    return town


# Claimed


async def test_a_second_namespace_gets_no_connections_and_no_ledger() -> None:
    town = await shop_then_bank()
    assert town.caps() == {"app-1": 12, "app-2": 12}
    assert town.server.get(PGBUDGET, LEDGER, "bank") is None


@pytest.mark.parametrize(
    ("condition", "status"), [("Ready", "False"), ("BudgetSatisfied", "False"), ("Stalled", "True")]
)
async def test_its_pool_says_whose_the_server_is_and_what_the_owner_does(condition: str, status: str) -> None:
    town = await shop_then_bank()
    assert town.said(PGPOOL, "bank/pay", condition) == (status, "ServerClaimed", WORDS)


async def test_no_pods_are_started_that_could_get_nothing() -> None:
    town = await shop_then_bank()
    assert town.server.get(DEPLOYMENT, "app-rw") is not None
    assert town.server.get(DEPLOYMENT, "pay-rw", "bank") is None


async def test_the_host_is_the_same_however_it_is_written() -> None:
    town = Town()
    town.pool("shop/app", HOST)
    await town.settle()
    town.pool("bank/pay", "DB1")
    await town.settle()
    assert town.said(PGPOOL, "bank/pay", "Stalled")[1] == "ServerClaimed"


async def test_another_port_is_another_server() -> None:
    town = Town()
    town.pool("shop/app", HOST)
    other = {"servers": [{"host": HOST, "port": PORT + 1, "cpu": 8}]}
    town.pool("bank/pay", HOST, pods=0, database=other)
    await town.settle()
    assert town.server.get(PGBUDGET, f"{HOST}-{PORT + 1}", "bank") is not None


async def test_a_cluster_is_of_its_namespace_whatever_its_pods_are_called() -> None:
    town = Town()
    cluster = {"cluster": {"provider": "patroni", "name": "main"}}
    for key, address in (("shop/app", "10.1.0.1"), ("bank/pay", "10.1.0.2")):
        namespace = key.split("/")[0]
        containers = [{"name": "postgres", "resources": {"limits": {"cpu": "8"}}}]
        town.server.save(
            POD,
            {
                "metadata": {
                    "name": "main-0",
                    "namespace": namespace,
                    "labels": {"cluster-name": "main", "role": "primary"},
                },
                "spec": {"containers": containers, "nodeName": "w1"},
                "status": {"phase": "Running", "podIP": address},
            },
        )
        town.pool(key, "", database=cluster)
    await town.settle()
    assert town.caps() == {"app-1": 12, "app-2": 12, "pay-1": 12, "pay-2": 12}


async def test_the_server_is_free_again_when_its_owner_has_gone() -> None:
    town = await shop_then_bank()
    town.delete(PGPOOL, "shop", "app")
    for name in ("app-1", "app-2"):
        end(town, "shop", name)
    await town.settle()
    assert "pay-1" not in town.caps(), "the dead may still have backends"
    town.clock.now += 2.1
    await town.settle()
    for name in ("app-1", "app-2"):
        town.delete(POD, "shop", name)
    await town.settle()
    assert town.server.get(PGBUDGET, LEDGER, "shop") is None
    assert town.caps() == {"pay-1": 12, "pay-2": 12}


def end(town: Town, namespace: str, name: str) -> None:
    pod = town.server.get(POD, name, namespace)
    assert pod is not None
    report_end(pod)
    town.server.save(POD, pod)
    town.watch()


# At the start, and when both come at once


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_whatever_order_the_store_is_filled_in_the_first_namespace_owns_the_server(
    order: tuple[int, ...],
) -> None:
    town = Town()
    acts = (
        lambda: town.ledger("shop", HOST, created="2026-11-20T10:00:00Z"),
        lambda: town.pool("bank/pay", HOST),
        lambda: town.pool("shop/app", HOST),
    )
    for number in order:
        acts[number]()
    town.restart()
    await town.reconcile(PGPOOL, "bank", "pay")
    assert town.server.get(PGBUDGET, LEDGER, "bank") is None
    await town.settle()
    assert town.caps() == {"app-1": 12, "app-2": 12}


@pytest.mark.parametrize("first", ["shop", "bank"])
async def test_of_two_ledgers_the_younger_grants_nothing_and_goes(first: str) -> None:
    """An operator may have made the second one before it knew of the first."""
    town = Town()
    town.pool("shop/app", HOST)
    town.pool("bank/pay", HOST)
    for namespace in ("shop", "bank"):
        town.ledger(namespace, HOST, created=f"2026-11-2{int(namespace != first)}T10:00:00Z")
    second = "bank" if first == "shop" else "shop"
    await town.reconcile(PGBUDGET, second, LEDGER)
    assert town.caps() == {}
    await town.settle()
    assert town.server.get(PGBUDGET, LEDGER, second) is None
    expected = {"app-1": 12, "app-2": 12} if first == "shop" else {"pay-1": 12, "pay-2": 12}
    assert town.caps() == expected


async def test_of_two_ledgers_of_one_second_the_namespaces_name_decides() -> None:
    town = Town()
    town.pool("shop/app", HOST)
    town.pool("bank/pay", HOST)
    for namespace in ("shop", "bank"):
        town.ledger(namespace, HOST)
    await town.settle()
    assert town.caps() == {"pay-1": 12, "pay-2": 12}


class HeldApi(FakeApi):
    """The first commit of a ledger is answered when the test wants it."""

    def __init__(self, server: FakeServer) -> None:
        super().__init__(server)
        self.reached, self.released = asyncio.Event(), asyncio.Event()

    async def _request(self, method: str, path: str, **params: Any) -> Object:
        if method == "put" and not self.reached.is_set():
            self.reached.set()
            await self.released.wait()
        return await super()._request(method, path, **params)


async def test_nobody_decides_on_a_server_while_a_decision_on_it_is_under_way() -> None:
    """The second ledger of a second owns the server if its namespace comes first; the first may be granting."""
    server = FakeServer()
    api = HeldApi(server)
    town = Town(server=server, kind_of_api=lambda _: api)
    small = {"servers": [{"host": HOST, "port": PORT, "cpu": 1}]}
    town.pool("shop/app", HOST, pods=3, database=small)
    town.ledger("shop", HOST)
    first = asyncio.create_task(town.budgets.reconcile("shop", LEDGER))
    await api.reached.wait()
    town.pool("bank/pay", HOST, pods=3, database=small)
    town.ledger("bank", HOST)
    second = asyncio.create_task(town.budgets.reconcile("bank", LEDGER))
    for _ in range(50):
        await asyncio.sleep(0)
    api.released.set()
    await asyncio.gather(first, second)
    assert sum(town.reserved("bank", HOST).values()) == 3
    assert not any(name.startswith("pay") for name in town.caps())


async def two_that_both_granted() -> Town:
    """As an operator left them that knew nothing of claims: both namespaces have all of B."""
    town = Town()
    granted = Town()
    granted.pool("bank/pay", HOST)
    await granted.settle()
    town.pool("shop/app", HOST)
    await town.settle()
    town.agents.states |= granted.agents.states
    for kind in (PGPOOL, POD, PGBUDGET):
        for obj in granted.objects(kind):
            obj["metadata"]["creationTimestamp"] = "2026-11-21T10:00:00Z"
            town.server.save(kind, obj)
    town.watch()
    return town


async def test_what_a_younger_ledger_has_granted_is_taken_over_and_comes_back() -> None:
    town = await two_that_both_granted()
    assert sum(town.caps().values()) == 48
    await town.reconcile(PGBUDGET, "shop", LEDGER)
    assert sum(town.reserved("shop", HOST).values()) == 48, "all of it counts until it is given back"
    await town.settle()
    assert town.server.get(PGBUDGET, LEDGER, "bank") is None
    assert town.caps() == {"app-1": 12, "app-2": 12, "pay-1": 0, "pay-2": 0}
    assert sum(town.reserved("shop", HOST).values()) == 24


async def test_what_a_younger_ledger_has_reserved_counts_although_it_was_not_sent_yet() -> None:
    town = await two_that_both_granted()
    for name in ("pay-1", "pay-2"):
        pod = town.server.get(POD, name, "bank")
        assert pod is not None
        del pod["metadata"]["annotations"][GRANT_ANNOTATION]
        town.server.save(POD, pod)
        del town.agents.states[f"uid-bank-{name}"]
    town.watch()
    await town.reconcile(PGBUDGET, "shop", LEDGER)
    assert sum(town.reserved("shop", HOST).values()) == 48
    await town.settle()
    assert town.server.get(PGBUDGET, LEDGER, "bank") is None


async def test_that_a_pod_of_a_younger_ledger_hung_is_taken_over_too() -> None:
    town = await two_that_both_granted()
    await town.reconcile(PGBUDGET, "shop", LEDGER)
    ledger = town.server.get(PGBUDGET, LEDGER, "bank")
    assert ledger is not None
    ledger["status"]["grants"][0]["overdue"] = True
    town.server.save(PGBUDGET, ledger)
    town.watch()
    await town.reconcile(PGBUDGET, "shop", LEDGER)
    older = town.server.get(PGBUDGET, LEDGER, "shop")
    assert older is not None
    assert [grant["pod"] for grant in older["status"]["grants"] if grant["overdue"]] == ["pay-1"]


async def test_a_younger_ledger_keeps_what_the_older_one_has_not_taken_over() -> None:
    town = await two_that_both_granted()
    await town.reconcile(PGBUDGET, "bank", LEDGER)
    assert town.reserved("bank", HOST) == {"pay-1": 12, "pay-2": 12}
    status, reason, message = town.said(PGBUDGET, f"bank/{LEDGER}", "Ready")
    assert (status, reason) == ("False", "ServerClaimed")
    assert f"belongs to PgBudget shop/{LEDGER}" in message


async def test_dead_pods_of_a_younger_ledger_hold_up_nobody() -> None:
    town = await two_that_both_granted()
    for name in ("pay-1", "pay-2"):
        end(town, "bank", name)
    for _ in range(3):
        await town.settle()
        town.clock.now += 11
    assert town.server.get(PGBUDGET, LEDGER, "bank") is None
    assert town.reserved("shop", HOST) == {"app-1": 12, "app-2": 12}


async def test_an_administrators_younger_ledger_stays_and_says_that_it_is_none() -> None:
    town = await shop_then_bank()
    town.ledger("dba", HOST, created="2026-11-22T10:00:00Z", limit=10)
    await town.settle()
    assert town.said(PGBUDGET, f"dba/{LEDGER}", "Ready")[1] == "ServerClaimed"
    assert town.caps() == {"app-1": 12, "app-2": 12}


async def test_a_ledger_that_becomes_the_owner_first_finds_out_who_holds_what() -> None:
    """Somebody deletes the owner's PgBudget: its pods still have all of B."""
    town = await shop_then_bank()
    town.ledger("bank", HOST, created="2026-11-22T10:00:00Z", limit=24)
    await town.settle()
    town.delete(PGBUDGET, "shop", LEDGER)
    held = dict(town.agents.states)
    town.agents.states.clear()
    await town.reconcile(PGBUDGET, "bank", LEDGER)
    assert "pay-1" not in town.caps()
    assert sum(town.reserved("bank", HOST).values()) == 24
    town.agents.states |= held
    await town.settle()
    assert town.caps() == {"app-1": 0, "app-2": 0, "pay-1": 12, "pay-2": 12}


# Allowed


async def test_an_allowed_namespace_draws_on_the_owners_ledger() -> None:
    town = await shop_then_bank(allowedNamespaces=["bank"])
    assert town.reserved("shop", HOST) == {"app-1": 6, "app-2": 6, "pay-1": 6, "pay-2": 6}
    assert town.server.get(PGBUDGET, LEDGER, "bank") is None
    assert set(town.status("shop", HOST)["pools"]) == {"bank/pay", "shop/app"}
    assert town.said(PGPOOL, "bank/pay", "BudgetSatisfied")[:2] == ("True", "Granted")


async def test_permission_is_given_while_both_run() -> None:
    town = await shop_then_bank()
    town.ledger("shop", HOST, allowedNamespaces=["bank"])
    await town.settle()
    assert town.caps() == {"app-1": 6, "app-2": 6, "pay-1": 6, "pay-2": 6}
    assert town.server.get(DEPLOYMENT, "pay-rw", "bank") is not None


async def test_other_namespaces_stay_out() -> None:
    town = await shop_then_bank(allowedNamespaces=["bank"])
    town.pool("farm/eggs", HOST)
    await town.settle()
    assert "eggs-1" not in town.caps()
    assert town.said(PGPOOL, "farm/eggs", "Stalled")[1] == "ServerClaimed"


async def test_pools_of_all_namespaces_share_the_pods_that_fit_oldest_first() -> None:
    town = Town()
    town.pool("bank/pay", HOST, pods=0, created="2026-11-02T00:00:00Z", write={"replicas": 30})
    town.pool("shop/app", HOST, pods=0, created="2026-11-01T00:00:00Z", write={"replicas": 30})
    town.ledger("dba", HOST, created="2026-10-01T00:00:00Z", allowedNamespaces=["bank", "shop"])
    await town.settle()
    replicas = [
        (town.server.get(DEPLOYMENT, name, namespace) or {})["spec"]["replicas"]
        for namespace, name in (("shop", "app-rw"), ("bank", "pay-rw"))
    ]
    assert sum(replicas) == 23
    assert replicas[0] == replicas[1] + 1


async def test_the_strictest_setting_of_all_namespaces_holds() -> None:
    town = Town()
    town.pool("shop/app", HOST)
    await town.settle()
    town.ledger("shop", HOST, allowedNamespaces=["bank"])
    town.pool("bank/pay", HOST, budget={"connectionsPerCpu": 2})
    await town.settle()
    assert sum(town.caps().values()) == 16
    status, reason, message = town.said(PGPOOL, "shop/app", "BudgetSatisfied")
    assert (status, reason) == ("True", "StricterPool")
    assert "shared with bank/pay, whose connectionsPerCpu 2 holds: 16" in message


async def test_the_administrators_limit_holds_for_all_of_them() -> None:
    town = await shop_then_bank(allowedNamespaces=["bank"], limit=10)
    assert sum(town.caps().values()) == 10


async def test_a_dead_pod_is_looked_for_in_its_own_namespace() -> None:
    town = await shop_then_bank(allowedNamespaces=["bank"])
    end(town, "bank", "pay-2")
    await town.settle()
    assert town.reserved("shop", HOST)["pay-2"] == 6
    town.clock.now += 2.1
    await town.settle()
    assert town.reserved("shop", HOST) == {"app-1": 8, "app-2": 8, "pay-1": 8}


async def test_when_permission_is_withdrawn_what_is_held_counts_until_it_is_given_back() -> None:
    town = await shop_then_bank(allowedNamespaces=["bank"])
    town.ledger("shop", HOST)
    await town.round()
    assert sum(town.reserved("shop", HOST).values()) == 24
    assert {name: cap for name, cap in town.caps().items() if name.startswith("pay")} == {
        "pay-1": 0,
        "pay-2": 0,
    }
    assert town.caps()["app-1"] == 6, "it grows when the others have acknowledged"
    await town.settle()
    assert town.caps() == {"app-1": 12, "app-2": 12, "pay-1": 0, "pay-2": 0}
    assert town.said(PGPOOL, "bank/pay", "Stalled")[:2] == ("True", "ServerClaimed")


async def test_permission_that_comes_back_is_as_good_as_before() -> None:
    town = await shop_then_bank(allowedNamespaces=["bank"])
    town.ledger("shop", HOST)
    await town.settle()
    town.ledger("shop", HOST, allowedNamespaces=["bank"])
    await town.settle()
    assert town.caps() == {"app-1": 6, "app-2": 6, "pay-1": 6, "pay-2": 6}


async def test_a_pod_of_another_namespace_counts_for_what_it_is_granted_whoever_granted_it() -> None:
    town = Town()
    town.pool("bank/pay", HOST, pods=1)
    server = ServerGrant(host=HOST, port=PORT, cap=20, shares={"app": 20})
    pod = town.server.get(POD, "pay-1", "bank")
    assert pod is not None
    grant = Grant(uid=pod["metadata"]["uid"], generation=7, servers=(server,), peer_id=1)
    pod["metadata"]["annotations"][GRANT_ANNOTATION] = grant.model_dump_json()
    town.server.save(POD, pod)
    town.pool("shop/app", HOST, pods=1)
    town.ledger("shop", HOST, created="2026-11-01T00:00:00Z")
    await town.round()
    assert town.reserved("shop", HOST) == {"pay-1": 20}
    assert "app-1" not in town.caps()


async def test_a_ledger_that_lets_others_in_is_kept_without_pools() -> None:
    town = Town()
    town.ledger("dba", HOST, allowedNamespaces=["shop"])
    await town.settle()
    assert town.server.get(PGBUDGET, LEDGER, "dba") is not None


async def test_an_operator_that_starts_anew_writes_nothing() -> None:
    town = await shop_then_bank(allowedNamespaces=["bank"])
    town.server.writes.clear()
    town.restart()
    await town.round()
    assert town.server.writes == []
