from typing import Any

import yaml

from e2e.cluster.metrics_server import IMAGE, MANIFESTS


def objects() -> list[dict[str, Any]]:
    resources = yaml.safe_load((MANIFESTS / "kustomization.yaml").read_text())["resources"]
    return [obj for name in resources for obj in yaml.safe_load_all((MANIFESTS / name).read_text())]


def of_kind(kind: str) -> dict[str, Any]:
    (found,) = [obj for obj in objects() if obj["kind"] == kind]
    return found


def test_the_pod_runs_the_image_that_is_built_and_nobody_looks_for_it_elsewhere() -> None:
    (container,) = of_kind("Deployment")["spec"]["template"]["spec"]["containers"]

    assert container["image"] == IMAGE
    assert container["imagePullPolicy"] == "Never"


def test_the_api_is_answered_by_the_pod_that_runs() -> None:
    pod, service, api = of_kind("Deployment")["spec"]["template"], of_kind("Service"), of_kind("APIService")

    assert api["spec"]["service"]["name"] == service["metadata"]["name"]
    assert service["spec"]["selector"] == pod["metadata"]["labels"]
    (port,) = pod["spec"]["containers"][0]["ports"]
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    assert f"--secure-port={port['containerPort']}" in pod["spec"]["containers"][0]["args"]


def test_every_right_is_bound_to_the_account_that_the_pod_has() -> None:
    account = of_kind("Deployment")["spec"]["template"]["spec"]["serviceAccountName"]
    bindings = [obj for obj in objects() if obj["kind"].endswith("RoleBinding")]

    assert of_kind("ServiceAccount")["metadata"]["name"] == account
    assert {subject["name"] for binding in bindings for subject in binding["subjects"]} == {account}
