from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from e2e.cluster.engine import pid_file_is_stale
from e2e.cluster.kind_cluster import CONTROL_PLANE, WORKERS, Container, can_revive, leases_are_fresh
from e2e.cluster.kind_config import AUDIT_LOG, config_digest, kind_config
from e2e.cluster.network import Node, Route, cni_configuration, routes_from

STARTED = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
GROUND = Path("/cache/ground/1234abcd")
A = Node("a", "172.18.0.2", "10.244.0.0/24")
B = Node("b", "172.18.0.3", "10.244.1.0/24")
C = Node("c", "172.18.0.4", "10.244.2.0/24")


def container(name: str, mounts: tuple[str, ...] = ()) -> Container:
    return Container(
        name,
        running=True,
        paused=False,
        started=STARTED,
        address="172.18.0.2",
        image="sha256:1",
        mounts=mounts,
    )


NODES = (container(CONTROL_PLANE, (str(GROUND), "/lib/modules")), *map(container, WORKERS))


def test_a_node_reaches_the_pods_of_the_others_through_their_addresses() -> None:
    assert routes_from(B, [A, B, C]) == (
        Route("10.244.0.0/24", via="172.18.0.2"),
        Route("10.244.2.0/24", via="172.18.0.4"),
    )


def test_the_host_reaches_the_pods_of_every_node() -> None:
    assert {route.pod_cidr for route in routes_from(None, [A, B, C])} == {A.pod_cidr, B.pod_cidr, C.pod_cidr}


def test_pods_get_addresses_of_their_node_and_keep_them_on_the_way() -> None:
    (link, _) = yaml.safe_load(cni_configuration(B))["plugins"]

    assert link["ipam"]["ranges"] == [[{"subnet": "10.244.1.0/24"}]]
    assert link["ipMasq"] is False


@pytest.mark.parametrize(
    ("pid", "running", "stale"),
    [
        ("4711", "dockerd", False),
        ("4711", None, True),
        ("4711", "postgres", True),
        ("", None, True),
    ],
)
def test_a_pid_file_counts_only_while_its_number_is_that_programs(
    pid: str, running: str | None, stale: bool
) -> None:
    assert pid_file_is_stale(pid, running, "dockerd") is stale


def test_a_whole_cluster_of_the_same_configuration_is_revived() -> None:
    assert can_revive(NODES, GROUND)


def test_a_cluster_that_lost_a_node_is_not_revived() -> None:
    assert not can_revive(NODES[:-1], GROUND)


def test_a_cluster_of_another_configuration_is_not_revived() -> None:
    assert not can_revive(NODES, GROUND.with_name("another"))


def test_a_kubelet_that_has_not_reported_since_its_node_started_does_not_count_as_ready() -> None:
    after, before = STARTED + timedelta(seconds=9), STARTED - timedelta(seconds=9)
    reported = dict.fromkeys((CONTROL_PLANE, *WORKERS), after)

    assert leases_are_fresh(reported, NODES)
    assert not leases_are_fresh(reported | {WORKERS[0]: before}, NODES)
    assert not leases_are_fresh({CONTROL_PLANE: after}, NODES)


def test_the_cluster_has_one_control_plane_and_two_workers() -> None:
    config = yaml.safe_load(kind_config(GROUND, withheld=False))

    assert [node["role"] for node in config["nodes"]] == ["control-plane", "worker", "worker"]


def test_the_api_server_keeps_an_audit_log_by_the_policy_of_the_mounted_folder() -> None:
    config = yaml.safe_load(kind_config(GROUND, withheld=False))
    patches = [yaml.safe_load(patch) for patch in config["kubeadmConfigPatches"]]
    (api_server,) = [patch["apiServer"] for patch in patches if patch["kind"] == "ClusterConfiguration"]
    (mount,) = config["nodes"][0]["extraMounts"]

    assert mount["hostPath"] == str(GROUND)
    assert api_server["extraArgs"]["audit-log-path"] == AUDIT_LOG
    assert Path(api_server["extraArgs"]["audit-policy-file"]).parent == Path(mount["containerPath"])


@pytest.mark.parametrize("withheld", [True, False])
def test_containerd_leaves_oom_scores_alone_only_where_the_capability_is_withheld(withheld: bool) -> None:
    config = yaml.safe_load(kind_config(GROUND, withheld))

    assert ("containerdConfigPatches" in config) is withheld


def test_a_cluster_is_named_after_all_it_is_made_of() -> None:
    assert config_digest("config", "policy") == config_digest("config", "policy")
    assert (
        len(
            {
                config_digest("config", "policy"),
                config_digest("config", "other"),
                config_digest("x", "policy"),
            }
        )
        == 3
    )
