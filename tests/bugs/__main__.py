"""Break the project on the cluster and see the end-to-end tests fail: `python -m tests.bugs`."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from e2e.cluster import kubeconfig, kubectl
from e2e.kube import Kubectl
from e2e.world import install_operator
from tests.bugs.copied import FAILED, REPOSITORY, Copy, make_copy
from tests.bugs.table import ON_THE_CLUSTER, Bug

_LOAD = ("-m", "e2e.cluster", "load")


@click.command()
@click.argument("names", nargs=-1, type=click.Choice([bug.name for bug in ON_THE_CLUSTER]))
def main(names: tuple[str, ...]) -> None:
    """Put each bug NAME (none: each of them in turn) into the images, and see the end-to-end tests catch it.

    It takes a few minutes for each bug; the right images are loaded again at the end.
    """
    os.environ["KUBECONFIG"] = str(kubeconfig())
    bugs = [bug for bug in ON_THE_CLUSTER if not names or bug.name in names]
    try:
        with tempfile.TemporaryDirectory(prefix="pgpool-bugs-") as folder:
            copy = make_copy(Path(folder) / "copy")
            missed = [bug.name for bug in bugs if not _caught(copy, bug)]
    finally:
        _load_what_is_right()
    if missed:
        raise click.ClickException(f"not caught: {', '.join(missed)}")


def _caught(copy: Copy, bug: Bug) -> bool:
    click.echo(f"{bug.name} ({bug.promise}): {' '.join(bug.caught_by)}")
    with copy.broken(bug):
        loaded = copy.run(*_LOAD)
        if loaded.returncode != 0:
            raise click.ClickException(f"the images with '{bug.name}' were not loaded:\n{loaded.stdout}")
        verdict = copy.test(*bug.caught_by)
    if verdict.status == FAILED and verdict.failed:
        click.echo(f"  caught by {verdict.failed[0]}")
        return True
    click.echo(verdict.output)
    return False


def _load_what_is_right() -> None:
    subprocess.run([sys.executable, *_LOAD], cwd=REPOSITORY, check=True)
    install_operator(Kubectl(kubectl(), kubeconfig(), "default"), restart=True)


if __name__ == "__main__":
    main()
