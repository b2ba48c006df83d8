"""pgbench as the load: a pod of its own, far from the poolers' CPU accounting, through a pool's Service."""

import re
from collections import Counter
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from e2e.kube import Kubectl, eventually

IMAGE = "pgpool-postgres:dev"

GROUPS = 10
ROUND_SECONDS = 10

_PROCESSED = re.compile(r"number of transactions actually processed: (\d+)")
_FAILED = re.compile(r"number of failed transactions: (\d+)")
_COMPLAINT = re.compile(r"^(?:pgbench: error|ERROR|FATAL|WARNING|DETAIL): .*", re.MULTILINE)
_WHICH = re.compile(r"client \d+")
_TOLD = 10
_ABORTED = re.compile(r"client \d+ aborted")


@dataclass(frozen=True)
class Result:
    """What all runs of pgbench reported together."""

    transactions: int
    failed: int
    aborted: int
    """Clients that lost their connection or got an error that ends them."""
    output: str

    def complaints(self) -> list[str]:
        """What pgbench said went wrong, whatever the client, and how often."""
        said = Counter(_WHICH.sub("client", complaint) for complaint in _COMPLAINT.findall(self.output))
        return [f"{count} x {complaint}" for complaint, count in said.most_common(_TOLD)]


@dataclass
class Crowd:
    """`with Crowd(kubectl, "load", dsn, 300, script) as crowd:` keeps that many clients busy until `stop`.

    Groups of clients run pgbench again and again, so that clients which lose their connection come back.
    """

    kubectl: Kubectl
    name: str
    dsn: str
    clients: int
    script: str
    node: str = ""
    """Where the pod runs; empty: anywhere."""
    reconnecting: bool = False
    """A connection for each transaction, so that a new pooler has clients at once."""

    def __enter__(self) -> Self:
        self._remove()
        self.kubectl.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": self.name, "labels": {"pgpool.dev/e2e": "load"}},
                "spec": {
                    "restartPolicy": "Never",
                    "nodeSelector": {"kubernetes.io/hostname": self.node} if self.node else {},
                    "terminationGracePeriodSeconds": 0,
                    "containers": [
                        {"name": "pgbench", "image": IMAGE, "command": ["bash", "-c", self._script()]}
                    ],
                },
            }
        )
        eventually(f"{self.name} runs", lambda: self._phase() != "Pending")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def stop(self) -> Result:
        """Let the last round end, and add up."""
        self.kubectl("exec", self.name, "--", "touch", "/tmp/stop")
        eventually(f"{self.name} ends", lambda: self._phase() != "Running")
        output = self.kubectl("logs", self.name)
        transactions, failed = (sum(map(int, pattern.findall(output))) for pattern in (_PROCESSED, _FAILED))
        return Result(transactions, failed, len(_ABORTED.findall(output)), output)

    def _script(self) -> str:
        options = f"-n -M extended -c {self.clients // GROUPS} -T {ROUND_SECONDS} -f /tmp/script"
        if self.reconnecting:
            options += " --connect"
        return f"""cat > /tmp/script <<'END'
{self.script}
END
for group in $(seq {GROUPS}); do
  while [ ! -e /tmp/stop ]; do pgbench {options} '{self.dsn}' 2>&1; done &
done
wait"""

    def _remove(self) -> None:
        self.kubectl("delete", "pod", self.name, "--ignore-not-found", "--grace-period=0", "--force")

    def _phase(self) -> str:
        pod = self.kubectl.get("pod", self.name)
        return str(pod["status"]["phase"]) if pod else "Gone"
