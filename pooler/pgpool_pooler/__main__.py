"""The command line: `pgpool-agent run`."""

import asyncio
from pathlib import Path

import click
import structlog

from .agent.run import run as run_agent
from .agent.settings import Identity, Layout, Settings
from .contract import Endpoint

_Directory = click.Path(path_type=Path, file_okay=False)


@click.group()
def main() -> None:
    """The agent of a pooler pod."""


@main.command()
@click.option("--pod-uid", envvar="POD_UID", required=True, help="The pod's uid; a grant must name it.")
@click.option("--pod-name", envvar="POD_NAME", required=True)
@click.option("--pod-namespace", envvar="POD_NAMESPACE", required=True)
@click.option("--endpoint", envvar="ENDPOINT", type=click.Choice([e.value for e in Endpoint]), required=True)
@click.option(
    "--drain-seconds", envvar="DRAIN_SECONDS", type=click.FloatRange(0), default=60, show_default=True
)
@click.option("--client-port", envvar="CLIENT_PORT", type=int, default=5432, show_default=True)
@click.option("--http-port", envvar="HTTP_PORT", type=int, default=9127, show_default=True)
@click.option(
    "--config-root",
    envvar="CONFIG_ROOT",
    type=_Directory,
    default="/etc/pgpool",
    show_default=True,
    help="Mounts: pod, config, users, monitor, tls/client, tls/server.",
)
@click.option("--data", envvar="DATA_DIR", type=_Directory, default="/var/lib/pgpool", show_default=True)
@click.option("--run-dir", envvar="RUN_DIR", type=_Directory, default="/run/pgpool", show_default=True)
@click.option(
    "--pgbouncer",
    envvar="PGBOUNCER",
    type=click.Path(path_type=Path),
    default="/usr/sbin/pgbouncer",
    show_default=True,
)
@click.option(
    "--termination-log",
    envvar="TERMINATION_LOG",
    type=click.Path(path_type=Path),
    default="/dev/termination-log",
    show_default=True,
    help="The container's terminationMessagePath.",
)
def run(
    pod_uid: str,
    pod_name: str,
    pod_namespace: str,
    endpoint: str,
    drain_seconds: float,
    client_port: int,
    http_port: int,
    config_root: Path,
    data: Path,
    run_dir: Path,
    pgbouncer: Path,
    termination_log: Path,
) -> None:
    """Run the engine within what the pod's grant allows, until SIGTERM."""
    _log_as_json()
    settings = Settings(
        identity=Identity(pod_uid, pod_name, pod_namespace, Endpoint(endpoint)),
        layout=Layout(
            pod=config_root / "pod",
            config=config_root / "config",
            users=config_root / "users",
            monitor=config_root / "monitor",
            client_tls=config_root / "tls" / "client",
            server_tls=config_root / "tls" / "server",
            data=data,
            run=run_dir,
        ),
        drain_seconds=drain_seconds,
        client_port=client_port,
        http_port=http_port,
        engine_binary=pgbouncer,
        termination_log=termination_log,
    )
    asyncio.run(run_agent(settings))


def _log_as_json() -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        cache_logger_on_first_use=True,
    )


if __name__ == "__main__":
    main()
