"""What a real API server says to good and bad resources."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kubernetes.client import ApiException
from pydantic import BaseModel
from tenacity import Retrying, stop_after_attempt

from pgpool_operator.api import GrantRecord, PgBudgetStatus, parse_pgbudget, parse_pgpool

from .cases import ACCEPTED, MINIMAL, MISTAKES, SESSION_WORDS, Mistake, merged, spec
from .resources import Resources

SERVER = {"cluster": "main", "instance": "main-1"}


def refusal(error: ApiException) -> list[tuple[str, str]]:
    """(field, words) for each cause; a field that is not known stands in the words only."""
    status = json.loads(error.body or "")
    causes = status.get("details", {}).get("causes", [])
    return [(cause.get("field", ""), cause["message"]) for cause in causes] or [("", status["message"])]


def names(cause: tuple[str, str], field: str, words: str) -> bool:
    where, message = cause
    return words in message and (where == field or (where == "" and f'"{field}"' in message))


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_mistake_is_refused_in_words_that_name_the_field(pools: Resources, mistake: Mistake) -> None:
    with pytest.raises(ApiException) as refused:
        pools.try_to_create(mistake.manifest())
    causes = refusal(refused.value)
    assert any(names(cause, mistake.field, mistake.words) for cause in causes), causes


@pytest.mark.parametrize("name", sorted(ACCEPTED))
def test_a_good_pool_is_accepted(pools: Resources, name: str) -> None:
    assert pools.try_to_create(ACCEPTED[name])["spec"]


@pytest.mark.parametrize("name", sorted(ACCEPTED))
def test_the_defaults_of_the_api_server_are_those_of_the_models(pools: Resources, name: str) -> None:
    stored = parse_pgpool(pools.try_to_create(ACCEPTED[name]))
    written = parse_pgpool(merged(ACCEPTED[name], {"metadata": {"namespace": "any"}}))
    assert stored.spec == written.spec


@pytest.fixture
def app(pools: Resources) -> Iterator[str]:
    """A stored PgPool; its name."""
    pools.create(merged(MINIMAL, {"metadata": {"name": "app"}}))
    yield "app"
    pools.delete("app")


@pytest.fixture
def budget(budgets: Resources) -> Iterator[str]:
    """A stored PgBudget, with a limit so that no operator here deletes it; its name."""
    budgets.create({"metadata": {"name": "main-1"}, "spec": {"server": SERVER, "limit": 10}})
    yield "main-1"
    budgets.delete("main-1")


def test_a_new_pool_says_that_nobody_has_looked_at_it(pools: Resources) -> None:
    assert pools.try_to_create(MINIMAL)["status"] == {"observedGeneration": -1}


def test_scale_sets_the_pods_of_the_write_endpoint(pools: Resources, app: str) -> None:
    assert pools.get_scale(app)["spec"]["replicas"] == 2
    pools.scale(app, 5)
    assert pools.get(app)["spec"]["write"]["replicas"] == 5


def test_scale_shows_an_autoscaler_the_pods_of_the_write_endpoint(pools: Resources, app: str) -> None:
    shown = {"replicas": 3, "selector": "pgpool.dev/pool=app"}
    for attempt in Retrying(stop=stop_after_attempt(20), reraise=True):
        with attempt:  # an operator in this cluster may write its own status in between
            pools.merge_status(app, {"write": shown})
            assert pools.get_scale(app)["status"] == shown


def test_scale_keeps_within_the_range_of_replicas(pools: Resources, app: str) -> None:
    with pytest.raises(ApiException) as refused:
        pools.scale(app, 65)
    assert "spec.write.replicas" in str(refused.value.body)


def test_scale_adds_the_write_endpoint_to_a_pool_without_one(pools: Resources, app: str) -> None:
    pools.merge(app, spec(write=None))
    with pytest.raises(ApiException):
        pools.get_scale(app)
    pools.scale(app, 3)
    assert pools.get(app)["spec"]["write"]["replicas"] == 3


LOCKED = (
    "autoscaling is on, so the operator sets the number of pods; remove autoscaling to set replicas by hand or to "
    "let an HPA or KEDA do it"
)
AUTOSCALED = {"autoscaling": {"maxReplicas": 6}}


@pytest.mark.parametrize("scale", [Resources.scale, Resources.replace_scale], ids=["kubectl", "HPA"])
def test_nobody_else_scales_while_autoscaling_is_on(
    pools: Resources, app: str, scale: Callable[[Resources, str, int], None]
) -> None:
    pools.merge(app, spec(write=AUTOSCALED))
    with pytest.raises(ApiException) as refused:
        scale(pools, app, 5)
    assert any(names(cause, "spec.write", LOCKED) for cause in refusal(refused.value)), refused.value.body
    assert pools.get(app)["spec"]["write"]["replicas"] == 2


@pytest.mark.parametrize("scale", [Resources.scale, Resources.replace_scale], ids=["kubectl", "HPA"])
def test_others_scale_again_when_autoscaling_is_off(
    pools: Resources, app: str, scale: Callable[[Resources, str, int], None]
) -> None:
    pools.merge(app, spec(write=AUTOSCALED))
    pools.merge(app, spec(write={"autoscaling": None}))
    scale(pools, app, 5)
    assert pools.get(app)["spec"]["write"]["replicas"] == 5


def test_replicas_cannot_be_edited_while_autoscaling_is_on(pools: Resources, app: str) -> None:
    pools.merge(app, spec(write=AUTOSCALED))
    with pytest.raises(ApiException) as refused:
        pools.merge(app, spec(write={"replicas": 5}))
    assert any(names(cause, "spec.write", LOCKED) for cause in refusal(refused.value)), refused.value.body


def test_autoscaling_itself_can_be_edited_while_it_is_on(pools: Resources, app: str) -> None:
    pools.merge(app, spec(write=AUTOSCALED))
    stored = pools.merge(app, spec(write={"autoscaling": {"minReplicas": 3, "maxReplicas": 9}}))
    assert stored["spec"]["write"]["autoscaling"] == {"minReplicas": 3, "maxReplicas": 9}


def test_one_edit_switches_autoscaling_off_and_sets_replicas(pools: Resources, app: str) -> None:
    pools.merge(app, spec(write=AUTOSCALED))
    pools.merge(app, spec(write={"autoscaling": None, "replicas": 5}))
    assert pools.get(app)["spec"]["write"]["replicas"] == 5


def applied(pools: Resources, name: str, write: dict[str, Any]) -> Any:
    """The write endpoint after `write` was applied."""
    return pools.apply(merged(MINIMAL, {"metadata": {"name": name}, "spec": {"write": write}}))["spec"][
        "write"
    ]


def test_applying_autoscaling_and_taking_it_away_brings_back_the_number_that_scale_set(
    pools: Resources, app: str
) -> None:
    applied(pools, app, {})
    pools.scale(app, 5)
    assert applied(pools, app, AUTOSCALED)["autoscaling"] == {"minReplicas": 2, "maxReplicas": 6}
    after = applied(pools, app, {})
    assert "autoscaling" not in after
    assert after["replicas"] == 5


@pytest.mark.parametrize("while_on", [AUTOSCALED, AUTOSCALED | {"replicas": 5}], ids=["left out", "kept"])
def test_applying_autoscaling_and_taking_it_away_brings_back_the_number_that_was_applied(
    pools: Resources, app: str, while_on: dict[str, Any]
) -> None:
    for write in ({"replicas": 5}, while_on, {"replicas": 5}):
        after = applied(pools, app, write)
    assert "autoscaling" not in after
    assert after["replicas"] == 5


def test_autoscaling_stores_no_more_than_was_written_but_the_least_number(pools: Resources) -> None:
    stored = pools.try_to_create(ACCEPTED["autoscaling of both endpoints"])["spec"]
    assert stored["write"]["autoscaling"] == {"minReplicas": 2, "maxReplicas": 6}
    assert stored["read"]["autoscaling"] == {"maxReplicas": 6}


@pytest.mark.parametrize("endpoint", ["write", "read"])
def test_a_pool_with_autoscaling_does_not_change_to_session_mode(
    pools: Resources, app: str, endpoint: str
) -> None:
    pools.merge(app, spec(**{endpoint: AUTOSCALED}))
    with pytest.raises(ApiException) as refused:
        pools.merge(app, spec(poolMode="session"))
    assert any(names(cause, "spec", SESSION_WORDS) for cause in refusal(refused.value)), refused.value.body


@pytest.mark.parametrize("endpoint", ["write", "read"])
def test_a_pool_in_session_mode_does_not_get_autoscaling(pools: Resources, app: str, endpoint: str) -> None:
    pools.merge(app, spec(poolMode="session"))
    with pytest.raises(ApiException) as refused:
        pools.merge(app, spec(**{endpoint: AUTOSCALED}))
    assert any(names(cause, "spec", SESSION_WORDS) for cause in refusal(refused.value)), refused.value.body


@pytest.mark.parametrize("write", [{}, {"service": {"port": 6432}}])
def test_applying_a_pool_without_replicas_keeps_the_number_that_scale_set(
    pools: Resources, app: str, write: dict[str, Any]
) -> None:
    pools.apply(merged(MINIMAL, {"metadata": {"name": app}, "spec": {"write": write}}))
    pools.scale(app, 5)
    pools.apply(merged(MINIMAL, {"metadata": {"name": app}}))
    assert pools.get(app)["spec"]["write"]["replicas"] == 5


def test_a_change_is_checked_like_a_new_pool(pools: Resources, app: str) -> None:
    with pytest.raises(ApiException) as refused:
        pools.merge(app, spec(write=None, read=None))
    assert "set write, read or both" in str(refused.value.body)


def test_a_whole_pool_status_can_be_stored_and_read_back(pools: Resources, app: str) -> None:
    endpoint = {
        "replicas": 3,
        "readyReplicas": 2,
        "desiredReplicas": 3,
        "selector": "a=b",
        "service": "app-rw.shop.svc:5432",
        "lastScaleTime": "2026-11-20T10:00:00Z",
        "scalingReason": "PoolerBusy",
    }
    server = {
        "name": "main-1",
        "role": "primary",
        "address": "10.0.1.7:5432",
        "budget": "main-1",
        "connections": 24,
        "granted": 12,
    }
    status = {
        "observedGeneration": 1,
        "conditions": [condition("Ready", "Serving")],
        "write": endpoint,
        "read": endpoint,
        "servers": [server],
        "configHash": "0123456789abcdef",
        "summary": {"write": "2/3", "read": "2/3", "budget": "12/24", "endpoint": "app-rw.shop.svc:5432"},
    }
    stored = pools.try_status(app, status)
    assert stored["status"] == status
    assert parse_pgpool(stored).status.model_dump(mode="json", exclude_none=True) == status


def test_kubectl_shows_the_state_of_a_pool(pools: Resources, app: str) -> None:
    summary = {"write": "2/3", "read": "2/2", "budget": "12/24", "endpoint": "app-rw.shop.svc:5432"}
    status = {"conditions": [condition("Ready", "Scaling")], "summary": summary}
    columns = pools.try_columns(app, status)
    assert columns.pop("Age")
    assert columns == {
        "Name": app,
        "Ready": "True",
        "Reason": "Scaling",
        "Write": "2/3",
        "Read": "2/2",
        "Budget": "12/24",
        "Endpoint": "app-rw.shop.svc:5432",
        "Mode": "transaction",
        "Message": "all is well",
    }


def test_kubectl_shows_the_state_of_a_ledger(budgets: Resources, budget: str) -> None:
    status = {
        "address": "10.0.1.7:5432",
        "role": "primary",
        "cpu": "8",
        "cpuSource": "ContainerLimit",
        "connections": 24,
        "reserved": 12,
        "unknown": 4,
        "conditions": [condition("Ready", "InUse")],
    }
    columns = budgets.try_columns(budget, status)
    assert columns.pop("Age")
    assert columns == {
        "Name": budget,
        "Role": "primary",
        "CPU": "8",
        "Source": "ContainerLimit",
        "Budget": 24,
        "Reserved": 12,
        "Unknown": 4,
        "Ready": "True",
        "Reason": "InUse",
        "Address": "10.0.1.7:5432",
        "Message": "all is well",
    }


def left_out(model: type[BaseModel], written: dict[str, Any]) -> set[str | None]:
    """The fields of the model that are not among those written."""
    return {field.alias for field in model.model_fields.values()} - written.keys()


def test_a_whole_ledger_can_be_stored_and_read_back(budgets: Resources, budget: str) -> None:
    grant = {
        "uid": "5f0c",
        "pod": "app-rw-6d4f-x2k4p",
        "pool": "shop/app",
        "endpoint": "write",
        "node": "w3",
        "nodeUid": "8d1e",
        "addresses": ["10.0.2.9"],
        "graceSeconds": 75.0,
        "overdue": True,
        "direct": True,
        "detectsDeadClients": True,
        "assumedToDetect": False,
        "backends": 3,
        "cap": 12,
        "reserved": 12,
        "generation": 4,
        "state": "Active",
        "since": "2026-11-20T10:00:00Z",
    }
    status = {
        "observedGeneration": 1,
        "address": "10.0.1.7:5432",
        "role": "primary",
        "reached": True,
        "version": "17.6",
        "maxConnections": 100,
        "serverReservedConnections": 3,
        "startedAt": "2026-11-20T10:00:00Z",
        "servers": [{"address": "10.0.1.7", "port": 5432, "startedAt": "2026-11-20T10:00:00.123456Z"}],
        "aliases": ["bank/10.0.1.7-5432"],
        "cpu": "8",
        "cpuSource": "ContainerLimit",
        "connectionsPerCpu": 3,
        "setBy": "shop/app",
        "reservedConnections": 10,
        "connections": 24,
        "reserved": 12,
        "unknown": 0,
        "recovering": False,
        "seal": "0123456789abcdef",
        "freed": ["77aa"],
        "pools": ["shop/app"],
        "grants": [grant],
        "conditions": [condition("Ready", "InUse")],
    }
    assert not left_out(PgBudgetStatus, status) | left_out(GrantRecord, grant)
    stored = budgets.try_status(budget, status)
    assert stored["status"] == status
    assert parse_pgbudget(stored).status.model_dump(mode="json", exclude_none=True) == status


def test_one_pod_cannot_stand_in_a_ledger_twice(budgets: Resources, budget: str) -> None:
    grant = {
        "uid": "5f0c",
        "pod": "p",
        "pool": "shop/app",
        "endpoint": "write",
        "cap": 1,
        "reserved": 1,
        "generation": 1,
        "state": "Gated",
        "since": "2026-11-20T10:00:00Z",
    }
    with pytest.raises(ApiException) as refused:
        budgets.try_status(budget, {"grants": [grant, grant]})
    assert "Duplicate value" in str(refused.value.body)


@pytest.mark.parametrize(
    "change", [{"instance": "main-2"}, {"port": 5433}, {"cluster": None, "instance": None, "host": "db1"}]
)
def test_a_ledger_stays_with_its_server(budgets: Resources, budget: str, change: dict[str, Any]) -> None:
    with pytest.raises(ApiException) as refused:
        budgets.merge(budget, {"spec": {"server": change}})
    (cause,) = refusal(refused.value)
    assert names(cause, "spec.server", "server cannot be changed: a ledger belongs to one server"), cause


def test_an_administrator_can_limit_share_and_release(budgets: Resources, budget: str) -> None:
    settings = {
        "limit": 20,
        "allowedNamespaces": [f"team-{number}" for number in range(64)],
        "release": ["app-rw-6d4f-x2k4p", "team-1/app-rw-6d4f-x2k4p"],
    }
    assert budgets.merge(budget, {"spec": settings})["spec"].items() >= settings.items()


@pytest.mark.parametrize(
    ("patch", "field", "words"),
    [
        ({"server": None}, "spec.server", "Required value"),
        ({"server": {"instance": None}}, "spec.server", "set cluster and instance, or host"),
        ({"server": {"host": "db1"}}, "spec.server", "set cluster and instance, or host"),
        ({"limit": 0}, "spec.limit", "greater than or equal to 1"),
        ({"limits": 5}, "spec.limits", "unknown field"),
        ({"allowedNamespaces": ["*"]}, "spec.allowedNamespaces[0]", "should match"),
        ({"allowedNamespaces": ["a", "a"]}, "spec.allowedNamespaces[1]", "Duplicate value"),
        (
            {"allowedNamespaces": [f"team-{number}" for number in range(65)]},
            "spec.allowedNamespaces",
            "must have at most 64 items",
        ),
    ],
)
def test_a_wrong_budget_is_refused(budgets: Resources, patch: dict[str, Any], field: str, words: str) -> None:
    manifest = {"metadata": {"name": "main-1"}, "spec": merged({"server": SERVER}, patch)}
    with pytest.raises(ApiException) as refused:
        budgets.try_to_create(manifest)
    causes = refusal(refused.value)
    assert any(names(cause, field, words) for cause in causes), causes


def condition(kind: str, reason: str) -> dict[str, Any]:
    return {
        "type": kind,
        "status": "True",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-11-20T10:00:00Z",
        "reason": reason,
        "message": "all is well",
    }
