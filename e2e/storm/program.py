"""The operator as a program of this machine, with the rights that it has in the cluster; its cost is measured."""

import asyncio
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from prometheus_client.parser import text_string_to_metric_families

from e2e.kube import GENEROUS_SECONDS, Kubectl
from e2e.world import OPERATOR_NAMESPACE

PROGRAM = Path(sys.executable).with_name("pgpool-operator")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """What the process had taken at an instant."""

    seconds: float
    """Since its start."""
    cpu_seconds: float
    rss_mib: float


class Program:
    """The operator's process; at most one at a time."""

    def __init__(self, namespace: str, kubeconfig: Path, log: Path) -> None:
        self._env = {
            **os.environ,
            "KUBECONFIG": str(kubeconfig),
            "WATCH_NAMESPACE": namespace,
            "POD_NAMESPACE": OPERATOR_NAMESPACE,
            "POOLER_IMAGE": "pgpool-pooler:dev",
        }
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._started = 0.0
        self._metrics_port = 0

    async def start(self) -> None:
        """Start it; no wait for anything."""
        self._metrics_port = free_port()
        ports = (f"--metrics-port={self._metrics_port}", f"--health-port={free_port()}")
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                PROGRAM, "run", *ports, env=self._env, stdout=log, stderr=log
            )
        self._started = time.monotonic()

    async def stop(self) -> None:
        """SIGTERM, as a rollout does; waits for its end."""
        if self._process is None:
            return
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(self._process.wait(), GENEROUS_SECONDS)
        self._process = None

    async def reconciled(self, keys: int) -> Usage:
        """Wait until it leads, has reconciled as many keys as there are at least, and nothing is queued."""
        deadline = self._started + GENEROUS_SECONDS
        while time.monotonic() < deadline:
            await asyncio.sleep(0.1)
            found = await self._metrics()
            done = found.get("pgpool_reconciles_total", 0.0)
            if found.get("pgpool_leader") and done >= keys and not found["pgpool_queue_depth"]:
                return self.usage()
        raise AssertionError(f"{keys} keys were not reconciled; the operator's log is {self._log}")

    def usage(self) -> Usage:
        """What it has taken until now."""
        assert self._process is not None
        assert self._process.returncode is None, f"the operator has ended; its log is {self._log}"
        proc = Path(f"/proc/{self._process.pid}")
        # After the name, which may hold anything but ends with the last ")", come state, ppid, ...
        fields = (proc / "stat").read_text().rpartition(")")[2].split()
        rss = next(line for line in (proc / "status").read_text().splitlines() if line.startswith("VmRSS"))
        return Usage(
            seconds=time.monotonic() - self._started,
            cpu_seconds=(int(fields[11]) + int(fields[12])) / TICKS,
            rss_mib=int(rss.split()[1]) / 1024,
        )

    async def _metrics(self) -> dict[str, float]:
        """The sum of each metric over its labels; nothing while the program does not answer yet."""
        url = f"http://127.0.0.1:{self._metrics_port}/metrics"
        try:
            async with aiohttp.ClientSession() as session, session.get(url) as response:
                text = await response.text()
        except aiohttp.ClientError:
            return {}
        sums: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
        return sums


def operators_kubeconfig(kube: Kubectl, directory: Path) -> Path:
    """A kubeconfig of the installed operator's ServiceAccount: its rights, and its name in the audit log."""
    admin: dict[str, Any] = yaml.safe_load(kube.within("")("config", "view", "--raw", "--minify"))
    token = kube.within(OPERATOR_NAMESPACE)("create", "token", "pgpool-operator", "--duration=1h").strip()
    for user in admin["users"]:
        user["user"] = {"token": token}
    path = directory / "kubeconfig"
    path.write_text(yaml.safe_dump(admin), encoding="utf-8")
    return path


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
