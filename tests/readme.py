"""README.md's code blocks, for the tests that hold it to what the project does."""

import re
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    """The code blocks that are marked as `language`."""
    text = (REPOSITORY / "README.md").read_text()
    return [body for marked, body in _BLOCK.findall(text) if marked == language]


def lines(language: str) -> list[str]:
    """Their lines, without comments."""
    found = [line.strip() for block in blocks(language) for line in block.splitlines()]
    return [line for line in found if line and not line.startswith(("#", "--"))]


def pools() -> list[dict[str, Any]]:
    """The PgPools that it shows."""
    return [yaml.safe_load(block) for block in blocks("yaml")]
