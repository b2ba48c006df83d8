"""One server under two names, and one name for several servers."""

from dataclasses import replace
from datetime import timedelta

import pytest

from pgpool_operator.cluster.kinds import PGBUDGET, PGPOOL, POD
from tests.support.shop import PORT, report_end
from tests.support.town import STARTED, Backend, Town

NAME, ADDRESS = "db1", "10.0.0.5"
ONE = Backend(ADDRESS)
TWO = (ONE, Backend("10.0.0.6"))
WORDS = f"{NAME}:{PORT} and {ADDRESS}:{PORT} are one server: use one name"


def ready(town: Town, host: str, namespace: str = "shop") -> tuple[str, str, str]:
    return town.said(PGBUDGET, f"{namespace}/{host}-{PORT}", "Ready")


def total(town: Town) -> int:
    return sum(town.caps().values())


async def aliased(namespace: str = "shop") -> Town:
    """A pool by the server's name serves; then another one comes that has its address."""
    town = Town(behind={NAME: (ONE,), ADDRESS: (ONE,)})
    town.pool("shop/app", NAME)
    await town.settle()
    assert total(town) == 24
    town.pool(f"{namespace}/pay", ADDRESS, created="2026-11-21T10:00:00Z")
    town.ledger(namespace, ADDRESS, created="2026-11-21T10:00:00Z")
    await town.settle()
    return town


# One server, two names


async def test_the_second_ledger_gets_no_more_than_floors() -> None:
    town = await aliased()
    assert (town.caps()["pay-1"], town.caps()["pay-2"]) == (1, 1)


async def test_the_first_one_gives_back_what_the_second_one_has() -> None:
    town = await aliased()
    assert sum(town.reserved("shop", NAME).values()) == 22
    assert total(town) == 24


async def test_both_ledgers_name_the_other() -> None:
    town = await aliased()
    assert ready(town, NAME) == ("False", "ServerAliased", WORDS)
    assert ready(town, ADDRESS)[1:] == (
        "ServerAliased",
        f"{ADDRESS}:{PORT} and {NAME}:{PORT} are one server: use one name",
    )


async def test_so_do_their_pools() -> None:
    town = await aliased()
    assert town.said(PGPOOL, "shop/app", "BudgetSatisfied") == ("False", "ServerAliased", WORDS)
    assert town.said(PGPOOL, "shop/pay", "BudgetSatisfied")[1] == "ServerAliased"


async def test_an_alias_in_another_namespace_is_named_with_it() -> None:
    town = await aliased("bank")
    words = f"{NAME}:{PORT} and {ADDRESS}:{PORT} (in bank) are one server: use one name"
    assert ready(town, NAME) == ("False", "ServerAliased", words)


async def test_new_pods_of_the_second_ledger_share_what_it_has() -> None:
    town = await aliased()
    town.pod("shop/pay", 3)
    await town.settle()
    assert sum(town.reserved("shop", ADDRESS).values()) == 2
    assert total(town) == 24


async def test_new_pods_of_the_first_ledger_are_fed_from_what_it_has() -> None:
    town = await aliased()
    town.pod("shop/app", 3)
    await town.settle()
    assert town.caps()["app-3"] > 0
    assert total(town) == 24


async def test_both_learn_of_the_server_at_once_and_neither_grows_before_it_knows_of_the_other() -> None:
    town = Town(behind={NAME: (ONE,), ADDRESS: (ONE,)})
    town.pool("shop/app", NAME)
    town.pool("shop/pay", ADDRESS)
    highest = 0
    for _ in range(12):
        await town.round()
        town.answer()
        highest = max(highest, total(town))
    assert highest == total(town) == 24


async def test_where_both_had_all_of_it_the_sum_returns_to_the_servers_budget() -> None:
    """The second name was of another server until its DNS changed."""
    town = Town(behind={NAME: (ONE,), "db2": (Backend("10.0.0.6"),)})
    town.pool("shop/app", NAME)
    await town.settle()
    town.pool("shop/pay", "db2", created="2026-11-21T10:00:00Z")
    town.ledger("shop", "db2", created="2026-11-21T10:00:00Z")
    await town.settle()
    assert total(town) == 48
    town.behind["db2"] = (ONE,)
    town.clock.now += 60
    town.answer()
    await town.settle()
    assert total(town) == 24
    assert sum(town.reserved("shop", NAME).values()) == sum(town.reserved("shop", "db2").values()) == 12


async def test_it_is_over_when_one_of_the_names_is_not_used_any_more() -> None:
    town = await aliased()
    town.delete(PGPOOL, "shop", "pay")
    for name in ("pay-1", "pay-2"):
        pod = town.server.get(POD, name)
        assert pod is not None
        report_end(pod)
        town.server.save(POD, pod)
    town.watch()
    await town.settle()
    assert ready(town, NAME)[1] == "ServerAliased", "the dead may still have backends"
    town.clock.now += 2.1
    for _ in range(2):
        await town.settle()
        for name in ("pay-1", "pay-2"):
            if town.server.get(POD, name) is not None:
                town.delete(POD, "shop", name)
    assert ready(town, NAME)[:2] == ("True", "InUse")
    assert town.caps() == {"app-1": 12, "app-2": 12}


async def test_a_ledger_without_pools_and_pods_is_no_alias_although_it_is_kept() -> None:
    town = await aliased()
    town.ledger("shop", ADDRESS, limit=24)
    town.delete(PGPOOL, "shop", "pay")
    for name in ("pay-1", "pay-2"):
        town.delete(POD, "shop", name)
        town.server.save(PGBUDGET, _without_grants(town))
        town.watch()
    await town.settle()
    assert town.server.get(PGBUDGET, f"{ADDRESS}-{PORT}") is not None
    assert town.status("shop", ADDRESS)["servers"] == town.status("shop", NAME)["servers"]
    assert ready(town, NAME)[1] == "InUse"
    assert town.caps() == {"app-1": 12, "app-2": 12}


def _without_grants(town: Town) -> dict[str, object]:
    ledger = town.server.get(PGBUDGET, f"{ADDRESS}-{PORT}")
    assert ledger is not None
    return {**ledger, "status": ledger["status"] | {"grants": [], "reserved": 0}}


async def test_it_is_over_when_the_names_lead_to_two_servers() -> None:
    town = await aliased()
    town.behind[ADDRESS] = (Backend("10.0.0.6"),)
    town.clock.now += 60
    town.answer()
    await town.settle()
    assert total(town) == 48
    assert (ready(town, NAME)[1], ready(town, ADDRESS)[1]) == ("InUse", "InUse")


async def test_a_restart_that_only_one_of_them_has_heard_of_resolves_nothing() -> None:
    town = await aliased()
    again = replace(ONE, started_at=STARTED + timedelta(days=23, hours=13))
    town.behind = {NAME: (again,), ADDRESS: (again,)}
    town.clock.now += 7200
    town.answer("app-1", "app-2")
    for _ in range(4):
        await town.round()
        town.answer("app-1", "app-2")
    assert total(town) <= 24
    assert ready(town, NAME)[1] == ready(town, ADDRESS)[1] == "ServerAliased"


async def test_an_operator_that_starts_knows_of_it_before_it_has_heard_the_other_pods() -> None:
    town = await aliased()
    for name in ("pay-1", "pay-2"):
        del town.agents.states[f"uid-{name}"]
    town.restart()
    await town.round()
    assert total(town) == 24
    assert ready(town, NAME)[1] == "ServerAliased"


async def test_equal_addresses_behind_two_networks_are_two_servers() -> None:
    town = Town(behind={NAME: (ONE,), "db2": (replace(ONE, started_at=STARTED + timedelta(hours=1)),)})
    town.pool("shop/app", NAME)
    town.pool("shop/pay", "db2")
    await town.settle()
    assert total(town) == 48


async def test_servers_without_an_address_are_told_apart_by_nothing_and_are_no_aliases() -> None:
    town = Town(behind={NAME: (Backend(""),), "db2": (Backend(""),)})
    town.pool("shop/app", NAME)
    town.pool("shop/pay", "db2")
    await town.settle()
    assert total(town) == 48


async def test_who_may_not_draw_on_it_any_more_gives_all_of_it_back_even_now() -> None:
    town = await aliased()
    town.ledger("shop", NAME, allowedNamespaces=["farm"])
    town.pool("farm/eggs", NAME, pods=1)
    await town.settle()
    assert town.caps()["eggs-1"] > 0
    town.behind = {NAME: TWO, ADDRESS: (ONE,)}
    town.answer()
    town.ledger("shop", NAME)
    await town.settle()
    assert town.caps()["eggs-1"] == 0
    assert total(town) <= 24


# Several servers, one name


MANY = f"{NAME}:{PORT} answers as 2 servers: list each one, a budget belongs to one server"


async def many() -> Town:
    """A pool whose host is a Service over two servers: its pods see both."""
    town = Town(behind={NAME: TWO[:1]})
    town.pool("shop/app", NAME)
    await town.settle()
    town.behind[NAME] = TWO
    for _ in range(3):
        town.clock.now += 5
        town.answer()
        await town.settle()
    return town


async def test_several_servers_behind_one_name_are_said() -> None:
    town = await many()
    assert ready(town, NAME) == ("False", "ManyServers", MANY)
    assert town.said(PGPOOL, "shop/app", "BudgetSatisfied") == ("False", "ManyServers", MANY)
    assert town.said(PGPOOL, "shop/app", "Stalled")[0] == "False"


async def test_nothing_grows_while_there_are_several() -> None:
    town = await many()
    pod = town.server.get(POD, "app-2")
    assert pod is not None
    report_end(pod)
    town.server.save(POD, pod)
    town.watch()
    await town.settle()
    town.clock.now += 2.1
    await town.settle()
    assert town.reserved("shop", NAME) == {"app-1": 12}


async def test_a_new_pod_gets_its_floor_meanwhile() -> None:
    town = await many()
    town.delete(POD, "shop", "app-2")
    status = town.status("shop", NAME)
    ledger = town.server.get(PGBUDGET, f"{NAME}-{PORT}")
    assert ledger is not None
    grants = [grant for grant in status["grants"] if grant["pod"] == "app-1"]
    town.server.save(PGBUDGET, {**ledger, "status": status | {"grants": grants, "reserved": 12}})
    town.pod("shop/app", 3)
    await town.settle()
    assert (town.caps()["app-1"], town.caps()["app-3"]) == (12, 1)


async def test_while_pods_learn_of_a_failover_nothing_is_said_and_nothing_grows() -> None:
    town = Town(behind={NAME: TWO[:1]})
    town.pool("shop/app", NAME, pods=3)
    await town.settle()
    before = town.caps()
    town.behind[NAME] = TWO[1:]
    for pod in ("app-1", "app-2"):
        town.clock.now += 5
        town.answer(pod)
        await town.round()
        assert ready(town, NAME)[1] != "ManyServers"
        assert town.caps() == before
    town.answer()
    await town.settle()
    assert ready(town, NAME)[1] == "InUse"
    assert [server["address"] for server in town.status("shop", NAME)["servers"]] == ["10.0.0.6"]


async def test_a_pod_without_connections_tells_nothing_of_now() -> None:
    town = Town(behind={NAME: TWO[:1]})
    town.pool("shop/app", NAME)
    await town.settle()
    town.behind[NAME] = TWO[1:]
    idle = town.agents.states["uid-app-2"]
    town.answer()
    [here] = idle.servers
    town.agents.states["uid-app-2"] = idle.model_copy(
        update={"servers": (here.model_copy(update={"open": 0}),)}
    )
    await town.round()
    assert [server["address"] for server in town.status("shop", NAME)["servers"]] == ["10.0.0.6"]


async def test_nothing_grows_in_the_step_that_learns_of_another_server() -> None:
    """Another ledger may learn the same in this moment, and neither can know of the other."""
    town = Town(behind={NAME: TWO[:1]})
    town.pool("shop/app", NAME)
    await town.settle()
    ledger = town.server.get(PGBUDGET, f"{NAME}-{PORT}")
    assert ledger is not None
    town.ledger("shop", NAME, limit=12)
    await town.settle()
    town.behind[NAME] = TWO[1:]
    town.answer()
    town.ledger("shop", NAME)
    await town.reconcile(PGBUDGET, "shop", f"{NAME}-{PORT}")
    assert total(town) == 12
    await town.reconcile(PGBUDGET, "shop", f"{NAME}-{PORT}")
    assert total(town) == 24


async def test_an_operator_that_starts_goes_on_saying_it() -> None:
    town = await many()
    town.restart()
    town.behind[NAME] = TWO[1:]
    town.answer()
    await town.round()
    assert ready(town, NAME) == ("False", "ManyServers", MANY)


async def test_it_is_over_when_only_one_has_answered_for_long() -> None:
    town = await many()
    town.behind[NAME] = TWO[1:]
    for _ in range(4):
        town.clock.now += 60
        town.answer()
        await town.settle()
    assert ready(town, NAME)[:2] == ("True", "InUse")


async def test_one_of_several_servers_is_no_other_ledgers_alone() -> None:
    """A Service over two servers, and one of the two by its address."""
    town = await many()
    town.pool("shop/pay", TWO[1].address, created="2026-11-21T10:00:00Z")
    town.ledger("shop", TWO[1].address, created="2026-11-21T10:00:00Z")
    await town.settle()
    assert total(town) == 24
    assert ready(town, TWO[1].address)[1] == "ServerAliased"


@pytest.mark.parametrize("pods", [1, 3])
async def test_pods_that_each_hear_one_of_several_make_it_known_together(pods: int) -> None:
    town = Town(behind={NAME: TWO[:1]})
    town.pool("shop/app", NAME, pods=pods + 1)
    await town.settle()
    for number in range(2 * (pods + 1)):
        town.clock.now += 15
        pod = number % (pods + 1)
        town.behind[NAME] = TWO[:1] if pod else TWO[1:]
        town.answer(f"app-{pod + 1}")
        await town.round()
    assert ready(town, NAME) == ("False", "ManyServers", MANY)
