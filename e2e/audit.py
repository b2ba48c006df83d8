"""What the operator wrote, as the API server's audit log has it (reads and Leases are not in it)."""

import json
from dataclasses import dataclass
from typing import Self

from e2e.cluster import AUDIT_LOG, CONTROL_PLANE
from e2e.cluster.shell import run
from e2e.world import OPERATOR_NAMESPACE

OPERATOR_USER = f"system:serviceaccount:{OPERATOR_NAMESPACE}:pgpool-operator"


@dataclass(frozen=True)
class Write:
    """One write request that was answered."""

    verb: str
    resource: str
    name: str
    subresource: str
    code: int


@dataclass(frozen=True)
class Mark:
    """A place in the audit log: `Mark.now()`, and later what the operator has written since."""

    offset: int

    @classmethod
    def now(cls) -> Self:
        """The end of the log as it is."""
        return cls(_size())

    def writes(self, namespace: str) -> list[Write]:
        """The operator's write requests since then that concern a namespace, refused ones included."""
        # The API server starts a new file when this one has grown too large.
        start = self.offset if self.offset <= _size() else 0
        lines = run("docker", "exec", CONTROL_PLANE, "tail", "-c", f"+{start + 1}", AUDIT_LOG).splitlines()
        entries = (json.loads(line) for line in lines if OPERATOR_USER in line)
        return [
            Write(
                verb=entry["verb"],
                resource=entry["objectRef"]["resource"],
                name=entry["objectRef"].get("name", ""),
                subresource=entry["objectRef"].get("subresource", ""),
                code=entry["responseStatus"]["code"],
            )
            for entry in entries
            if entry["user"]["username"] == OPERATOR_USER
            and entry.get("objectRef", {}).get("namespace") == namespace
        ]


def _size() -> int:
    return int(run("docker", "exec", CONTROL_PLANE, "stat", "-c", "%s", AUDIT_LOG))
