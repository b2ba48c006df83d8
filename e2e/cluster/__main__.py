"""The command line: `python -m e2e.cluster up|load|down`."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from e2e.cluster import images, kind_cluster, paths
from e2e.cluster.engine import ensure_engine
from e2e.cluster.shell import GroundError, say


@click.group()
def main() -> None:
    """The real Kubernetes cluster that the demo and the end-to-end tests run on."""


@main.command()
def up() -> None:
    """Brings engine, cluster and images up, whatever of it stands already."""
    with _alone():
        ensure_engine()
        kind_cluster.ensure_cluster()
        images.load()
    click.echo(f"The cluster is up. export KUBECONFIG={paths.kubeconfig()} PATH={paths.bin_dir()}:$PATH")


@main.command()
def load() -> None:
    """Builds the project's images from the working tree and loads them into the running cluster."""
    with _alone():
        ensure_engine()
        kind_cluster.require_running()
        images.load()


@main.command()
def down() -> None:
    """Deletes the cluster. The Docker engine, images and built binaries stay."""
    with _alone():
        ensure_engine()
        kind_cluster.delete_cluster()
    click.echo("The cluster is gone.")


@contextmanager
def _alone() -> Iterator[None]:
    """One such command at a time; what goes wrong ends in one message."""
    paths.cache_dir().mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with (paths.cache_dir() / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another run of this command")
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        except GroundError as error:
            raise click.ClickException(str(error)) from error
    say(f"done in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
