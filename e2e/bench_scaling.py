"""`make bench-scaling`: how long a load step takes to reach a new pooler, beside an HPA on CPU with its defaults.

Both scale the same PgPool in turns, from the same two pods and under the same load; each time begins when the
load does and ends when the new pod has answered its first query.
"""

import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import click

from e2e.cluster import kubeconfig, kubectl
from e2e.cluster.metrics_server import ensure_metrics_server, remove_metrics_server
from e2e.judge.load import Crowd
from e2e.kube import Kubectl, KubectlError, Object, eventually
from e2e.world import SMALL, Pool, Postgres, ask_agent, install_operator, sample_pool

NAMESPACE = "bench"
ROUNDS = 5
REST_SECONDS = 45
"""Before each step: metrics-server and HPA have then seen the pods at rest."""
WAIT_SECONDS = 600.0
CLIENTS = 40
STEPS = ("decision", "pod ready", "first query")


@dataclass(frozen=True, eq=False)
class Scaler:
    """Who decides on the number of pods."""

    name: str
    write: Object
    hpa: bool


OURS = Scaler("built in", {"autoscaling": {"maxReplicas": 3}}, hpa=False)
HPA = Scaler("HPA on CPU, 75%, default behavior", {}, hpa=True)


def step(kube: Kubectl, scaler: Scaler) -> dict[str, float]:
    """Seconds from the load's start to each of STEPS."""
    manifest = sample_pool("app", write=scaler.write, pods=SMALL)
    del manifest["spec"]["read"]
    kube.apply(manifest)
    pool = Pool(kube, "app")
    pool.wait_serving(within=WAIT_SECONDS)
    if scaler.hpa:
        kube.apply(_hpa())
    time.sleep(REST_SECONDS)
    known = {pod["metadata"]["name"] for pod in pool.pods("write")}
    with Crowd(kube, "load", pool.dsn(), CLIENTS, "SELECT 1;"):
        started = time.monotonic()
        took = {}
        for name, check in _checks(pool, known).items():
            eventually(f"{scaler.name}: {name}", check, WAIT_SECONDS)
            took[name] = time.monotonic() - started
    _remove(kube)
    return took


def _checks(pool: Pool, known: set[str]) -> Mapping[str, Callable[[], bool]]:
    def new() -> list[Object]:
        return [pod for pod in pool.pods("write") if pod["metadata"]["name"] not in known]

    at_rest: dict[str, int] = {}
    """The transactions of each new pod when it was first seen ready: its agent's own, while it warmed up."""

    def decided() -> bool:
        deployment = pool.kubectl.get("deployment", f"{pool.name}-rw")
        assert deployment is not None, f"no Deployment {pool.name}-rw"
        return bool(deployment["spec"]["replicas"] > len(known))

    def ready() -> bool:
        for pod in new():
            if _is_ready(pod):
                at_rest.setdefault(pod["metadata"]["name"], _state(pod)["transactions"])
        return bool(at_rest)

    def queried() -> bool:
        pods = [pod for pod in new() if pod["metadata"]["name"] in at_rest]
        states = {pod["metadata"]["name"]: _state(pod) for pod in pods}
        return any(said["clients"] and said["transactions"] > at_rest[name] for name, said in states.items())

    return {"decision": decided, "pod ready": ready, "first query": queried}


def _is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _state(pod: Object) -> Object:
    """What the pod says of itself."""
    return dict(json.loads(ask_agent(pod, "/v1/state")))


def _hpa() -> Object:
    target = {"type": "Utilization", "averageUtilization": 75}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "app"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "pgpool.dev/v1alpha1", "kind": "PgPool", "name": "app"},
            "minReplicas": 2,
            "maxReplicas": 3,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    }


def _remove(kube: Kubectl) -> None:
    kube("delete", "hpa,pgpool", "--all")
    eventually("no pooler is left", lambda: not kube.list("pods", "pgpool.dev/pool"), WAIT_SECONDS)


def table(rounds: Mapping[Scaler, list[dict[str, float]]]) -> str:
    """Medians, and how many times as long as ours they are."""
    lines = [f"| load step to ... ({ROUNDS} times) | {' | '.join(STEPS)} |", "|---|---|---|---|"]
    for scaler, found in rounds.items():
        cells = []
        for name in STEPS:
            ours = statistics.median(one[name] for one in rounds[OURS])
            median = statistics.median(one[name] for one in found)
            cells.append(f"{median:.1f} s ({median / ours:.2f})")
        lines.append(f"| {scaler.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


@contextmanager
def _cleaned_up(kube: Kubectl) -> Iterator[None]:
    try:
        yield
    except (AssertionError, KubectlError) as error:
        raise click.ClickException(f"{error}\nRun `make bench-scaling` again.") from error
    finally:
        remove_metrics_server()
        kube("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=false")


@click.command()
def main() -> None:
    """Scale a PgPool by its own autoscaling and by an HPA in turns; print how long each took."""
    kube = Kubectl(kubectl(), kubeconfig(), NAMESPACE)
    rounds: dict[Scaler, list[dict[str, float]]] = {OURS: [], HPA: []}
    with _cleaned_up(kube):
        install_operator(kube, restart=True)
        kube("wait", "--for=delete", f"namespace/{NAMESPACE}", "--timeout=180s")
        Postgres(kube).create()
        ensure_metrics_server()
        for number in range(ROUNDS):
            for scaler in (OURS, HPA):
                click.echo(f"round {number + 1} of {ROUNDS}: {scaler.name}")
                rounds[scaler].append(step(kube, scaler))
    click.echo(table(rounds))


if __name__ == "__main__":
    main()
