"""What the installed operator relies on."""

from pathlib import Path

import yaml

DEPLOYMENT = Path(__file__).parents[2] / "manifests" / "base" / "deployment.yaml"
RESTARTS_FORGOTTEN_SECONDS = 600
"""A kubelet that restarts a container after as long does so at once (Kubernetes documentation, pod lifecycle)."""


def test_an_outage_at_the_start_does_not_make_the_pauses_between_restarts_grow() -> None:
    [container] = yaml.safe_load(DEPLOYMENT.read_text())["spec"]["template"]["spec"]["containers"]
    startup, liveness = container["startupProbe"], container["livenessProbe"]
    assert startup["httpGet"] == liveness["httpGet"]
    assert startup["periodSeconds"] * startup["failureThreshold"] > RESTARTS_FORGOTTEN_SECONDS
