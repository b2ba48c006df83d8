from dataclasses import replace
from datetime import timedelta

import pytest

from pgpool_operator.api import GrantState
from pgpool_operator.status import Event, LedgerFacts, budget_events, pgbudget_conditions
from tests.unit.status.example import BOTH, NOON, a_grant

QUIET = LedgerFacts(
    name="main-1", namespace="shop", server="main-1", generation=2, now=NOON, connections=24, grants=BOTH
)
HELD = replace(QUIET, grants=(*BOTH, a_grant("app-rw-x2k4p", GrantState.UNKNOWN, 8)))


@pytest.mark.parametrize(
    ("facts", "status", "reason"),
    [
        (QUIET, "True", "InUse"),
        (replace(QUIET, moving=True), "True", "Moving"),
        (HELD, "True", "BudgetHeld"),
        (replace(HELD, moving=True), "True", "BudgetHeld"),
        (replace(HELD, recovering="app-rw-1"), "False", "LedgerRecovering"),
        (replace(QUIET, cpu_problem="no limit", recovering="app-rw-1"), "False", "CpuUnknown"),
        (replace(QUIET, alias_of="10.0.0.5-5432", cpu_problem="no limit"), "False", "ServerAliased"),
        (replace(QUIET, answers_as=3, alias_of="10.0.0.5-5432"), "False", "ManyServers"),
    ],
)
def test_ready(facts: LedgerFacts, status: str, reason: str) -> None:
    ready = pgbudget_conditions(facts, ())[0]
    assert (ready.type, ready.status.value, ready.reason) == ("Ready", status, reason)


@pytest.mark.parametrize(
    ("facts", "status", "reason"),
    [(QUIET, "False", "Settled"), (replace(QUIET, lowered_to=12), "True", "BudgetLowered")],
)
def test_draining(facts: LedgerFacts, status: str, reason: str) -> None:
    draining = pgbudget_conditions(facts, ())[1]
    assert (draining.type, draining.status.value, draining.reason) == ("Draining", status, reason)


@pytest.mark.parametrize(
    ("facts", "status", "reason"), [(QUIET, "False", "NothingHeld"), (HELD, "True", "UnknownPods")]
)
def test_held(facts: LedgerFacts, status: str, reason: str) -> None:
    held = pgbudget_conditions(facts, ())[2]
    assert (held.type, held.status.value, held.reason) == ("Held", status, reason)


def test_messages_name_the_pods_and_the_remedy() -> None:
    ready, _, held = pgbudget_conditions(HELD, ())
    assert ready.message == held.message
    assert "app-rw-x2k4p (node w3)" in held.message
    assert "8 of 24 on main-1" in held.message
    assert '{"spec":{"release":["app-rw-x2k4p"]}}' in held.message


def test_the_remedy_names_the_namespaces_where_they_differ() -> None:
    """Several namespaces may have a pod of one name, and not all of them have the PgBudget."""
    _, _, held = pgbudget_conditions(replace(HELD, namespace="databases"), ())
    assert "kubectl -n databases patch pgbudget main-1" in held.message
    assert held.message.startswith("shop/app-rw-x2k4p (node w3)")
    assert '{"spec":{"release":["shop/app-rw-x2k4p"]}}' in held.message


def test_one_command_releases_all_that_are_held_and_keeps_who_was_released_before() -> None:
    """A merge patch replaces the whole list: two commands would undo each other."""
    other = a_grant("app-rw-9hf2s", GrantState.UNKNOWN, 8)
    facts = replace(HELD, grants=(*HELD.grants, other), released=("batch-rw-q7d2m",))
    _, _, held = pgbudget_conditions(facts, ())
    assert held.message.count("patch pgbudget") == 1
    assert '{"spec":{"release":["app-rw-9hf2s","app-rw-x2k4p","batch-rw-q7d2m"]}}' in held.message


def test_nothing_changes_while_a_ledger_is_quiet() -> None:
    said = pgbudget_conditions(QUIET, ())
    assert pgbudget_conditions(replace(QUIET, now=NOON + timedelta(hours=1)), said) == said


def test_events_are_posted_when_trouble_begins_and_ends() -> None:
    quiet, held = pgbudget_conditions(QUIET, ()), pgbudget_conditions(HELD, ())
    lowered = pgbudget_conditions(replace(QUIET, lowered_to=12), ())
    aliased = pgbudget_conditions(replace(QUIET, alias_of="db2-5432"), ())
    by_type = {said.type: said for said in quiet}
    assert budget_events({}, quiet) == ()
    assert budget_events(by_type, quiet) == ()
    assert budget_events(by_type, held) == (Event("Warning", "UnknownPods", held[2].message),)
    assert budget_events(by_type, lowered) == (Event("Normal", "BudgetLowered", lowered[1].message),)
    assert budget_events(by_type, aliased) == (Event("Warning", "ServerAliased", aliased[0].message),)
    assert budget_events({said.type: said for said in held}, quiet) == (
        Event("Normal", "NothingHeld", quiet[2].message),
    )
