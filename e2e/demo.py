"""`make demo`: the operator, a sample database and a PgPool, and what they do. Run it again at any time.

Every command is shown as it is run: README.md shows the same ones (tests/unit/test_readme.py compares them).
"""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import click
import psycopg

from e2e.cluster import bin_dir, kubeconfig, kubectl
from e2e.cluster.shell import GroundError
from e2e.judge.sampler import Sampler
from e2e.kube import Kubectl, KubectlError, eventually
from e2e.rollout import ensure_current
from e2e.world import OPERATOR_NAMESPACE, OPERATOR_SELECTOR, REPOSITORY, Pool, Postgres, leader

NAMESPACE = "demo"
USER = "main-app"
FENCE = (
    'ALTER ROLE "main-app" CONNECTION LIMIT 24;',
    "ALTER ROLE \"main-app\" SET client_connection_check_interval = '1s';",
    'ALTER ROLE "main-app" SET tcp_keepalives_idle = 3;',
    'ALTER ROLE "main-app" SET tcp_keepalives_interval = 1;',
    "ALTER ROLE \"main-app\" SET tcp_user_timeout = '20s';",
)
REMEDY = f"""
Look at `kubectl -n {NAMESPACE} describe pgpool app` and
`kubectl -n {OPERATOR_NAMESPACE} logs deployment/pgpool-operator`, then run `make demo` again.
Before it, for a fresh sample: `kubectl delete namespace {NAMESPACE}`; for a fresh cluster: `make down`."""


class ShellError(Exception):
    """A command of the demo failed; the command and what it said."""


@dataclass(frozen=True)
class Command:
    """A command that runs."""

    text: str
    process: "subprocess.Popen[str]"

    def end(self) -> str:
        """Wait for its end; show and return its output. ShellError if it failed."""
        output, _ = self.process.communicate()
        click.echo("".join(f"  {line}\n" for line in output.splitlines()), nl=False)
        if self.process.returncode:
            raise ShellError(f"`{self.text}` failed: {output}")
        return output


class Shell:
    """Runs commands as a person would who has exported KUBECONFIG and PATH, in the repository."""

    def __call__(self, command: str) -> str:
        """Show a command, run it, show and return its output; ShellError if it fails."""
        return self.begin(command).end()

    def begin(self, command: str) -> Command:
        """Show a command and start it."""
        click.secho(f"$ {command}", bold=True)
        process = subprocess.Popen(
            ["bash", "-o", "pipefail", "-c", command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=REPOSITORY,
            env={**os.environ, "KUBECONFIG": str(kubeconfig()), "PATH": f"{bin_dir()}:{os.environ['PATH']}"},
        )
        return Command(command, process)


def install(shell: Shell, kube: Kubectl) -> None:
    """The operator, in the image that was built last."""
    _explain("The operator and its CRDs. It may read no Secrets.")
    shell("kubectl apply --server-side --force-conflicts -k manifests/operator")
    system = kube.within(OPERATOR_NAMESPACE)
    ensure_current(system, "pgpool-operator:dev", OPERATOR_SELECTOR)
    shell("kubectl -n pgpool-system rollout status deployment/pgpool-operator --timeout=240s")
    eventually("an operator leads", lambda: leader(system))


def database(kube: Kubectl) -> Postgres:
    """The sample database."""
    _explain("A sample database: a primary and a streaming replica, 8 CPUs each by their container limit.")
    namespace = kube.get("namespace", NAMESPACE) or {}
    if namespace.get("status", {}).get("phase") == "Terminating":
        kube("wait", "--for=delete", f"namespace/{NAMESPACE}", "--timeout=180s")
    postgres = Postgres(kube)
    postgres.create()
    return postgres


def pool(shell: Shell, kube: Kubectl) -> Pool:
    """The sample PgPool, two pods an endpoint, in the image that was built last."""
    _explain("A PgPool: two pods to the primary, two to the replica. 8 CPU x 3 = 24 connections a server.")
    shell("kubectl -n demo apply -k manifests/samples/pgpool")
    app = Pool(kube, "app")
    if app.object()["spec"]["write"]["replicas"] != 2:
        shell("kubectl -n demo scale pgpool app --replicas=2")
    app.wait_serving()
    if ensure_current(kube, "pgpool-pooler:dev", "pgpool.dev/pool=app"):
        app.wait_serving()
    return app


def queries(shell: Shell) -> None:
    """One query through each endpoint."""
    _explain("app-rw reaches the primary, app-ro the replica: is this server in recovery?")
    through_write = shell(
        "kubectl -n demo exec main-a-0 -- bash -c 'PGPASSWORD=$APP_PASSWORD "
        'psql -h app-rw.demo.svc -U main-app app -Atc "SELECT pg_is_in_recovery()"\''
    )
    through_read = shell(
        "kubectl -n demo exec main-a-0 -- bash -c 'PGPASSWORD=$APP_PASSWORD "
        'psql -h app-ro.demo.svc -U main-app app -Atc "SELECT pg_is_in_recovery()"\''
    )
    if (through_write.strip(), through_read.strip()) != ("f", "t"):
        raise ShellError("the endpoints reach the wrong servers: app-rw should say f, app-ro t")


def fence(postgres: Postgres) -> None:
    """What makes PostgreSQL itself refuse more than the budget."""
    _explain("A fence in PostgreSQL itself, in case anything else logs in as the pool's user.")
    for statement in FENCE:
        click.secho(f"app=# {statement}", bold=True)
        postgres.query(statement)


def load(shell: Shell, app: Pool, postgres: Postgres) -> None:
    """A third pod comes while clients work; PostgreSQL counts the connections."""
    _explain("20 clients work for 10 s; meanwhile a third pod comes. More pods, not more connections:")
    shell(
        "kubectl -n demo exec main-a-0 -- bash -c 'PGPASSWORD=$APP_PASSWORD pgbench -h app-rw.demo.svc -U main-app "
        "-i -q -s 5 app 2>&1 | tail -n 1'"
    )
    with Sampler(postgres.dsn(), [USER]) as samples:
        clients = shell.begin(
            "kubectl -n demo exec main-a-0 -- bash -c 'PGPASSWORD=$APP_PASSWORD pgbench -h app-rw.demo.svc "
            "-U main-app -n -c 20 -T 10 app' | grep -E 'failed|processed|tps|latency average'"
        )
        shell("kubectl -n demo scale pgpool app --replicas=3")
        app.wait_serving()
        clients.end()
    click.echo(f"PostgreSQL had at most {samples.peak} connections of {USER} ({samples.taken} samples).")
    if samples.peak > 24:
        raise ShellError(f"{samples.peak} connections are more than the budget of 24: this is a bug")


def tell(shell: Shell) -> None:
    """What can be asked at any time."""
    _explain("What it says of itself: columns, conditions, the ledger's grants, events, a pod's own state.")
    shell("kubectl -n demo get pgpool,pgbudget")
    shell(
        "kubectl -n demo get pgpool app -o jsonpath="
        "'{range .status.conditions[*]}{.type}={.status} {.reason}: {.message}{\"\\n\"}{end}'"
    )
    shell(
        "kubectl -n demo get pgbudget main-a-0 -o jsonpath="
        "'{range .status.grants[*]}{.pod} {.state} {.reserved}{\"\\n\"}{end}'"
    )
    shell("kubectl -n demo events --for pgpool/app")
    shell(
        'kubectl get --raw "/api/v1/namespaces/demo/pods/$(kubectl -n demo get pods -l pgpool.dev/endpoint=write '
        "-o jsonpath='{.items[0].metadata.name}'):9127/proxy/v1/state\""
    )


def _explain(text: str) -> None:
    click.secho(f"\n{text}", fg="cyan")


@contextmanager
def _one_message() -> Iterator[None]:
    """What goes wrong ends in one message that says what to do."""
    try:
        yield
    except (AssertionError, GroundError, KubectlError, ShellError, psycopg.Error) as error:
        raise click.ClickException(f"{error}{REMEDY}") from error


@click.command()
def main() -> None:
    """Install the operator, a sample database and a PgPool, and show what they do."""
    started = time.monotonic()
    if not kubeconfig().exists():
        raise click.ClickException("There is no cluster. Run `make demo`, which brings one up.")
    shell, kube = Shell(), Kubectl(kubectl(), kubeconfig(), NAMESPACE)
    with _one_message():
        install(shell, kube)
        postgres = database(kube)
        app = pool(shell, kube)
        queries(shell)
        fence(postgres)
        load(shell, app, postgres)
        tell(shell)
    click.secho(f"\nDone in {time.monotonic() - started:.0f} s. Worth trying next:", fg="cyan")
    click.echo(f"export KUBECONFIG={kubeconfig()} PATH={bin_dir()}:$PATH")
    click.echo("kubectl -n demo get pgbudget -w    # reserved never passes the budget, whatever you do below")
    click.echo("kubectl -n demo scale pgpool app --replicas=30    # more than fit: it says so")
    click.echo("kubectl -n demo describe pgpool app    # conditions, and events that say why")


if __name__ == "__main__":
    main()
