"""Runs pytest again and again, each time in a child that finds imported what is not the project's own.

`python -m tests.bugs.forked` reads a line for each run, a list in JSON: the file for what the run says on both
streams, and pytest's arguments. It answers with a line: pytest's exit status. It ends when its input does.
"""

import gc
import importlib
import json
import os
import sys

import pytest

_IMPORTED_ONCE = (
    "aiohttp",
    "kopf",
    "kubernetes.client",
    "prometheus_client",
    "psycopg",
    "pydantic",
    "structlog",
    "yaml",
)
"""What takes longest to import. Nothing of the project: a child has to import what is broken by then."""


def main() -> None:
    """Answer lines until there are no more."""
    for module in _IMPORTED_ONCE:
        importlib.import_module(module)
    # Each run makes whole collections, which need not look at what was imported before.
    gc.freeze()
    for line in sys.stdin:
        said, *arguments = json.loads(line)
        child = os.fork()
        if child == 0:
            _be_the_child(said, arguments)
        _, ended = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(ended), flush=True)  # noqa: T201


def _be_the_child(said: str, arguments: list[str]) -> None:
    """Run pytest and end."""
    with open(os.devnull, "rb") as nothing, open(said, "wb") as output:
        os.dup2(nothing.fileno(), sys.stdin.fileno())
        for stream in (sys.stdout, sys.stderr):
            os.dup2(output.fileno(), stream.fileno())
    status = pytest.main(arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
