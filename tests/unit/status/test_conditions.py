from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from pgpool_operator.api import GrantState
from pgpool_operator.discovery import Discovery, DiscoveryProblem
from pgpool_operator.status import Facts, Trouble, conditions
from pgpool_pooler.contract import Problem
from tests.unit.status.example import (
    BOTH,
    HASH,
    HEALTHY,
    NOON,
    PRIMARY,
    REPLICA,
    TWO,
    a_grant,
    a_pool,
    a_server,
    a_state,
    a_view,
    but,
    but_primary,
    by_type,
    said_before,
)

UNNOTICED = a_grant("app-rw-x2k4p", GrantState.UNKNOWN, reserved=8).model_copy(
    update={"detects_dead_clients": False}
)
COUNTED = a_grant("app-rw-x2k4p", GrantState.UNKNOWN, reserved=8).model_copy(
    update={"backends": 7, "addresses": ("10.0.2.2",)}
)
HELD = (a_grant("app-rw-1", reserved=16), a_grant("app-rw-x2k4p", GrantState.UNKNOWN, reserved=8))
NO_KEY = Problem(
    field="auth.userSecrets[0]", text="Secret main-app has no key password", reason="SecretInvalid"
)
NO_ROOM = "each pod needs 1 connection for each of 2 databases, main-1 has 24 and keeps 2 for a rollout"
NO_PRIMARY = DiscoveryProblem("NoPrimary", "no primary")
NOT_FOUND = DiscoveryProblem("DatabaseNotFound", "no pod has the labels")
CLAIMED = Trouble(
    "ServerClaimed", "main-1 belongs to PgBudget dba/main-1: its owner adds shop to allowedNamespaces"
)


def reported(*problems: Problem, **more: Any) -> Facts:
    """Every pod reports these problems."""
    return but(
        states=tuple(
            a_state(f"app-rw-{number}", a_view(PRIMARY), problems=problems, **more) for number in (1, 2)
        )
    )


def problem(reason: str) -> Facts:
    return reported(Problem(field="tls.server", text="text", reason=reason))


def seen(*reachable: bool | None, error: str = "") -> Facts:
    views = [a_view(PRIMARY, answer, error=error) for answer in reachable]
    return but(states=tuple(a_state(f"app-rw-{number}", view) for number, view in enumerate(views)))


UNHEARD = but(states=())
NEW = but(UNHEARD, servers=(), write=replace(TWO, pods=0, ready=0, updated=0, observed=False), read=None)
TOO_SMALL = but(write=replace(TWO, fit=0, pods=0, ready=0, updated=0, why="2 databases need 2, main-1 has 1"))
DOWN = but(write=replace(TWO, ready=0))
ROLLING = but(write=replace(TWO, pods=3, updated=1))
GROWING = but(write=replace(TWO, wanted=3, fit=3, pods=3, updated=3))
LIMITED = but(write=replace(TWO, wanted=14, why=NO_ROOM))
RELOADING = said_before(but(config_hash="newer"))
STANDBY = but(states=(a_state("app-rw-1", a_view(PRIMARY, standby=True)),))
STRICTER = but_primary(set_by="shop/batch", connections_per_cpu=2, connections=16)


@pytest.mark.parametrize(
    ("facts", "status", "reason"),
    [
        (but(pool=a_pool(paused=True)), "False", "Paused"),
        (reported(NO_KEY), "False", "InvalidConfig"),
        (TOO_SMALL, "False", "BudgetTooSmall"),
        (but_primary(trouble=CLAIMED), "False", "ServerClaimed"),
        (seen(False), "False", "DatabaseUnreachable"),
        (NEW, "False", "Starting"),
        (DOWN, "False", "Starting"),
        (said_before(DOWN, Ready="!PodsNotReady"), "False", "PodsNotReady"),
        (but_primary(grants=HELD), "True", "BudgetHeld"),
        (LIMITED, "True", "BudgetLimited"),
        (ROLLING, "True", "RollingOut"),
        (but(write=replace(TWO, observed=False)), "True", "RollingOut"),
        (UNHEARD, "True", "RollingOut"),
        (GROWING, "True", "Scaling"),
        (but(write=replace(TWO, wanted=1, fit=1)), "True", "Scaling"),
        (but(write=replace(TWO, ready=1)), "True", "Scaling"),
        (but(write=replace(TWO, pods=3, updated=3)), "True", "Scaling"),
        (HEALTHY, "True", "Serving"),
        (but(read=None), "True", "Serving"),
        (but(write=replace(TWO, wanted=0, fit=0, pods=0, ready=0, updated=0)), "True", "Serving"),
    ],
)
def test_ready(facts: Facts, status: str, reason: str) -> None:
    ready = by_type(facts)["Ready"]
    assert (ready.status.value, ready.reason) == (status, reason)


def all_at_once(facts: Facts) -> list[tuple[str, Facts]]:
    """The reasons of Ready in their order, each with facts in which it and all that follow hold."""
    grants, why = (*BOTH, a_grant("app-rw-x2k4p", GrantState.UNKNOWN)), "why"
    rolling = replace(TWO, wanted=9, why=why, pods=4, updated=1, ready=1)
    steps: list[tuple[str, dict[str, Any]]] = [
        ("Scaling", {"write": replace(TWO, ready=1)}),
        ("RollingOut", {"write": replace(TWO, pods=4, updated=1, ready=1)}),
        ("BudgetLimited", {"write": rolling}),
        ("BudgetHeld", {"servers": (replace(facts.servers[0], grants=grants), facts.servers[1])}),
        ("Starting", {"write": replace(rolling, ready=0)}),
        ("DatabaseUnreachable", {"states": seen(False).states}),
        ("BudgetTooSmall", {"write": replace(rolling, ready=0, fit=0)}),
        ("InvalidConfig", {"states": reported(NO_KEY).states}),
        ("Paused", {"pool": a_pool(paused=True)}),
    ]
    found = []
    for reason, change in steps:
        facts = but(facts, **change)
        found.append((reason, facts))
    return found


@pytest.mark.parametrize(("reason", "facts"), all_at_once(HEALTHY))
def test_of_several_reasons_ready_tells_the_one_that_clients_feel_most(reason: str, facts: Facts) -> None:
    assert by_type(facts)["Ready"].reason == reason


@pytest.mark.parametrize(
    ("facts", "status", "reason"),
    [
        (NEW, "True", "Creating"),
        (but(switching="main-2"), "True", "SwitchingOver"),
        (ROLLING, "True", "RollingOut"),
        (RELOADING, "True", "ReloadingConfig"),
        (GROWING, "True", "Scaling"),
        (but_primary(grants=(a_grant("app-rw-1", GrantState.SHRINKING),)), "True", "MovingBudget"),
        (but_primary(grants=(a_grant("app-rw-1", GrantState.GATED),)), "True", "MovingBudget"),
        (but_primary(lowering=True), "True", "MovingBudget"),
        (but_primary(grants=HELD), "False", "UpToDate"),
        (LIMITED, "False", "UpToDate"),
        (HEALTHY, "False", "UpToDate"),
    ],
)
def test_reconciling(facts: Facts, status: str, reason: str) -> None:
    reconciling = by_type(facts)["Reconciling"]
    assert (reconciling.status.value, reconciling.reason) == (status, reason)


@pytest.mark.parametrize(
    ("facts", "status", "reason"),
    [
        (reported(NO_KEY), "True", "InvalidConfig"),
        (TOO_SMALL, "True", "BudgetTooSmall"),
        (but_primary(trouble=CLAIMED), "True", "ServerClaimed"),
        (but(forbidden="create services in shop"), "True", "Forbidden"),
        (but(discovery=Discovery((), NOT_FOUND)), "False", "NotStalled"),
        (seen(False), "False", "NotStalled"),
        (but_primary(trouble=Trouble("LedgerRecovering", "waiting")), "False", "NotStalled"),
        (HEALTHY, "False", "NotStalled"),
    ],
)
def test_stalled_is_what_only_a_person_can_mend(facts: Facts, status: str, reason: str) -> None:
    stalled = by_type(facts)["Stalled"]
    assert (stalled.status.value, stalled.reason) == (status, reason)


def test_what_is_stalled_is_not_reconciling_so_that_kstatus_shows_it_as_failed() -> None:
    facts = but(ROLLING, states=reported(NO_KEY).states)
    assert by_type(facts)["Stalled"].status.value == "True"
    assert by_type(facts)["Reconciling"].status.value == "False"


@pytest.mark.parametrize(
    ("facts", "status", "reason"),
    [
        (but(discovery=Discovery((), NOT_FOUND)), "False", "DatabaseNotFound"),
        (problem("SecretInvalid"), "False", "SecretInvalid"),
        (problem("CertificateInvalid"), "False", "CertificateInvalid"),
        (problem("EngineRejected"), "False", "EngineRejected"),
        (problem("LoginFailed"), "True", "Accepted"),
        (problem("NoClearPassword"), "True", "Accepted"),
        (problem("EngineFailed"), "True", "Accepted"),
        (but(discovery=Discovery((), NO_PRIMARY)), "True", "Accepted"),
        (UNHEARD, "Unknown", "NotTried"),
        (but(config_hash="newer"), "Unknown", "NotTried"),
        (said_before(but(config_hash="peers changed")), "True", "Accepted"),
        (said_before(but(config_hash="newer"), ConfigValid="!SecretInvalid"), "Unknown", "NotTried"),
        (HEALTHY, "True", "Accepted"),
    ],
)
def test_config_valid(facts: Facts, status: str, reason: str) -> None:
    config = by_type(facts)["ConfigValid"]
    assert (config.status.value, config.reason) == (status, reason)


@pytest.mark.parametrize(
    ("facts", "status", "reason"),
    [
        (but(discovery=Discovery((), NO_PRIMARY)), "False", "NoPrimary"),
        (STANDBY, "False", "NotPrimary"),
        (problem("TLSFailed"), "False", "TLSFailed"),
        (problem("LoginFailed"), "False", "LoginFailed"),
        (problem("Unreachable"), "False", "Unreachable"),
        (seen(False), "False", "Unreachable"),
        (seen(True, False), "False", "Unreachable"),
        (seen(True, None), "True", "Connected"),
        (seen(None), "Unknown", "NotTried"),
        (said_before(seen(None), DatabaseReachable="!LoginFailed"), "False", "LoginFailed"),
        (said_before(seen(True, None), DatabaseReachable="!LoginFailed"), "False", "LoginFailed"),
        (said_before(seen(True, True), DatabaseReachable="!LoginFailed"), "True", "Connected"),
        (said_before(seen(True, None), DatabaseReachable="!NoPrimary"), "True", "Connected"),
        (UNHEARD, "Unknown", "NotTried"),
        (but(discovery=Discovery((), NOT_FOUND), states=(), servers=()), "Unknown", "NotTried"),
        (HEALTHY, "True", "Connected"),
    ],
)
def test_database_reachable(facts: Facts, status: str, reason: str) -> None:
    reach = by_type(facts)["DatabaseReachable"]
    assert (reach.status.value, reach.reason) == (status, reason)


@pytest.mark.parametrize(
    ("facts", "status", "reason"),
    [
        (TOO_SMALL, "False", "BudgetTooSmall"),
        (but_primary(lowering=True), "False", "BudgetDraining"),
        (but_primary(grants=HELD), "False", "BudgetHeld"),
        (but_primary(trouble=Trouble("CpuUnknown", "no limit")), "False", "CpuUnknown"),
        (but_primary(trouble=Trouble("LedgerRecovering", "waiting")), "False", "LedgerRecovering"),
        (but_primary(trouble=CLAIMED), "False", "ServerClaimed"),
        (but_primary(trouble=Trouble("ServerAliased", "two names")), "False", "ServerAliased"),
        (but_primary(trouble=Trouble("ManyServers", "three")), "False", "ManyServers"),
        (but(TOO_SMALL, servers=but_primary(trouble=CLAIMED).servers), "False", "ServerClaimed"),
        (but(TOO_SMALL, servers=but_primary(connections=None).servers), "True", "Granted"),
        (problem("GrantRefused"), "False", "GrantRefused"),
        (STRICTER, "True", "StricterPool"),
        (but(servers=()), "Unknown", "NotTried"),
        (HEALTHY, "True", "Granted"),
    ],
)
def test_budget_satisfied(facts: Facts, status: str, reason: str) -> None:
    budget = by_type(facts)["BudgetSatisfied"]
    assert (budget.status.value, budget.reason) == (status, reason)


def test_of_several_troubles_the_one_to_be_mended_first_is_told() -> None:
    primary, replica = HEALTHY.servers
    recovering = replace(primary, trouble=Trouble("LedgerRecovering", "waiting"))
    facts = but(servers=(recovering, replace(replica, trouble=Trouble("ManyServers", "three"))))
    assert by_type(facts)["BudgetSatisfied"].reason == "ManyServers"


def test_database_saturated_is_unknown_because_nothing_measures_it() -> None:
    saturated = by_type(HEALTHY)["DatabaseSaturated"]
    assert (saturated.status.value, saturated.reason) == ("Unknown", "NoSignal")


@pytest.mark.parametrize(
    ("facts", "status", "reason"),
    [
        (LIMITED, "True", "BudgetFloor"),
        (but(write=replace(TWO, fit=0)), "False", "DesiredWithinRange"),  # nobody knows a budget yet
        (HEALTHY, "False", "DesiredWithinRange"),
        (GROWING, "False", "DesiredWithinRange"),
    ],
)
def test_scaling_limited(facts: Facts, status: str, reason: str) -> None:
    limited = by_type(facts)["ScalingLimited"]
    assert (limited.status.value, limited.reason) == (status, reason)


@pytest.mark.parametrize(
    ("facts", "name", "message"),
    [
        (
            reported(NO_KEY, config_hash="older"),
            "Ready",
            "auth.userSecrets[0]: Secret main-app has no key password (seen by 2 of 2 pods); generation 8 is not "
            "applied, the last accepted one serves on",
        ),
        (
            reported(NO_KEY),
            "ConfigValid",
            "auth.userSecrets[0]: Secret main-app has no key password (seen by 2 of 2 pods)",
        ),
        (
            seen(False, False, error="no answer in 3 s"),
            "Ready",
            "main-1 (10.0.1.1:5432): no answer in 3 s (seen by 2 of 2 pods); clients wait up to 120 s, grants stay",
        ),
        (
            but_primary(grants=HELD),
            "Ready",
            "app-rw-x2k4p (node w3) is not proven gone and may still hold 8 of 24 on main-1; freed when the "
            "kubelet reports it ended, Node w3 is tainted out-of-service, or by: kubectl -n shop patch pgbudget "
            "main-1 --type=merge "
            '-p \'{"spec":{"release":["app-rw-x2k4p"]}}\'',
        ),
        (
            but_primary(grants=(UNNOTICED,)),
            "Ready",
            "app-rw-x2k4p (node w3) is not proven gone and may still hold 8 of 24 on main-1, where PostgreSQL does "
            "not notice that a client has vanished; once it has ended and has no backend in pg_stat_activity, to "
            "be freed by: kubectl -n shop patch pgbudget main-1 --type=merge "
            '-p \'{"spec":{"release":["app-rw-x2k4p"]}}\'',
        ),
        (
            but_primary(grants=(UNNOTICED, a_grant("app-rw-7f9d4", GrantState.UNKNOWN, reserved=4))),
            "Ready",
            "app-rw-x2k4p (node w3) is not proven gone and may still hold 8 of 24 on main-1, where PostgreSQL does "
            "not notice that a client has vanished; app-rw-7f9d4 (node w3) is not proven gone and may still hold 4 "
            "of 24 on main-1; freed when the kubelet reports them ended, Node w3 is tainted out-of-service, or by: "
            "kubectl -n shop patch pgbudget main-1 --type=merge "
            '-p \'{"spec":{"release":["app-rw-7f9d4","app-rw-x2k4p"]}}\'',
        ),
        (
            but_primary(grants=(COUNTED,)),
            "Ready",
            "app-rw-x2k4p (node w3) has ended and holds 8 of 24 on main-1: PostgreSQL still has 7 backends from "
            "its address (10.0.2.2); freed when there are none any more, or by: kubectl -n shop patch pgbudget "
            'main-1 --type=merge -p \'{"spec":{"release":["app-rw-x2k4p"]}}\'',
        ),
        (
            but_primary(grants=(COUNTED, a_grant("app-rw-7f9d4", GrantState.UNKNOWN, reserved=4))),
            "Ready",
            "app-rw-x2k4p (node w3) has ended and holds 8 of 24 on main-1: PostgreSQL still has 7 backends from "
            "its address (10.0.2.2); app-rw-7f9d4 (node w3) is not proven gone and may still hold 4 of 24 on "
            "main-1; freed when the kubelet reports them ended, Node w3 is tainted out-of-service, or by: "
            "kubectl -n shop patch pgbudget main-1 --type=merge "
            '-p \'{"spec":{"release":["app-rw-7f9d4","app-rw-x2k4p"]}}\'',
        ),
        (LIMITED, "Ready", f"write wants 14 pods, gets 2: {NO_ROOM}"),
        (
            HEALTHY,
            "BudgetSatisfied",
            "main-1: 24 connections (8 CPU by container limit x 3); main-2: 24 connections (8 CPU by container "
            "limit x 3)",
        ),
        (
            but_primary(connections=4, limit=4),
            "BudgetSatisfied",
            "main-1: 4 connections (limit of the PgBudget, less than 8 CPU by container limit x 3); "
            "main-2: 24 connections (8 CPU by container limit x 3)",
        ),
        (
            but_primary(connections=17, limit=20),
            "BudgetSatisfied",
            "main-1: 17 connections (what max_connections leaves, less than 8 CPU by container limit x 3); "
            "main-2: 24 connections (8 CPU by container limit x 3)",
        ),
        (
            STRICTER,
            "BudgetSatisfied",
            "main-1 is shared with shop/batch, whose connectionsPerCpu 2 holds: 16",
        ),
        (
            but(pool=a_pool(paused=True)),
            "Ready",
            "paused: true: clients wait and fail after queueSeconds (120); it stops queries, not the operator",
        ),
        (
            but(DOWN, servers=but_primary(trouble=Trouble("CpuUnknown", "main-1 has no CPU limit")).servers),
            "Ready",
            "no write pod is ready yet: main-1 has no CPU limit",
        ),
        (
            but(DOWN, states=problem("EngineFailed").states),
            "Ready",
            "no write pod is ready yet: tls.server: text (seen by 2 of 2 pods)",
        ),
        (
            problem("GrantRefused"),
            "BudgetSatisfied",
            "tls.server: text (seen by 2 of 2 pods); the operator replaces such a grant: if this stays, see its "
            "log",
        ),
        (
            but(DOWN, states=problem("GrantRefused").states),
            "Ready",
            "no write pod is ready yet: tls.server: text (seen by 2 of 2 pods); the operator replaces such a "
            "grant: if this stays, see its log",
        ),
        (but(read=None), "Ready", "write pods serve clients"),
        (
            but(forbidden="ConfigMap app is not ours: delete it"),
            "Stalled",
            "ConfigMap app is not ours: delete it",
        ),
    ],
)
def test_messages_name_the_field_the_value_and_the_remedy(facts: Facts, name: str, message: str) -> None:
    assert by_type(facts)[name].message == message


def test_a_pool_without_a_clear_password_is_granted_floors_and_says_why() -> None:
    message = by_type(problem("NoClearPassword"))["BudgetSatisfied"].message
    assert message.endswith(
        "text (seen by 2 of 2 pods); until then each pod gets one connection for each database"
    )


def test_different_problems_are_each_told_once_with_the_pods_that_see_them() -> None:
    other = Problem(field="tls.client", text="the Secret has no key tls.crt", reason="CertificateInvalid")
    facts = but(
        states=(
            a_state("app-rw-1", problems=(NO_KEY, other)),
            a_state("app-rw-2", problems=(NO_KEY,)),
            a_state("app-ro-1"),
        )
    )
    config = by_type(facts)["ConfigValid"]
    assert config.reason == "SecretInvalid"
    assert config.message == (
        "auth.userSecrets[0]: Secret main-app has no key password (seen by 2 of 3 pods); tls.client: the Secret "
        "has no key tls.crt (seen by 1 of 3 pods)"
    )


def test_all_eight_are_said_at_the_first_look_each_with_its_generation() -> None:
    said = conditions(NEW)
    assert [condition.type for condition in said] == [
        "Ready",
        "Reconciling",
        "Stalled",
        "ConfigValid",
        "DatabaseReachable",
        "BudgetSatisfied",
        "DatabaseSaturated",
        "ScalingLimited",
    ]
    assert {condition.observed_generation for condition in said} == {8}
    assert {condition.last_transition_time for condition in said} == {NOON}


def test_the_time_is_when_the_status_changed_not_the_reason() -> None:
    later = NOON + timedelta(minutes=5, microseconds=7)
    after = by_type(but(said_before(GROWING), now=later))
    assert after["Ready"].reason == "Scaling"
    assert after["Ready"].last_transition_time == NOON
    assert after["Reconciling"].last_transition_time == NOON + timedelta(minutes=5)


def test_nothing_changes_while_a_pool_is_quiet() -> None:
    later = but(said_before(HEALTHY), now=NOON + timedelta(hours=1))
    assert conditions(later) == conditions(HEALTHY)


def test_no_message_moves_with_the_numbers_of_clients_and_connections() -> None:
    busy = but(
        states=tuple(
            state.model_copy(
                update={
                    "clients": 500,
                    "waiting": 310,
                    "busy_seconds": 99.0,
                    "servers": tuple(
                        view.model_copy(update={"open": 12, "active": 12}) for view in state.servers
                    ),
                }
            )
            for state in HEALTHY.states
        )
    )
    assert conditions(busy) == conditions(HEALTHY)


def next_generation(facts: Facts) -> Facts:
    metadata = facts.pool.metadata.model_copy(update={"generation": 9})
    return but(facts, pool=facts.pool.model_copy(update={"metadata": metadata}))


def test_ready_speaks_of_the_last_generation_until_the_pods_have_judged_the_new_one() -> None:
    judging = next_generation(said_before(but(config_hash="newer")))
    ready = by_type(judging)["Ready"]
    assert (ready.status.value, ready.observed_generation) == ("True", 8)
    assert by_type(judging)["ConfigValid"].observed_generation == 9
    judged = next_generation(
        said_before(but(states=tuple(a_state(s.pod, config_hash=HASH) for s in HEALTHY.states)))
    )
    assert by_type(judged)["Ready"].observed_generation == 9


def test_an_endpoint_that_was_up_before_is_not_starting() -> None:
    status = DOWN.pool.status.model_validate({"write": {"readyReplicas": 2}})
    facts = but(DOWN, pool=DOWN.pool.model_copy(update={"status": status}))
    assert by_type(facts)["Ready"].reason == "PodsNotReady"


def test_every_server_is_looked_at() -> None:
    third = a_server("main-3", REPLICA.role)
    facts = but(
        servers=(*HEALTHY.servers, replace(HEALTHY.servers[1], server=third)),
        states=(*HEALTHY.states, a_state("app-ro-1", a_view(third, False))),
    )
    assert by_type(facts)["DatabaseReachable"].message.startswith(
        "main-3 (10.0.1.3:5432): no answer (seen by 1 of 1"
    )
