import re
from fractions import Fraction
from typing import Any

import pytest

from pgpool_operator.api import BudgetServer, CpuSource, PgPool, ServerRole, parse_pgpool
from pgpool_operator.discovery import Discovery, DiscoveryProblem, discover, ledger_name

Object = dict[str, Any]
NODES: dict[str, Object] = {"w1": {"status": {"allocatable": {"cpu": "63500m"}}}}


def pool(database: Object | None = None, **spec: Any) -> PgPool:
    cluster = {"cluster": {"provider": "patroni", "name": "main"}}
    base = {
        "database": database or cluster,
        "databases": [{"name": "app"}],
        "auth": {"userSecrets": [{"name": "main-app"}]},
        "write": {},
    }
    metadata = {"name": "app", "namespace": "shop", "uid": "u1"}
    return parse_pgpool({"metadata": metadata, "spec": base | spec})


def pod(name: str, role: str | None, *, ready: bool = True, resources: Object | None = None) -> Object:
    labels = {"cluster-name": "main"} | ({} if role is None else {"role": role})
    return {
        "metadata": {"name": name, "namespace": "shop", "labels": labels},
        "spec": {"nodeName": "w1", "containers": [{"name": "db", "resources": resources or {}}]},
        "status": {
            "phase": "Running",
            "podIP": f"10.0.1.{name[-1]}",
            "conditions": [{"type": "Ready", "status": str(ready)}],
        },
    }


PODS = [pod("main-2", "replica"), pod("main-1", "primary"), pod("main-3", "replica")]


def found(*pods: Object, of: PgPool | None = None, nodes: dict[str, Object] | None = None) -> Discovery:
    return discover(of or pool(), pods, NODES if nodes is None else nodes)


def roles(discovery: Discovery) -> dict[str, str]:
    return {server.name: server.role.value for server in discovery.servers}


def problem(discovery: Discovery) -> DiscoveryProblem:
    assert discovery.problem is not None
    return discovery.problem


def test_servers_of_a_cluster_are_its_pods_by_their_role_label() -> None:
    discovery = found(*PODS)
    assert roles(discovery) == {"main-1": "primary", "main-2": "replica", "main-3": "replica"}
    assert discovery.problem is None
    [primary, *_] = discovery.servers
    assert discovery.primary is primary
    assert (primary.host, primary.port, primary.node) == ("10.0.1.1", 5432, "w1")
    assert primary.ref == BudgetServer(cluster="main", instance="main-1", port=5432)


@pytest.mark.parametrize(
    ("label", "role"),
    [
        ("master", ServerRole.PRIMARY),
        ("primary", ServerRole.PRIMARY),
        ("replica", ServerRole.REPLICA),
        ("standby_leader", ServerRole.REPLICA),
    ],
)
def test_the_role_label_is_patronis_of_all_versions(label: str, role: ServerRole) -> None:
    assert [server.role for server in found(pod("main-1", label)).servers] == [role]


@pytest.mark.parametrize("label", [None, "demoted", "uninitialized"])
def test_a_server_that_starts_or_changes_its_role_is_none_yet(label: str | None) -> None:
    assert roles(found(*PODS[:2], pod("main-3", label))) == {"main-1": "primary", "main-2": "replica"}


def ends(obj: Object) -> None:
    obj["metadata"]["deletionTimestamp"] = "2026-11-24T10:00:00Z"


def has_failed(obj: Object) -> None:
    obj["status"]["phase"] = "Failed"


def has_no_address(obj: Object) -> None:
    del obj["status"]["podIP"]


def has_no_status(obj: Object) -> None:
    del obj["status"]


@pytest.mark.parametrize("change", [ends, has_failed, has_no_address, has_no_status])
def test_a_pod_that_ends_or_does_not_run_is_no_server(change: Any) -> None:
    third = pod("main-3", "replica")
    change(third)
    assert roles(found(*PODS[:2], third)) == {"main-1": "primary", "main-2": "replica"}


def test_pods_are_found_by_the_labels_of_the_spec() -> None:
    database = {
        "cluster": {"provider": "patroni", "name": "main", "matchLabels": {"app": "pg"}, "port": 5433}
    }
    other = pod("other-1", "primary")
    other["metadata"]["labels"]["app"] = "pg"
    discovery = found(*PODS, other, of=pool(database))
    assert roles(discovery) == {"other-1": "primary"}
    assert discovery.servers[0].port == 5433


def test_a_cluster_without_pods_is_not_found_and_the_labels_are_named() -> None:
    discovery = found(
        {"metadata": {"name": "web-1", "labels": {"app": "web"}}}, {"metadata": {"name": "bare"}}
    )
    assert discovery.servers == ()
    assert problem(discovery).reason == "DatabaseNotFound"
    assert problem(discovery).message == (
        "database.cluster: no pod in shop has the labels cluster-name=main: correct name or matchLabels, or "
        "create the database"
    )


def test_a_cluster_without_a_primary_says_what_its_pods_say() -> None:
    discovery = found(pod("main-2", "replica"), pod("main-3", None))
    assert roles(discovery) == {"main-2": "replica"}
    assert problem(discovery).reason == "NoPrimary"
    assert "its running pods say main-2 replica, main-3 no role" in problem(discovery).message


def test_a_cluster_of_which_no_pod_runs_has_no_primary() -> None:
    down = pod("main-1", "primary")
    ends(down)
    assert problem(found(down)).reason == "NoPrimary"
    assert "none of its pods runs" in problem(found(down)).message


def test_a_pool_that_only_reads_needs_no_primary() -> None:
    assert found(pod("main-2", "replica"), of=pool(write=None, read={})).problem is None


def test_of_two_pods_that_say_primary_the_one_that_alone_is_ready_is_it() -> None:
    discovery = found(pod("main-1", "primary", ready=False), pod("main-2", "primary"))
    assert roles(discovery) == {"main-2": "primary"}
    assert discovery.problem is None


def test_a_single_primary_is_believed_although_it_is_not_ready() -> None:
    assert roles(found(pod("main-1", "primary", ready=False))) == {"main-1": "primary"}


def test_two_ready_pods_that_say_primary_are_none() -> None:
    discovery = found(pod("main-1", "primary"), pod("main-2", "primary"), pod("main-3", "replica"))
    assert roles(discovery) == {"main-3": "replica"}
    assert problem(discovery).reason == "NoPrimary"
    assert "main-1 primary, main-2 primary" in problem(discovery).message


BOTH = {"requests": {"cpu": "2"}, "limits": {"cpu": "4500m"}}


@pytest.mark.parametrize(
    ("budget", "resources", "cpu", "source"),
    [
        ({"cpu": "8"}, BOTH, Fraction(8), CpuSource.SPEC),
        ({}, BOTH, Fraction(9, 2), CpuSource.CONTAINER_LIMIT),
        ({}, {"requests": {"cpu": "2"}}, Fraction(2), CpuSource.CONTAINER_REQUEST),
        ({}, {"limits": {"memory": "1Gi"}}, Fraction(127, 2), CpuSource.NODE_ALLOCATABLE),
        ({}, {"requests": {"cpu": "0"}}, Fraction(127, 2), CpuSource.NODE_ALLOCATABLE),
    ],
)
def test_cpu_is_the_budgets_else_the_limit_else_the_request_else_the_nodes(
    budget: Object, resources: Object, cpu: Fraction, source: CpuSource
) -> None:
    [server] = found(pod("main-1", "primary", resources=resources), of=pool(budget=budget)).servers
    assert (server.cpu, server.cpu_source, server.cpu_problem) == (cpu, source, "")


def test_cpu_is_unknown_where_nothing_says_it_and_nodes_cannot_be_seen() -> None:
    [server] = found(pod("main-1", "primary"), nodes={}).servers
    assert (server.cpu, server.cpu_source) == (None, None)
    assert "container db of pod main-1 has no CPU limit or request" in server.cpu_problem


def with_sidecar() -> Object:
    two = pod("main-1", "primary", resources=BOTH)
    two["spec"]["containers"].append({"name": "exporter", "resources": {"limits": {"cpu": "1"}}})
    return two


def test_with_several_containers_the_databases_must_be_named_rather_than_guessed() -> None:
    [server] = found(with_sidecar()).servers
    assert server.cpu is None
    assert "several containers (db, exporter): name the database's" in server.cpu_problem


@pytest.mark.parametrize(("container", "cpu"), [("db", Fraction(9, 2)), ("exporter", Fraction(1))])
def test_the_container_of_the_spec_counts(container: str, cpu: Fraction) -> None:
    database = {"cluster": {"provider": "patroni", "name": "main", "container": container}}
    assert found(with_sidecar(), of=pool(database)).servers[0].cpu == cpu


def test_a_container_that_is_not_there_is_named_with_those_that_are() -> None:
    database = {"cluster": {"provider": "patroni", "name": "main", "container": "postgres"}}
    [server] = found(with_sidecar(), of=pool(database)).servers
    assert server.cpu is None
    assert "has no container postgres, only db, exporter" in server.cpu_problem


def test_servers_outside_are_those_of_the_spec() -> None:
    servers = [
        {"host": "db1.example.com", "cpu": 16},
        {"host": "db2.example.com", "port": 6000, "role": "replica"},
    ]
    discovery = found(of=pool({"servers": servers}, budget={}))
    assert roles(discovery) == {"db1.example.com-5432": "primary", "db2.example.com-6000": "replica"}
    first, second = discovery.servers
    assert (first.host, first.port, first.cpu, first.cpu_source) == (
        "db1.example.com",
        5432,
        Fraction(16),
        CpuSource.SPEC,
    )
    assert first.ref == BudgetServer(host="db1.example.com", port=5432)
    assert (first.node, second.cpu, bool(second.cpu_problem)) == ("", None, True)


def test_budget_cpu_beats_a_servers_own() -> None:
    discovery = found(of=pool({"servers": [{"host": "db1", "cpu": 16}]}, budget={"cpu": "4"}))
    assert discovery.servers[0].cpu == Fraction(4)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("db1.example.com", "db1.example.com-5432"),
        ("DB1.example.com.", "db1.example.com-5432"),
        ("10.0.0.5", "10.0.0.5-5432"),
    ],
)
def test_a_ledgers_name_is_host_and_port(host: str, name: str) -> None:
    assert ledger_name(host, 5432) == name


HARD = ["fd00::1", "fd00-1", "a_b", "a-b", "a._b", "-a", "x" * 200, "x" * 201, "a..b", ":::", "a.-b"]


@pytest.mark.parametrize("host", HARD)
def test_a_ledgers_name_is_always_a_valid_name(host: str) -> None:
    name = ledger_name(host, 5432)
    label = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
    assert re.fullmatch(rf"{label}(\.{label})*", name)
    assert len(name) <= 63


def test_different_servers_have_different_ledgers() -> None:
    assert len({ledger_name(host, port) for host in HARD for port in (5432, 5433)}) == 2 * len(HARD)
