"""Reading volumes that the kubelet writes.

The kubelet replaces a whole volume at once, by renaming the symbolic link `..data`. Reading file by file through
the link mixes versions, so the directory behind it is opened once and everything is read through that handle.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DATA_LINK: Final = "..data"
_ATTEMPTS: Final = 5


@dataclass(frozen=True)
class Snapshot:
    """A volume's files at one instant; `version` changes with every update by the kubelet."""

    version: str
    files: dict[str, bytes]

    def text(self, name: str) -> str:
        """A file as text, empty if it is not there."""
        return self.files.get(name, b"").decode(errors="replace")


EMPTY: Final = Snapshot("", {})


class Mount:
    """One volume. `read` costs one readlink as long as nothing changes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last = EMPTY

    def read(self) -> Snapshot:
        """The volume's files as of now; empty when there is no volume."""
        for _ in range(_ATTEMPTS):
            try:
                version = os.readlink(self.path / DATA_LINK)
                if version != self._last.version:
                    self._last = Snapshot(version, _read_directory(self.path / DATA_LINK))
            except FileNotFoundError:
                if not os.path.lexists(self.path / DATA_LINK):
                    self._last = EMPTY
                    break
            else:
                break
        return self._last


def _read_directory(path: Path) -> dict[str, bytes]:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return {name: _read_file(name, handle) for name in sorted(os.listdir(handle))}
    finally:
        os.close(handle)


def _read_file(name: str, directory: int) -> bytes:
    handle = os.open(name, os.O_RDONLY, dir_fd=directory)
    with os.fdopen(handle, "rb") as file:
        return file.read()
