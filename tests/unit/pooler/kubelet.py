"""Volumes as the kubelet writes them."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path


def write_volume(path: Path, files: Mapping[str, bytes | str], version: str) -> None:
    """Replace a volume's content at once: a new directory, then `..data` renamed over the old link."""
    data = path / f"..{version}"
    data.mkdir(parents=True)
    for name, content in files.items():
        (data / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    old = os.readlink(path / "..data") if os.path.lexists(path / "..data") else None
    (path / "..data_tmp").symlink_to(data.name)
    (path / "..data_tmp").rename(path / "..data")
    if old is not None:
        shutil.rmtree(path / old)
