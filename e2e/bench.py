"""`make bench`: what a pool costs beside bare PgBouncer, and what both are worth beside no pooler at all.

The ways to the database take turns within one run, so that what else the machine does hits all of them; only
ratios within a round are shown, as their median and range.
"""

import json
import os
import re
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from e2e.cluster import kubeconfig, kubectl
from e2e.kube import Kubectl, KubectlError, Object, eventually
from e2e.world import (
    OPERATOR_NAMESPACE,
    OPERATOR_SELECTOR,
    REPOSITORY,
    Pool,
    install_operator,
    leader,
    sample_pool,
)

NAMESPACE = "bench"
BUDGET = 24
ROUNDS = 3
SECONDS = 8
REST_SECONDS = 20
CHANGES = 40
"""Of the budget, to see how fast the pods follow."""
TICKS_PER_SECOND = 100
"""USER_HZ, the unit of times in /proc/<pid>/stat (proc(5)); 100 on all that Linux runs on."""

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"

_INI = f"""[databases]
app = host=main port=5432 pool_size={BUDGET} max_db_connections={BUDGET}

[pgbouncer]
listen_addr = *
listen_port = 5432
auth_type = scram-sha-256
auth_file = /etc/bare/userlist.txt
pool_mode = transaction
max_client_conn = 5000
log_connections = 0
log_disconnections = 0
"""
_USERLIST = '"main-app" "sample-app-password"\n'

_SCRIPT = """set -euo pipefail
cd /tmp && rm -f transactions.*
PGPASSWORD="$APP_PASSWORD" pgbench -h {host} -U main-app -n {options} -c {clients} -j 2 -T {seconds} \
    -l --log-prefix=transactions app
cut -d' ' -f3 transactions.* | sort -n | awk '{{ us[NR] = $1 }} END {{ print "p95 = " us[int(NR * 0.95)] }}'
rm -f transactions.*
"""


@dataclass(frozen=True)
class Way:
    """A way to the database, and how many clients go it."""

    name: str
    host: str
    clients: int


BARE = Way("bare PgBouncer", "bare", 300)
WAYS = (BARE, Way("PgPool, one pod", "app-rw", 300), Way("direct", "main", 300))
LOADS: Mapping[str, str] = {"read only (pgbench -S)": "-S", "TPC-B-like": ""}


@dataclass(frozen=True)
class Sample:
    """One run of pgbench."""

    tps: float
    p95: float
    """Microseconds of a transaction, from the client's first byte to the last answer, waiting included."""


@dataclass(frozen=True)
class Cost:
    """A process at rest."""

    rss: float
    """MiB."""
    ticks: int
    """CPU time so far."""


def set_up(kube: Kubectl) -> None:
    """A database, a PgPool with one pod and a bare PgBouncer with the same cap, both on the primary's node."""
    install_operator(kube, restart=True)
    kube("wait", "--for=delete", f"namespace/{NAMESPACE}", "--timeout=180s")
    kube("create", "namespace", NAMESPACE)
    database = kube("kustomize", str(REPOSITORY / "manifests/samples/database"))
    kube("apply", "-f", "-", stdin=roomy(database))
    for member in ("main-a", "main-b"):
        kube("rollout", "status", f"statefulset/{member}", "--timeout=120s")
    node = (kube.get("pod", "main-a-0") or {})["spec"]["nodeName"]
    placed = {"kubernetes.io/hostname": node}
    kube.apply(*bare_pgbouncer(placed))
    app = sample_pool("app", write={"replicas": 1}, pods={"nodeSelector": placed})
    del app["spec"]["read"]
    kube.apply(app)
    Pool(kube, "app").wait_serving()
    kube("wait", "--for=condition=Ready", "pod/bare", "--timeout=60s")
    kube(
        "exec",
        "main-b-0",
        "--",
        "bash",
        "-c",
        'PGPASSWORD="$APP_PASSWORD" pgbench -h main -U main-app -iq -s 20 app',
    )


def roomy(database: str) -> str:
    """The sample database with room for all clients at once: with max_connections 100, direct ones are refused."""
    return database.replace('value: "100"', 'value: "400"').replace("memory: 1Gi", "memory: 4Gi")


def bare_pgbouncer(placed: Mapping[str, str]) -> tuple[Object, ...]:
    """PgBouncer of the pooler's image with a configuration written by hand."""
    pod = {
        "nodeSelector": placed,
        "automountServiceAccountToken": False,
        "containers": [
            {
                "name": "pgbouncer",
                "image": "pgpool-pooler:dev",
                "command": ["/usr/sbin/pgbouncer", "/etc/bare/pgbouncer.ini"],
                "readinessProbe": {"tcpSocket": {"port": 5432}, "periodSeconds": 1},
                "volumeMounts": [{"name": "config", "mountPath": "/etc/bare"}],
            }
        ],
        "volumes": [{"name": "config", "configMap": {"name": "bare"}}],
    }
    files = {"pgbouncer.ini": _INI, "userlist.txt": _USERLIST}
    service = {"selector": {"app": "bare"}, "ports": [{"port": 5432}]}
    metadata = {"name": "bare", "labels": {"app": "bare"}}
    return (
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": files},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service},
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod},
    )


def measure(kube: Kubectl, way: Way, options: str) -> Sample:
    """One run; KubectlError if pgbench failed."""
    script = _SCRIPT.format(host=way.host, options=options, clients=way.clients, seconds=SECONDS)
    return parse(kube("exec", "main-b-0", "--", "bash", "-c", script))


def parse(output: str) -> Sample:
    """The figures from pgbench's report and the line `p95 = ...` after it."""
    found = dict(re.findall(r"^(tps|p95) = ([0-9.]+)", output, re.MULTILINE))
    return Sample(float(found["tps"]), float(found["p95"]))


def table(rounds: Mapping[str, Sequence[Mapping[Way, Sample]]]) -> str:
    """Ratios to bare PgBouncer of the same round: median (lowest to highest)."""
    lines = ["| load | way | clients | transactions per second | p95 latency |", "|---|---|---|---|---|"]
    for load, samples in rounds.items():
        for way in WAYS:
            tps = ratios([one[way].tps / one[BARE].tps for one in samples])
            p95 = ratios([one[way].p95 / one[BARE].p95 for one in samples])
            lines.append(f"| {load} | {way.name} | {way.clients} | {tps} | {p95} |")
    return "\n".join(lines)


def ratios(found: Sequence[float]) -> str:
    """A median, and the range if there is one."""
    low, high = f"{min(found):.2f}", f"{max(found):.2f}"
    return f"{statistics.median(found):.2f}" + (f" ({low} to {high})" if low != high else "")


def cost(kube: Kubectl, pod: str) -> Cost:
    """Of the first process in a pod."""
    read = "grep VmRSS /proc/1/status; cat /proc/1/stat"
    status, stat = kube("exec", pod, "--", "sh", "-c", read).strip().splitlines()
    times = stat.rpartition(")")[2].split()[11:13]
    return Cost(int(status.split()[1]) / 1024, sum(map(int, times)))


def at_rest(kube: Kubectl) -> str:
    """A table of the memory and CPU of the operator's and the agent's process, nothing being asked of them."""
    system = kube.within(OPERATOR_NAMESPACE)
    system("rollout", "status", "deployment/pgpool-operator", "--timeout=120s")
    leading = eventually("an operator leads", lambda: leader(system))
    operators = {pod["metadata"]["name"] for pod in system.list("pods", OPERATOR_SELECTOR)}
    agent = Pool(kube, "app").pods()[0]["metadata"]["name"]
    seen = {
        "operator, leading": (system, leading),
        "operator, standing by": (system, min(operators - {leading})),
        "agent of a pooler pod": (kube, agent),
    }
    before = {name: cost(*where) for name, where in seen.items()}
    time.sleep(REST_SECONDS)
    lines = ["| process at rest | memory (RSS) | CPU |", "|---|---|---|"]
    for name, where in seen.items():
        after = cost(*where)
        share = (after.ticks - before[name].ticks) / TICKS_PER_SECOND / REST_SECONDS
        lines.append(f"| {name} | {after.rss:.0f} MiB | {share:.1%} of one |")
    return "\n".join(lines)


def acknowledgements(kube: Kubectl) -> str:
    """How long grants took until they were seen acknowledged, by the leader's log, as a limit goes to and fro."""
    system = kube.within(OPERATOR_NAMESPACE)
    leading = eventually("an operator leads", lambda: leader(system))
    pod = Pool(kube, "app").pods()[0]["metadata"]["name"]
    earlier = len(_acknowledged(system, leading, pod))
    for number in range(CHANGES):
        limit = BUDGET // (2 - number % 2)
        kube.patch("pgbudget", "main-a-0", {"spec": {"limit": limit}})
        is_seen = partial(_has_acknowledged, system, leading, pod, times=earlier + number + 1)
        eventually(f"{limit} are acknowledged", is_seen)
    found = _acknowledged(system, leading, pod)[earlier:]
    p50, p95, p99 = (statistics.quantiles(found, n=100)[percent - 1] for percent in (50, 95, 99))
    percentiles = f"p50 {p50:.2f} s, p95 {p95:.2f} s, p99 {p99:.2f} s"
    return f"From a grant written to its acknowledgement read, {len(found)} times: {percentiles}."


def _acknowledged(system: Kubectl, leading: str, pod: str) -> list[float]:
    """The seconds of each grant that the leader saw acknowledged by the pod."""
    lines = (json.loads(line) for line in system("logs", leading).splitlines() if line.startswith("{"))
    return [line["seconds"] for line in lines if line["event"] == "acknowledged" and line["pod"] == pod]


def _has_acknowledged(system: Kubectl, leading: str, pod: str, *, times: int) -> bool:
    return len(_acknowledged(system, leading, pod)) >= times


def write_down(readme: Path, text: str) -> None:
    """Replace what stands between the markers."""
    before, _, rest = readme.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    readme.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


@contextmanager
def _cleaned_up(kube: Kubectl) -> Iterator[None]:
    try:
        yield
    except (AssertionError, KubectlError) as error:
        raise click.ClickException(
            f"{error}\nRun `make bench` again; `make demo` says whether the rest works."
        ) from error
    finally:
        kube("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=false")


@click.command()
@click.option("--readme", is_flag=True, help="Write the ratios into README.md too.")
def main(readme: bool) -> None:
    """Compare a pool with bare PgBouncer and with no pooler; print the ratios as markdown."""
    kube = Kubectl(kubectl(), kubeconfig(), NAMESPACE)
    rounds: dict[str, list[dict[Way, Sample]]] = {load: [] for load in LOADS}
    with _cleaned_up(kube):
        set_up(kube)
        for number in range(ROUNDS):
            for load, options in LOADS.items():
                click.echo(f"round {number + 1} of {ROUNDS}: {load}")
                turns = (*WAYS[number % len(WAYS) :], *WAYS[: number % len(WAYS)])
                rounds[load].append({way: measure(kube, way, options) for way in turns})
        rest = at_rest(kube)
        speed = acknowledgements(kube)
    machine = f"{os.cpu_count()} CPUs for database, poolers, clients and cluster."
    compared = f"{machine}\n\n{table(rounds)}"
    click.echo(f"{compared}\n\n{rest}\n\n{speed}")
    if readme:
        write_down(REPOSITORY / "README.md", compared)


if __name__ == "__main__":
    main()
