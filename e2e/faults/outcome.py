"""What came of scenarios, kept as lines of JSON, and their figures by class of fault."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import click
from pydantic import BaseModel, TypeAdapter

FILE = "outcomes.jsonl"
LONG_SECONDS = 20.0
"""So long nobody was served is too long: clients that have lost their pooler need a part of it to find another."""


class Outcome(BaseModel):
    """What came of one scenario."""

    title: str
    """class/fault, or chaos/seed."""
    most: int
    """The largest B of the whole time: more sessions at once break the promise."""
    log_peak: int = 0
    """Of PostgreSQL's connection log."""
    sampled_peak: int = 0
    over: tuple[str, ...] = ()
    """Samples with more backends than the ledger allowed at that time."""
    whole_after: float | None = None
    """Seconds of the longest wait until the whole budget was granted and in use again: after the last fault, or
    before its end, where it waits for that itself."""
    transactions: int = 0
    """Of the load."""
    steady: bool = False
    """Somebody had to be served all the time."""
    silence: float = 0.0
    """Seconds: the longest time, from the begin of the first fault until all was whole, in which no transaction of
    the application was acknowledged."""
    served_after: int = 0
    """Those that were acknowledged after the last fault."""
    acknowledged: int = 0
    """Of the application whose rows are counted afterwards."""
    lost: tuple[int, ...] = ()
    """Rows that were acknowledged and are not there."""
    error: str = ""
    """Why it was not played to its end."""

    def broken(self) -> list[str]:
        """The promises that were not kept."""
        found = list(self.over)
        if self.error:
            found.append(self.error)
        if not self.log_peak:
            found.append("PostgreSQL's log has no session: it was not followed")
        if self.log_peak > self.most:
            found.append(f"PostgreSQL's log has {self.log_peak} sessions at once, {self.most} are allowed")
        if self.sampled_peak > self.log_peak:
            found.append(f"PostgreSQL's log misses some of {self.sampled_peak} sessions in pg_stat_activity")
        if self.whole_after is None:
            found.append("the whole budget did not come back into use")
        if not self.transactions:
            found.append("the clients did nothing")
        if self.steady and self.silence >= LONG_SECONDS:
            found.append(f"no transaction was acknowledged for {self.silence:.0f} s")
        if not self.served_after:
            found.append("no transaction was acknowledged after the last fault")
        if self.lost:
            found.append(f"{len(self.lost)} acknowledged transactions are lost, {self.lost[0]} first")
        return found


def keep(outcome: Outcome, folder: Path) -> None:
    """Add it to those of earlier scenarios."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / FILE).open("a") as outcomes:
        outcomes.write(outcome.model_dump_json() + "\n")


def kept(folder: Path) -> list[Outcome]:
    """All that were kept."""
    adapter = TypeAdapter(Outcome)
    return [adapter.validate_json(line) for line in (folder / FILE).read_text().splitlines()]


@dataclass(frozen=True)
class Figures:
    """Of the scenarios of one class."""

    family: str
    runs: int
    violations: int
    """Scenarios in which a promise was broken."""
    highest: float
    """The most sessions at once, as a part of B."""
    median: float
    """Seconds until the whole budget was back in use."""
    p95: float
    silence: float
    """Seconds, at most, in which nobody was served."""
    acknowledged: int
    lost: int


def figures(outcomes: Iterable[Outcome]) -> list[Figures]:
    """By class, in the order of their names."""
    ordered = sorted(outcomes, key=_family)
    return [_of(family, list(group)) for family, group in groupby(ordered, key=_family)]


def _family(outcome: Outcome) -> str:
    return outcome.title.partition("/")[0]


def _of(family: str, outcomes: list[Outcome]) -> Figures:
    waits = sorted(o.whole_after for o in outcomes if o.whole_after is not None) or [float("nan")]
    return Figures(
        family=family,
        runs=len(outcomes),
        violations=sum(bool(o.broken()) for o in outcomes),
        highest=max(o.log_peak / o.most for o in outcomes),
        median=statistics.median(waits),
        p95=waits[min(len(waits) - 1, int(0.95 * len(waits)))],
        silence=max(o.silence for o in outcomes),
        acknowledged=sum(o.acknowledged for o in outcomes),
        lost=sum(len(o.lost) for o in outcomes),
    )


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def report(folder: Path) -> None:
    """Print the figures of the outcomes in FOLDER, a line for each class of fault."""
    click.echo(
        f"{'class':10} runs broken peak/B  whole again after: median    p95  silence acknowledged lost"
    )
    for one in figures(kept(folder)):
        click.echo(
            f"{one.family:10} {one.runs:4} {one.violations:6} {one.highest:6.2f} {one.median:25.1f} s "
            f"{one.p95:4.1f} s {one.silence:6.1f} s {one.acknowledged:12} {one.lost:4}"
        )


if __name__ == "__main__":
    report()
