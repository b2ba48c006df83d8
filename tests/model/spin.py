"""Spin on the model beside this file: every interleaving of a configuration, to its end or to the first error."""

import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.engine import install_packages
from e2e.cluster.shell import CommandError, GroundError, run

MODEL = Path(__file__).with_name("ledger.pml")
SEARCH_SECONDS = 120.0
"""How long one search may take; the longest takes 14 s on a busy machine with 2 cores."""
_DEPTH = 100_000
_OPTIMIZED = ("-O1", "-finline-small-functions", "-fpartial-inlining")
"""What -O2 makes is no faster, and takes three times as long to make."""
_REMEDY = "install spin (Debian: apt-get install spin) and a C compiler"


@dataclass(frozen=True)
class Search:
    """What a search found."""

    error: str
    """The assertion that failed; empty if none does, in any state that can be reached."""
    states: int
    seconds: float
    """With the making of the program that searches."""

    def __str__(self) -> str:
        return f"{self.states} states, {self.seconds:.1f} s, {self.error or 'no error'}"


def ensure_spin() -> None:
    """Returns once spin and a C compiler are there. Raises GroundError if they cannot be installed."""
    if _complete():
        return
    if os.geteuid() != 0 or not Path("/etc/debian_version").exists():
        raise GroundError(f"The model cannot be checked: {_REMEDY}.")
    try:
        install_packages("spin", "gcc", "libc6-dev")
    except CommandError as error:
        raise GroundError(f"The model cannot be checked: {_REMEDY}.\n{error}") from error


def search(settings: str, directory: Path, *, long: bool = False) -> Search:
    """Go through the model with `settings` (macros, as in `N=2 LIFE`); programs and trail go to `directory`.

    `long`: millions of states are expected, so that an optimized program is worth the time to make it.
    """
    ensure_spin()
    start = time.monotonic()
    run("spin", *(f"-D{macro}" for macro in settings.split()), "-a", MODEL, cwd=directory)
    # Partial order reduction gains nothing where every step touches what is shared; -w: only asserts are checked.
    flags = _OPTIMIZED if long else ("-O0",)
    run("gcc", *flags, "-w", "-DSAFETY", "-DNOREDUCE", "-DVECTORSZ=256", "-o", "pan", "pan.c", cwd=directory)
    said = run("./pan", "-E", f"-m{_DEPTH}", cwd=directory, timeout=SEARCH_SECONDS)
    return _read(said, time.monotonic() - start)


def _complete() -> bool:
    return shutil.which("spin") is not None and shutil.which("gcc") is not None


def _read(said: str, seconds: float) -> Search:
    errors = re.search(r"errors: (\d+)", said)
    states = re.search(r"(\d+) states, stored", said)
    if errors is None or states is None or "max search depth too small" in said or "out of memory" in said:
        raise CommandError(("pan",), said)
    failed = re.search(r"assertion violated (.*) \(at depth", said)
    if errors.group(1) != "0" and failed is None:
        raise CommandError(("pan",), said)
    if failed is None and "Search not completed" in said:
        raise CommandError(("pan",), said)
    return Search(failed.group(1).strip() if failed else "", int(states.group(1)), seconds)
