"""The command line: `python -m tests.simulator pooler-bound --output plot.svg`."""

from collections.abc import Iterator
from pathlib import Path

import click

from .plot import draw
from .record import Run
from .run import simulate
from .scenarios import SCENARIOS

_LISTED = "\n".join(f"  {name:<18} {scenario.about}" for name, scenario in SCENARIOS.items())


@click.command(help=f"Play SCENARIO in virtual time and say what the operator does.\n\n\b\n{_LISTED}")
@click.argument("scenario", type=click.Choice(list(SCENARIOS)))
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="Draw it: a .svg or .png file."
)
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same run.")
def main(scenario: str, output: Path | None, seed: int) -> None:
    run = simulate(SCENARIOS[scenario], seed)
    for line in summary(run):
        click.echo(line)
    if output is not None:
        draw(run, f"{scenario} (seed {seed}): {run.scenario.about}", output)
        click.echo(f"plot: {output}")


def summary(run: Run) -> Iterator[str]:
    """What is worth knowing of a run, a line each."""
    yield f"backends: at most {run.peak} of B = {run.budget}"
    yield "replicas: " + ", ".join(f"{count} at {at:.0f} s" for at, count in run.changes)
    yield "reasons: " + ", ".join(f"{reason} at {at:.0f} s" for at, reason in run.reasons)
    yield f"grants sent: {len(run.grants)} in {run.scenario.seconds:.0f} s"
    rates = [moment.rate for moment in run.moments]
    yield f"transactions: {sum(rates):.0f}, {sum(rates) / len(rates):.1f} per second"
    waiting = max(moment.waiting for moment in run.moments)
    longest = max(moment.longest_wait for moment in run.moments)
    yield f"waiting: at most {waiting} clients, {longest:.1f} s; connections refused: {run.refused}"


if __name__ == "__main__":
    main()
