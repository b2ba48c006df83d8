"""Running other programs and telling the person at the terminal what happens."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

_TAIL_LINES = 15


class GroundError(Exception):
    """Something the person at the terminal can act on; its text says what and how."""


class CommandError(GroundError):
    """A program failed; `output` is the end of what it wrote."""

    def __init__(self, argv: Sequence[str], output: str) -> None:
        self.output = "\n".join(output.strip().splitlines()[-_TAIL_LINES:])
        super().__init__(f"`{' '.join(argv)}` failed:\n{self.output}")


def say(message: str) -> None:
    """Prints one line of progress."""
    click.echo(f"- {message}")


def run(
    *argv: str | Path,
    stdin: str | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> str:
    """Runs a program to its end and returns its standard output.

    `timeout` is in seconds. Raises CommandError when it fails, is missing or takes too long.
    """
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            cwd=cwd,
            env=env,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as error:
        raise CommandError(words, f"{words[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise CommandError(words, f"no end after {timeout:g} s") from error
    if done.returncode != 0:
        raise CommandError(words, done.stderr or done.stdout or f"exit status {done.returncode}")
    return done.stdout


def pipe(first: Sequence[str | Path], second: Sequence[str | Path]) -> None:
    """Runs `first | second`. Raises CommandError when either fails."""
    producer_words, consumer_words = [str(word) for word in first], [str(word) for word in second]
    with subprocess.Popen(producer_words, stdout=subprocess.PIPE) as producer:
        consumer = subprocess.run(
            consumer_words, stdin=producer.stdout, capture_output=True, text=True, check=False
        )
    if consumer.returncode != 0:
        raise CommandError(consumer_words, consumer.stderr or consumer.stdout)
    if producer.returncode != 0:
        raise CommandError(producer_words, f"exit status {producer.returncode}")


def succeeds(*argv: str | Path, timeout: float | None = None) -> bool:
    """Whether the program exits with 0."""
    try:
        run(*argv, timeout=timeout)
    except CommandError:
        return False
    return True
