from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from pgpool_operator.api import (
    InvalidResourceError,
    PgPoolStatus,
    ServerRole,
    Timeouts,
    parse_pgbudget,
    parse_pgpool,
)
from pgpool_operator.budget.death import HOLD_INFERRED_SECONDS
from pgpool_pooler.contract import PoolMode
from pgpool_pooler.contract import Timeouts as WireTimeouts
from pgpool_pooler.engines.pgbouncer.config import KEEPALIVE_INTERVAL, UNHEARD_SECONDS

MINIMAL: dict[str, Any] = {
    "apiVersion": "pgpool.dev/v1alpha1",
    "kind": "PgPool",
    "metadata": {"name": "app", "namespace": "shop", "uid": "u1", "generation": 3},
    "spec": {
        "database": {"cluster": {"provider": "patroni", "name": "main"}},
        "databases": [{"name": "app"}],
        "auth": {"userSecrets": [{"name": "main-app"}]},
        "write": {},
        "read": {},
    },
}

BUDGET: dict[str, Any] = {
    "metadata": {"name": "main-1", "namespace": "shop"},
    "spec": {"server": {"cluster": "main", "instance": "main-1"}},
    "status": {
        "cpu": "8",
        "connections": 24,
        "grants": [
            {
                "uid": "5f0c",
                "pod": "app-rw-x",
                "pool": "shop/app",
                "endpoint": "write",
                "addresses": ["10.0.2.9"],
                "cap": 12,
                "reserved": 12,
                "generation": 4,
                "state": "Active",
                "since": "2026-11-20T10:00:00Z",
            }
        ],
    },
}


def changed(base: dict[str, Any], *path: str | int, to: Any) -> dict[str, Any]:
    copy = deepcopy(base)
    node: Any = copy
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = to
    return copy


def test_a_minimal_pool_gets_the_defaults_of_the_design() -> None:
    pool = parse_pgpool(MINIMAL)
    assert pool.metadata.generation == 3
    assert pool.spec.pool_mode is PoolMode.TRANSACTION
    assert pool.spec.budget.connections_per_cpu == 3
    assert pool.spec.budget.reserved_connections == 10
    assert pool.spec.write is not None
    assert pool.spec.write.replicas == 2
    assert pool.spec.read is not None
    assert pool.spec.read.replicas is None
    assert pool.spec.read.target_session_attrs == "prefer-standby"
    assert pool.spec.pods.resources.limits == {"memory": "256Mi"}
    assert pool.status.observed_generation == -1


def test_an_endpoint_exists_only_when_its_block_does() -> None:
    spec = {key: value for key, value in MINIMAL["spec"].items() if key != "read"}
    assert parse_pgpool(MINIMAL | {"spec": spec}).spec.read is None


def test_cpus_are_exact_numbers_however_they_are_written() -> None:
    servers = [{"host": "db1", "cpu": "1500m"}, {"host": "db2", "role": "replica", "cpu": 16}]
    database = parse_pgpool(changed(MINIMAL, "spec", "database", to={"servers": servers})).spec.database
    assert database.cluster is None
    assert database.servers is not None
    assert [server.cpu for server in database.servers] == [Decimal("1.5"), Decimal(16)]
    assert [server.role for server in database.servers] == [ServerRole.PRIMARY, ServerRole.REPLICA]


def test_fields_of_a_newer_release_are_ignored() -> None:
    newer = changed(MINIMAL, "spec", "write", to={"replicas": 4, "schedule": {"replicas": 8}})
    assert (
        parse_pgpool(newer).spec.write
        == parse_pgpool(changed(MINIMAL, "spec", "write", to={"replicas": 4})).spec.write
    )


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("spec", "poolMode"), "tx", "PgPool shop/app: spec.poolMode: Input should be 'session'"),
        (("spec", "databases"), [{"dbname": "x"}], "spec.databases[0].name: Field required"),
        (("spec", "budget"), {"cpu": "many"}, 'spec.budget.cpu: Value error, "many" is not a number of CPUs'),
        (
            ("spec", "database", "cluster", "provider"),
            "cnpg",
            "spec.database.cluster.provider: Input should be",
        ),
    ],
)
def test_an_object_that_cannot_be_read_is_refused_with_the_path_of_each_field(
    path: tuple[str, ...], value: Any, words: str
) -> None:
    with pytest.raises(InvalidResourceError) as refusal:
        parse_pgpool(changed(MINIMAL, *path, to=value))
    assert words in str(refusal.value)


def test_all_mistakes_are_reported_at_once() -> None:
    twice_wrong = changed(changed(MINIMAL, "spec", "poolMode", to="tx"), "spec", "engine", to="odyssey")
    with pytest.raises(InvalidResourceError, match=r"spec\.engine: .*; spec\.poolMode: "):
        parse_pgpool(twice_wrong)


def test_a_resource_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        parse_pgpool(MINIMAL).spec.write.replicas = 9  # type: ignore[misc, union-attr]


def test_a_ledger_reads_back_as_it_was_written() -> None:
    budget = parse_pgbudget(BUDGET)
    (grant,) = budget.status.grants
    assert (grant.reserved, grant.state, grant.addresses) == (12, "Active", ("10.0.2.9",))
    assert budget.status.cpu == 8
    written = budget.status.model_dump(mode="json", exclude_none=True)
    assert written["cpu"] == "8"
    assert "detectsDeadClients" not in written["grants"][0], "its pod has not read that yet"
    assert parse_pgbudget(BUDGET | {"status": written}) == budget


def test_a_status_is_written_in_camel_case() -> None:
    assert PgPoolStatus(observed_generation=4, config_hash="abc").model_dump(
        mode="json", exclude_defaults=True
    ) == {
        "observedGeneration": 4,
        "configHash": "abc",
    }


def test_the_timeouts_of_the_spec_are_those_that_the_pods_understand() -> None:
    assert WireTimeouts.model_validate(Timeouts().model_dump()) == WireTimeouts()
    assert set(WireTimeouts.model_fields) == set(Timeouts.model_fields)


def test_no_pool_may_give_up_a_silent_connection_before_postgresql_has() -> None:
    noticed = UNHEARD_SECONDS + KEEPALIVE_INTERVAL
    assert noticed < HOLD_INFERRED_SECONDS
    Timeouts(dead_peer_seconds=25)
    with pytest.raises(ValidationError):
        Timeouts(dead_peer_seconds=noticed)
