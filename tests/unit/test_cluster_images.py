import json

import pytest

from e2e.cluster.go_tools import GoTools, go_mod, staging_modules
from e2e.cluster.images import images_in, missing_images, wheel_platforms, wheelhouse_name
from e2e.cluster.node_image import component_dockerfile, recipe_digest, sandbox_image
from e2e.cluster.shell import GroundError

KUBERNETES_GO_MOD = """module k8s.io/kubernetes

require (
	github.com/spf13/cobra v1.9.1
	k8s.io/api v0.0.0
	k8s.io/klog/v2 v2.130.1
	k8s.io/utils v0.0.0-20250604170112-4c0f3b243397
)

require k8s.io/kubelet v0.0.0
"""


def test_only_the_modules_at_v0_0_0_live_in_the_repository_itself() -> None:
    assert staging_modules(KUBERNETES_GO_MOD) == ("k8s.io/api", "k8s.io/kubelet")


def test_the_go_mod_names_the_tools_and_where_the_staging_modules_live() -> None:
    tools = GoTools(
        "k8s.io/kubernetes", "v1.2.3", ("k8s.io/kubernetes/cmd/kubectl",), minutes=1, staging="v0.2.3"
    )

    assert go_mod(tools, ("k8s.io/api",)).splitlines()[4:] == [
        "require k8s.io/kubernetes v1.2.3",
        "",
        "tool k8s.io/kubernetes/cmd/kubectl",
        "replace k8s.io/api => k8s.io/api v0.2.3",
    ]


def test_a_program_is_called_as_go_calls_it_without_its_major_version() -> None:
    tools = GoTools("example.org/server/v3", "v3.6.0", ("example.org/server/v3",), minutes=1)

    assert list(tools.programs) == ["server"]


def test_an_image_is_loaded_where_a_node_lacks_it_or_has_other_content() -> None:
    wanted = {"one:dev": "sha256:1", "two:dev": "sha256:2", "three:dev": "sha256:3"}
    first = {"one:dev": "sha256:1", "two:dev": "sha256:2", "three:dev": "sha256:3"}
    second = {"one:dev": "sha256:1", "two:dev": "sha256:old"}

    assert missing_images(wanted, [first, first]) == ()
    assert missing_images(wanted, [first, second]) == ("two:dev", "three:dev")


def test_a_node_lists_its_images_under_the_names_they_were_built_with() -> None:
    listed = {
        "images": [
            {"id": "sha256:1", "repoTags": ["example.org/library/one:dev"]},
            {"id": "sha256:2", "repoTags": ["example.org/two:v1", "example.org/two:v2"]},
            {"id": "sha256:3", "repoTags": []},
        ]
    }

    assert images_in(json.dumps(listed)) == {
        "one:dev": "sha256:1",
        "two:v1": "sha256:2",
        "two:v2": "sha256:2",
    }


def test_other_locks_or_machines_have_other_wheels() -> None:
    names = {
        wheelhouse_name("a==1", "amd64"),
        wheelhouse_name("a==2", "amd64"),
        wheelhouse_name("a==1", "arm64"),
    }

    assert len(names) == 3


def test_wheels_for_older_c_libraries_than_the_images_are_taken_too() -> None:
    platforms = wheel_platforms("x86_64")

    assert {"manylinux_2_41_x86_64", "manylinux_2_28_x86_64", "manylinux2014_x86_64"} <= set(platforms)
    assert "manylinux_2_42_x86_64" not in platforms


def test_another_recipe_is_another_image() -> None:
    assert recipe_digest("a") != recipe_digest("b")


def test_the_sandbox_image_is_the_one_that_containerd_names() -> None:
    config = 'version = 2\n  # use fixed sandbox image\n  sandbox_image = "example.org/pause:3.10"\n'

    assert sandbox_image(config) == "example.org/pause:3.10"


def test_a_containerd_configuration_without_a_sandbox_image_is_refused() -> None:
    with pytest.raises(GroundError, match="sandbox image"):
        sandbox_image("version = 3\n")


def test_a_component_is_one_program_that_its_manifest_finds_on_the_path() -> None:
    assert component_dockerfile("etcd", "scratch").splitlines() == [
        "FROM scratch",
        "COPY etcd /usr/local/bin/etcd",
        'ENTRYPOINT ["/usr/local/bin/etcd"]',
    ]
