"""Break the project on the cluster and see the end-to-end tests fail: `python -m tests.bugs`."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from e2e.cluster import kubeconfig, kubectl
from e2e.kube import Kubectl
from e2e.world import install_operator
from tests.bugs.copied import PASSED, REPOSITORY, Copy, copied
from tests.bugs.table import ON_THE_CLUSTER, Bug

_LOAD = ("-m", "e2e.cluster", "load")


@click.command()
@click.argument("names", nargs=-1, type=click.Choice([bug.name for bug in ON_THE_CLUSTER]))
def main(names: tuple[str, ...]) -> None:
    """Put each bug NAME (none: each of them in turn) into the images, and see the end-to-end tests catch it.

    Without a bug those have to pass. Each run takes a few minutes; the right images are loaded again at the end.
    """
    os.environ["KUBECONFIG"] = str(kubeconfig())
    # An operator that is kept runs without the bug.
    os.environ.pop("E2E_KEEP_OPERATOR", None)
    bugs = [bug for bug in ON_THE_CLUSTER if not names or bug.name in names]
    try:
        with (
            tempfile.TemporaryDirectory(prefix="pgpool-bugs-") as folder,
            copied(Path(folder) / "copy") as copy,
        ):
            _see_them_pass_unbroken(copy, bugs)
            missed = [bug.name for bug in bugs if not _caught(copy, bug)]
    finally:
        _load_what_is_right()
    if missed:
        raise click.ClickException(f"not caught: {', '.join(missed)}")


def _see_them_pass_unbroken(copy: Copy, bugs: Sequence[Bug]) -> None:
    """What fails anyway catches nothing."""
    _load(copy)
    for tests in dict.fromkeys(bug.caught_by for bug in bugs):
        click.echo(f"without a bug: {' '.join(tests)}")
        verdict = copy.test(*tests)
        if verdict.status != PASSED:
            raise click.ClickException(f"it does not pass without a bug:\n{verdict.output}")


def _caught(copy: Copy, bug: Bug) -> bool:
    click.echo(f"{bug.name} ({bug.promise}): {' '.join(bug.caught_by)}")
    with copy.broken(bug):
        _load(copy)
        verdict = copy.test(*bug.caught_by)
    if verdict.catches(bug):
        click.echo(f"  caught by {verdict.failure}")
        return True
    click.echo(f"  not caught, no failure says '{bug.because}':\n{verdict.output}")
    return False


def _load(copy: Copy) -> None:
    """Put the copy as it is into the images."""
    loaded = copy.run(*_LOAD)
    if loaded.returncode != 0:
        raise click.ClickException(f"the images were not loaded:\n{loaded.stdout}")


def _load_what_is_right() -> None:
    subprocess.run([sys.executable, *_LOAD], cwd=REPOSITORY, check=True)
    install_operator(Kubectl(kubectl(), kubeconfig(), "default"), restart=True)


if __name__ == "__main__":
    main()
