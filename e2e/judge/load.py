"""pgbench as the load: a pod of its own, far from the poolers' CPU accounting, through a pool's Service."""

import re
import subprocess
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from e2e.kube import Kubectl, eventually

IMAGE = "pgpool-postgres:dev"

_RESULT = {
    "transactions": re.compile(r"number of transactions actually processed: (\d+)"),
    "failed": re.compile(r"number of failed transactions: (\d+)"),
    "tps": re.compile(r"tps = ([\d.]+)"),
}


@dataclass(frozen=True)
class Result:
    """What pgbench reported."""

    transactions: int
    failed: int
    tps: float
    aborted: int
    """Clients that lost their connection or got an error that ends them."""
    output: str


@dataclass
class Pgbench:
    """`with Pgbench(kubectl, "load", dsn, clients=300, seconds=60) as load:` runs it beside the block.

    `load.result()` waits for its end. `script` is a pgbench script; the built-in select-only one if it is empty.
    """

    kubectl: Kubectl
    name: str
    dsn: str
    clients: int
    seconds: int
    script: str = ""
    reconnect: bool = False
    """A new connection for every transaction."""

    def __enter__(self) -> Self:
        self.kubectl("delete", "pod", self.name, "--ignore-not-found", "--grace-period=0", "--force")
        options = f"-n -M extended -c {self.clients} -j 2 -T {self.seconds}"
        options += " -C" if self.reconnect else ""
        options += " -f /tmp/script" if self.script else " -S"
        commands = [f"cat > /tmp/script <<'EOF'\n{self.script}\nEOF"] if self.script else []
        commands += [f"exec pgbench {options} '{self.dsn}' 2>&1"]
        self.kubectl.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": self.name, "labels": {"pgpool.dev/e2e": "load"}},
                "spec": {
                    "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": 0,
                    "containers": [
                        {"name": "pgbench", "image": IMAGE, "command": ["bash", "-c", "\n".join(commands)]}
                    ],
                },
            }
        )
        eventually(f"{self.name} runs", lambda: self._phase() != "Pending")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kubectl("delete", "pod", self.name, "--ignore-not-found", "--grace-period=0", "--force")

    def running(self) -> bool:
        """Whether pgbench still runs."""
        return self._phase() == "Running"

    def result(self) -> Result:
        """Wait for the end; AssertionError with pgbench's words if it did not come to a result."""
        eventually(f"{self.name} ends", lambda: not self.running(), within=self.seconds + 300.0)
        output = self.kubectl("logs", self.name)
        found = {name: pattern.search(output) for name, pattern in _RESULT.items()}
        assert found["transactions"], f"pgbench gave no result:\n{output[-2000:]}"
        numbers = {name: float(match[1]) if match else 0.0 for name, match in found.items()}
        return Result(
            transactions=int(numbers["transactions"]),
            failed=int(numbers["failed"]),
            tps=numbers["tps"],
            aborted=len(re.findall(r"client \d+ (aborted|script)", output)),
            output=output,
        )

    def _phase(self) -> str:
        pod = self.kubectl.get("pod", self.name)
        return str(pod["status"]["phase"]) if pod else "Gone"


def follow_log(kubectl: Kubectl, pod: str) -> "subprocess.Popen[str]":
    """The pod's log from now on, line by line, as a process whose stdout is to be read."""
    return subprocess.Popen(
        kubectl.command("logs", "-f", "--tail=0", pod), stdout=subprocess.PIPE, text=True, bufsize=1
    )
