"""Pods to begin with."""

from pathlib import Path

import pytest

from .builders import MONITOR, config, database, grant
from .pod import Pod


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    return Pod(tmp_path)


@pytest.fixture
async def serving(pod: Pod) -> Pod:
    pod.configure(config(database("app"), database("b")))
    pod.secret(username="app", password="secret")
    pod.give(grant({"app": 3, "b": 1}))
    await pod.settle(1)
    pod.engine.told.clear()
    return pod


@pytest.fixture
async def watched(pod: Pod) -> Pod:
    """A pod that serves, with a monitor."""
    pod.configure(config(database("app"), monitor=MONITOR))
    pod.secret(username="app", password="secret")
    pod.mount(pod.layout.monitor, username="seer", password="sees")
    pod.give(grant({"app": 3, "pgpool_monitor": 1}))
    await pod.settle(1)
    return pod
