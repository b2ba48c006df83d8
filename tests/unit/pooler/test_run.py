"""The agent as a process: what the kubelet sees of it."""

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import tenacity

from pgpool_pooler.contract import LEFT_NOTHING

DOCKERFILE = Path(__file__).parents[3] / "pooler/Dockerfile"


@pytest.fixture
def port(unused_tcp_port: int) -> int:
    return unused_tcp_port


@pytest.fixture
def agent(tmp_path: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """A pod's process 1, as its image starts it, without a grant yet."""
    places = {"config-root": tmp_path / "config", "data": tmp_path / "data", "run-dir": tmp_path / "run"}
    for place in places.values():
        place.mkdir()
    places["termination-log"] = tmp_path / "termination-log"
    options = {"pod-uid": "u", "pod-name": "p", "pod-namespace": "n", "endpoint": "write", "http-port": port}
    given = [f"--{name}={value}" for name, value in (options | places).items()]
    [entry_point] = [line for line in DOCKERFILE.read_text().splitlines() if line.startswith("ENTRYPOINT")]
    *through, agent, run = json.loads(entry_point.removeprefix("ENTRYPOINT"))
    assert agent == "pgpool-agent"
    command = [*through, sys.executable, "-m", "pgpool_pooler", run, *given]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        yield process
        process.kill()


@tenacity.retry(stop=tenacity.stop_after_delay(60), wait=tenacity.wait_fixed(0.05), reraise=True)
def wait_alive(port: int) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez") as answer:
        assert answer.status == 200


def test_sigterm_drains_the_pod_instead_of_killing_it(
    agent: subprocess.Popen[str], port: int, tmp_path: Path
) -> None:
    wait_alive(port)
    agent.terminate()
    said, _ = agent.communicate(timeout=60)
    assert agent.returncode == 0, said
    assert '"drained"' in said
    assert (tmp_path / "termination-log").read_text().startswith(LEFT_NOTHING)


@tenacity.retry(stop=tenacity.stop_after_delay(10), wait=tenacity.wait_fixed(0.001), reraise=True)
def wait_blocked(pid: int) -> None:
    """As the image starts it. Whoever starts a program himself blocks all signals for a moment: that is another."""
    status = Path(f"/proc/{pid}/status").read_text()
    [blocked] = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigBlk:")]
    assert blocked == sum(1 << (number - 1) for number in (signal.SIGTERM, signal.SIGINT))


def test_sigterm_that_comes_before_anything_is_loaded_drains_the_pod_all_the_same(
    agent: subprocess.Popen[str],
) -> None:
    wait_blocked(agent.pid)
    agent.terminate()
    said, _ = agent.communicate(timeout=60)
    assert agent.returncode == 0, said
    assert '"drained"' in said
