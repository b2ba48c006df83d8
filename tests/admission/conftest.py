import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from kubernetes import client, config
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from e2e import picture
from e2e.cluster import kubectl
from e2e.kube import Kubectl
from pgpool_operator.api import crd

from .resources import Resources

LOCAL = {"127.0.0.1", "localhost", "::1"}
FIELD_MANAGER = "pgpool-operator-tests"


def pytest_exception_interact(node: pytest.Item | pytest.Collector, call: pytest.CallInfo[Any]) -> None:
    """How the cluster is when a test has failed."""
    if isinstance(node, pytest.Item) and call.excinfo is not None:
        writer = node.config.get_terminal_writer()
        writer.line()
        writer.line(f"{node.nodeid} failed ({call.when})")
        cluster = Kubectl(kubectl(), Path(os.environ.get("KUBECONFIG", "")), "")
        for line in picture.once(call.excinfo.value, cluster):
            writer.line(line)


@pytest.fixture(scope="session")
def kubeconfig() -> Path:
    """A cluster on this machine: these tests install CRDs, which is not theirs to do anywhere else."""
    path = os.environ.get("KUBECONFIG", "")
    if not path:
        pytest.skip("no cluster: KUBECONFIG is not set")
    servers = {
        urlsplit(cluster["cluster"]["server"]).hostname
        for cluster in yaml.safe_load(Path(path).read_text())["clusters"]
    }
    if not servers <= LOCAL:
        pytest.skip(f"the cluster of {path} is not on this machine")
    return Path(path)


@pytest.fixture(scope="session")
def api(kubeconfig: Path) -> Iterator[client.ApiClient]:
    with config.new_client_from_config(str(kubeconfig)) as connection:  # type: ignore[no-untyped-call]
        yield connection


@pytest.fixture(scope="session")
def installed_crds(api: client.ApiClient) -> None:
    """The CRDs as they are checked in, served."""
    extensions = client.ApiextensionsV1Api(api)
    for manifest in (crd.pgpool_crd(), crd.pgbudget_crd()):
        extensions.patch_custom_resource_definition(
            manifest["metadata"]["name"],
            manifest,
            field_manager=FIELD_MANAGER,
            force=True,
            _content_type="application/apply-patch+yaml",
        )
        wait_until_served(client.CustomObjectsApi(api), manifest["spec"]["names"]["plural"])


@retry(
    retry=retry_if_exception_type(client.ApiException),
    wait=wait_fixed(0.2),
    stop=stop_after_delay(30),
    reraise=True,
)
def wait_until_served(objects: client.CustomObjectsApi, plural: str) -> None:
    objects.list_cluster_custom_object(crd.GROUP, crd.VERSION, plural, limit=1)


@pytest.fixture(scope="session")
def namespace(api: client.ApiClient) -> Iterator[str]:
    core = client.CoreV1Api(api)
    name = f"admission-{uuid.uuid4().hex[:8]}"
    core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=name)))
    yield name
    core.delete_namespace(name)


@pytest.fixture(scope="session")
def pools(api: client.ApiClient, namespace: str, installed_crds: None) -> Resources:  # noqa: ARG001
    return Resources(api, namespace, crd.PGPOOLS, "PgPool")


@pytest.fixture(scope="session")
def budgets(api: client.ApiClient, namespace: str, installed_crds: None) -> Resources:  # noqa: ARG001
    return Resources(api, namespace, crd.PGBUDGETS, "PgBudget")
