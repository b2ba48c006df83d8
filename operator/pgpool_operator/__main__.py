"""The command line."""

from pathlib import Path

import click

from .api import crd


@click.group()
@click.version_option(package_name="pgpool-operator")
def main() -> None:
    """Poolers for PostgreSQL that stay inside the budget of their database."""


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
