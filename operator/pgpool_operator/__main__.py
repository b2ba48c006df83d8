"""The command line."""

import asyncio
from pathlib import Path

import click

from . import logs
from .api import crd
from .app import Settings
from .app import run as run_operator


@click.group()
@click.version_option(package_name="pgpool-operator")
def main() -> None:
    """Poolers for PostgreSQL that stay inside the budget of their database."""


@main.command()
@click.option("--namespace", envvar="WATCH_NAMESPACE", help="Serve this namespace only; all if not set.")
@click.option("--lease-namespace", envvar="POD_NAMESPACE", required=True, help="Where the leader's Lease is.")
@click.option("--pooler-image", envvar="POOLER_IMAGE", required=True, help="The image of the pooler pods.")
@click.option("--health-port", default=8081, show_default=True, help="Port of /healthz.")
@click.option("--metrics-port", default=8080, show_default=True, help="Port of the Prometheus metrics.")
@click.option("--log-level", envvar="LOG_LEVEL", default="info", show_default=True, help="debug, info, ...")
def run(
    namespace: str | None,
    lease_namespace: str,
    pooler_image: str,
    health_port: int,
    metrics_port: int,
    log_level: str,
) -> None:
    """Run the operator until it is stopped; exit 1 if it cannot go on, because its Lease is lost for instance."""
    logs.configure(log_level)
    settings = Settings(namespace, lease_namespace, pooler_image, health_port, metrics_port)
    asyncio.run(run_operator(settings))


@main.command()
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the files to this directory instead of printing them.",
)
def crds(output: Path | None) -> None:
    """The CustomResourceDefinitions of PgPool and PgBudget."""
    files = crd.render()
    if output is None:
        manifests = (text for name, text in files.items() if name != crd.KUSTOMIZATION)
        click.echo("---\n".join(manifests), nl=False)
        return
    output.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (output / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
