"""A copy of the project that can be broken, and an environment in which its packages are the ones imported."""

import compileall
import json
import os
import py_compile
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bugs.table import Bug

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = ("operator", "pooler")
"""The folders that hold the packages."""
PASSED, FAILED = 0, 1
"""Exit statuses of pytest; the others say that no test came to a verdict."""

_FAILURE = "\nFAILED "
"""With which a line of pytest's summary begins that names a test that failed."""
_ASSERTIONS = ("assert ", "AssertionError", "Failed: ")
"""How the error begins there if what the test asserts, or a `pytest.raises`, did not come true."""

_LEFT_OUT = (".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "build")


class MovedOnError(Exception):
    """The source does not have the text any more that a bug of the table replaces."""


@dataclass(frozen=True)
class Verdict:
    """What a run of pytest came to."""

    status: int
    output: str

    @property
    def failure(self) -> str:
        """What the summary says of the test that failed: its name, and the error with all its lines.

        Empty if no test failed; errors outside of tests are no failures.
        """
        _, found, told = self.output.rpartition(_FAILURE)
        return told if found else ""

    def catches(self, bug: Bug) -> bool:
        """Whether a test failed, and for what the bug breaks.

        A missing name or a cluster that does not answer make tests fail as well, and say nothing of a promise.
        """
        if self.status != FAILED:
            return False
        if bug.because:
            return bug.because in self.failure
        return any(f" - {kind}" in self.failure.partition("\n")[0] for kind in _ASSERTIONS)


@dataclass(frozen=True)
class Copy:
    """The project in another folder. It has an environment of its own: one that hands PYTHONPATH on would not do,
    as a program that the tests start with a bare environment would import the packages that are not broken."""

    folder: Path
    pytest: "subprocess.Popen[str]"
    """Runs the copy's tests, see tests/bugs/forked.py."""

    @contextmanager
    def broken(self, bug: Bug) -> Iterator[None]:
        """The copy has the bug meanwhile. Raises MovedOnError."""
        path = self.folder / bug.file
        sound = path.read_text()
        path.write_text(with_bug(sound, bug))
        try:
            yield
        finally:
            path.write_text(sound)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the copy's Python in the copy; what it says on both streams is in `stdout`."""
        return subprocess.run(
            [_python(self.folder), *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def test(self, *selection: str) -> Verdict:
        """Run tests up to the first failure."""
        # So verbose, pytest cuts no error short, which may be where the reason is. Without the plugin of
        # hypothesis, a test that does not use hypothesis is spared its import.
        options = ("-x", "-vv", "-p", "no:cacheprovider", "-p", "no:hypothesispytest")
        asked, answered = self.pytest.stdin, self.pytest.stdout
        assert asked
        assert answered
        with tempfile.NamedTemporaryFile("r") as said:
            asked.write(json.dumps([said.name, *options, *selection]) + "\n")
            asked.flush()
            return Verdict(int(answered.readline()), said.read())


@contextmanager
def copied(folder: Path) -> Iterator[Copy]:
    """The working tree is copied to `folder`, which must not exist. The copy can run tests until the block ends."""
    _copy(folder)
    # As for hypothesis, what it tries is the same each time: so it does where CI is set. What is compiled of the
    # tests may be kept, whoever calls: it is not written anew for each bug.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    with subprocess.Popen(
        [_python(folder), "-m", "tests.bugs.forked"],
        cwd=folder,
        env={**environment, "CI": "true"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as pytest:
        yield Copy(folder, pytest)


def _copy(folder: Path) -> None:
    shutil.copytree(REPOSITORY, folder, ignore=shutil.ignore_patterns(*_LEFT_OUT))
    for source in SOURCES:
        # By content and not by time: a bug may come and go within a second, at the same length.
        checked = py_compile.PycInvalidationMode.CHECKED_HASH
        compileall.compile_dir(folder / source, quiet=1, invalidation_mode=checked)
    _make_environment(folder)


def _python(folder: Path) -> Path:
    """The interpreter of the copy's environment."""
    return folder / ".venv" / "bin" / "python"


def with_bug(source: str, bug: Bug) -> str:
    """The source of a bug's file, broken. Raises MovedOnError."""
    found = source.count(bug.right)
    if found != 1:
        raise MovedOnError(
            f"{bug.file} has the text that the bug '{bug.name}' replaces {found} times instead of once: the source "
            f"has moved on, bring `right` and `wrong` in tests/bugs/table/ up to date. The text:\n{bug.right}"
        )
    return source.replace(bug.right, bug.wrong)


def _make_environment(folder: Path) -> None:
    """The packages of the copy, and after them all that is installed where this runs."""
    environment = folder / ".venv"
    venv.create(environment, symlinks=True)
    installed = sysconfig.get_path("purelib")
    paths = [*(str(folder / source) for source in SOURCES), installed]
    variables = {"base": str(environment), "platbase": str(environment)}
    site_packages = Path(sysconfig.get_path("purelib", vars=variables))
    (site_packages / "copy.pth").write_text("\n".join(paths))
    builder = Path(sys.prefix) / "bin" / "uv"
    if builder.exists():
        os.symlink(builder, environment / "bin" / "uv")
