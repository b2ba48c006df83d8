from dataclasses import replace

import pytest

from pgpool_operator.api import GrantState
from pgpool_operator.discovery import Discovery, DiscoveryProblem
from pgpool_operator.status import Event, Facts, Trouble, conditions, events
from pgpool_pooler.contract import Problem
from tests.unit.status.example import (
    HEALTHY,
    PRIMARY,
    TWO,
    a_grant,
    a_pool,
    a_state,
    a_view,
    but,
    but_primary,
    said_before,
)

REFUSED = but(
    states=(a_state("app-rw-1", problems=(Problem(field="grant", text="older", reason="GrantRefused"),)),)
)


def posted(facts: Facts) -> list[Event]:
    return list(events(facts, conditions(facts)))


def reasons(facts: Facts) -> list[tuple[str, str]]:
    return [(event.kind, event.reason) for event in posted(facts)]


def test_a_quiet_pool_has_no_events() -> None:
    assert posted(said_before(HEALTHY)) == []


def test_a_new_pool_that_serves_says_what_it_was_granted() -> None:
    assert posted(HEALTHY) == [
        Event("Normal", "Serving", "write 2/2, read 2/2 pods"),
        Event(
            "Normal",
            "Granted",
            "main-1: 24 connections (8 CPU by container limit x 3); main-2: 24 connections (8 CPU by container "
            "limit x 3); 12 + 12 of main-1 to 2 pods; 12 + 12 of main-2 to 2 pods",
        ),
    ]


def test_one_pod_is_not_several() -> None:
    first, *_ = HEALTHY.servers
    alone = but(HEALTHY, servers=(replace(first, grants=first.grants[:1]),))
    assert posted(alone)[-1].message.endswith("12 of main-1 to 1 pod")


def test_the_same_reason_with_another_message_is_no_event() -> None:
    growing = but(
        said_before(HEALTHY, Ready="Scaling"), write=replace(TWO, fit=5, pods=5, ready=4, updated=5)
    )
    assert ("Normal", "Scaling") not in reasons(growing)


INVALID = but(
    states=(a_state("app-rw-1", problems=(Problem(field="auth", text="no", reason="SecretInvalid"),)),)
)
HELD = but_primary(grants=(a_grant("app-rw-x2k4p", GrantState.UNKNOWN, 8),))


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (INVALID, ("Warning", "InvalidConfig")),
        (but(states=(a_state("a", a_view(PRIMARY, False)),)), ("Warning", "DatabaseUnreachable")),
        (
            but(discovery=Discovery((), DiscoveryProblem("NoPrimary", "none"))),
            ("Warning", "DatabaseUnreachable"),
        ),
        (HELD, ("Warning", "BudgetHeld")),
        (REFUSED, ("Warning", "GrantRefused")),
        (but_primary(trouble=Trouble("ServerClaimed", "theirs")), ("Warning", "ServerClaimed")),
        (but_primary(lowering=True), ("Normal", "BudgetDraining")),
        (but(write=replace(TWO, wanted=9, why="no room")), ("Warning", "ScalingLimited")),
        (but(forbidden="create services"), ("Warning", "Forbidden")),
        (but(pool=a_pool(paused=True)), ("Normal", "Paused")),
        (but(write=replace(TWO, pods=3, updated=1)), ("Normal", "RollingOut")),
        (but(write=replace(TWO, fit=3)), ("Normal", "Scaling")),
    ],
)
def test_what_begins_is_an_event(facts: Facts, expected: tuple[str, str]) -> None:
    assert expected in reasons(said_before(facts))


def test_each_trouble_is_told_once() -> None:
    assert reasons(said_before(INVALID)) == [("Warning", "InvalidConfig")]
    assert reasons(said_before(HELD)) == [("Warning", "BudgetHeld")]


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ({"ConfigValid": "!SecretInvalid"}, ("Normal", "Accepted")),
        ({"DatabaseReachable": "!Unreachable"}, ("Normal", "Connected")),
        ({"BudgetSatisfied": "!BudgetHeld"}, ("Normal", "Granted")),
        ({"Ready": "!PodsNotReady"}, ("Normal", "Serving")),
        ({"Reconciling": "SwitchingOver"}, ("Normal", "SwitchedOver")),
    ],
)
def test_what_ends_is_an_event(before: dict[str, str], expected: tuple[str, str]) -> None:
    assert reasons(said_before(HEALTHY, **before)) == [expected]


def test_a_switchover_ends_with_the_name_of_the_primary() -> None:
    [event] = posted(said_before(HEALTHY, Reconciling="SwitchingOver"))
    assert event.message == "the primary is main-1 (10.0.1.1:5432) now"


def test_pods_that_fail_are_a_warning() -> None:
    status = HEALTHY.pool.status.model_validate({"write": {"readyReplicas": 2}})
    facts = but(pool=HEALTHY.pool.model_copy(update={"status": status}), write=replace(TWO, ready=0))
    assert ("Warning", "PodsNotReady") in reasons(facts)
