from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from pgpool_operator.api import BudgetServer, PgBudget, ServerRole
from pgpool_operator.discovery import Discovery, Server
from pgpool_operator.status import ServerFacts, as_json, pgpool_status, server_facts
from tests.unit.status.example import (
    BOTH,
    HEALTHY,
    NOON,
    PRIMARY,
    TWO,
    a_grant,
    a_pool,
    a_server,
    but,
    but_primary,
)


def test_a_pools_status_is_what_the_api_promises() -> None:
    status = as_json(pgpool_status(HEALTHY))
    said = status.pop("conditions")
    assert said[0] == {
        "type": "Ready",
        "status": "True",
        "observedGeneration": 8,
        "lastTransitionTime": "2026-11-24T12:00:00Z",
        "reason": "Serving",
        "message": "write and read pods serve clients",
    }
    endpoint = {"replicas": 2, "readyReplicas": 2, "desiredReplicas": 2}
    server = {"connections": 24, "granted": 24}
    assert status == {
        "observedGeneration": 8,
        "write": endpoint
        | {"selector": "pgpool.dev/endpoint=write,pgpool.dev/pool=app", "service": "app-rw.shop.svc:5432"},
        "read": endpoint
        | {"selector": "pgpool.dev/endpoint=read,pgpool.dev/pool=app", "service": "app-ro.shop.svc:5432"},
        "servers": [
            server | {"name": "main-1", "role": "primary", "address": "10.0.1.1:5432", "budget": "main-1"},
            server | {"name": "main-2", "role": "replica", "address": "10.0.1.2:5432", "budget": "main-2"},
        ],
        "configHash": "c0ffee",
        "summary": {"write": "2/2", "read": "2/2", "budget": "24/24", "endpoint": "app-rw.shop.svc:5432"},
    }


def test_an_endpoint_that_is_not_there_is_not_in_the_status() -> None:
    status = as_json(pgpool_status(but(write=None, pool=a_pool(write=None))))
    assert "write" not in status
    assert status["summary"]["write"] == ""
    assert status["summary"]["endpoint"] == "app-ro.shop.svc:5432"


def test_a_status_that_was_written_is_found_unchanged() -> None:
    written = pgpool_status(HEALTHY)
    pool = HEALTHY.pool.model_validate(HEALTHY.pool.model_dump(mode="json") | {"status": as_json(written)})
    again = pgpool_status(but(pool=pool, now=NOON + timedelta(days=1)))
    assert as_json(again) == as_json(written)


def test_desired_is_what_has_room_not_what_is_wanted() -> None:
    status = as_json(pgpool_status(but(write=replace(TWO, wanted=14, fit=11, pods=11, ready=10))))
    assert status["write"]["desiredReplicas"] == 11
    assert status["summary"]["write"] == "10/11"


def test_the_service_port_is_the_users() -> None:
    pool = a_pool(write={"service": {"port": 6432}})
    assert as_json(pgpool_status(but(pool=pool)))["summary"]["endpoint"] == "app-rw.shop.svc:6432"


def test_a_server_outside_is_named_by_its_address() -> None:
    server = replace(
        a_server("main-1", ServerRole.PRIMARY),
        name="fd00-1-5432",
        host="fd00::1",
        ref=BudgetServer(host="fd00::1"),
    )
    facts = but(discovery=Discovery((server,)), servers=(ServerFacts(server, connections=9),))
    [found] = as_json(pgpool_status(facts))["servers"]
    assert (found["name"], found["address"], found["budget"]) == (
        "[fd00::1]:5432",
        "[fd00::1]:5432",
        "fd00-1-5432",
    )


def test_a_budget_that_is_not_known_yet_is_no_number() -> None:
    assert as_json(pgpool_status(but_primary(connections=None)))["summary"]["budget"] == ""


def a_budget(*conditions: dict[str, Any], **status: Any) -> PgBudget:
    said = [{"status": "True", "message": "m", "lastTransitionTime": NOON} | found for found in conditions]
    base = {"cpu": "8", "connections": 24, "connectionsPerCpu": 3, "setBy": "shop/app"}
    return PgBudget.model_validate(
        {
            "metadata": {"name": "main-1", "namespace": "shop"},
            "spec": {"server": {"cluster": "main", "instance": "main-1"}},
            "status": base | status | {"conditions": said},
        }
    )


def of(budget: PgBudget | None, server: Server = PRIMARY, claimed_by: str = "") -> ServerFacts:
    return server_facts(a_pool(), server, budget, claimed_by)


def test_a_servers_facts_are_what_its_ledger_says_of_this_pool() -> None:
    foreign = a_grant("batch-1").model_copy(update={"pool": "shop/batch"})
    facts = of(a_budget(grants=[*BOTH, foreign]))
    assert (facts.connections, facts.connections_per_cpu, facts.granted) == (24, 3, 24)
    assert facts.grants == BOTH
    assert (facts.trouble, facts.lowering, facts.set_by) == (None, False, "")


@pytest.mark.parametrize("reason", ["LedgerRecovering", "ServerAliased", "ManyServers"])
def test_what_freezes_the_ledger_is_the_pools_trouble(reason: str) -> None:
    trouble = of(a_budget({"type": "Ready", "reason": reason, "status": "False"})).trouble
    assert trouble is not None
    assert (trouble.reason, trouble.message) == (reason, "m")


def test_a_lowered_budget_and_a_stricter_pool_show() -> None:
    facts = of(a_budget({"type": "Draining", "reason": "BudgetLowered"}, setBy="shop/batch"))
    assert facts.lowering
    assert facts.set_by == "shop/batch"


def test_the_ceiling_of_the_administrator_shows() -> None:
    budget = a_budget(connections=4)
    ceiling = budget.spec.model_copy(update={"limit": 4})
    assert of(budget.model_copy(update={"spec": ceiling})).limit == 4
    assert of(budget).limit is None


def test_a_server_of_another_namespace_is_claimed() -> None:
    trouble = of(None, claimed_by="dba/main-1").trouble
    assert trouble is not None
    assert trouble.reason == "ServerClaimed"
    assert (
        trouble.message
        == "10.0.1.1:5432 belongs to PgBudget dba/main-1: its owner adds shop to allowedNamespaces"
    )


@pytest.mark.parametrize("budget", [None, a_budget(cpu=None, connections=0)])
def test_without_cpus_there_is_no_budget_and_discovery_says_why(budget: PgBudget | None) -> None:
    facts = of(budget, replace(PRIMARY, cpu=None, cpu_source=None, cpu_problem="set budget.cpu"))
    assert facts.connections is None
    assert facts.trouble is not None
    assert (facts.trouble.reason, facts.trouble.message) == ("CpuUnknown", "set budget.cpu")
