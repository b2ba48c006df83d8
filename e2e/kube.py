"""The cluster as a user has it: kubectl, and waits that say what they waited for."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import yaml

Object = dict[str, Any]
T = TypeVar("T")

GENEROUS_SECONDS = 240.0
"""How long a wait lasts before it fails. Never what a test is about: what it took is printed."""


class KubectlError(Exception):
    """kubectl failed; its own words."""


class Kubectl:
    """kubectl in one namespace; in none for manifests that name their own."""

    def __init__(self, binary: Path, kubeconfig: Path, namespace: str) -> None:
        self._binary = binary
        self.kubeconfig = kubeconfig
        self.namespace = namespace

    def within(self, namespace: str) -> "Kubectl":
        """The same cluster, another namespace."""
        return Kubectl(self._binary, self.kubeconfig, namespace)

    def command(self, *args: str) -> list[str]:
        """The command line, for callers that run it themselves."""
        namespace = [f"--namespace={self.namespace}"] if self.namespace else []
        return [str(self._binary), f"--kubeconfig={self.kubeconfig}", *namespace, *args]

    def __call__(self, *args: str, stdin: str | None = None, may_fail: bool = False) -> str:
        """Run kubectl and return its output; KubectlError with its words if it fails and may not."""
        done = subprocess.run(
            self.command(*args),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
        )
        if done.returncode and not may_fail:
            raise KubectlError(f"kubectl {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout

    def apply(self, *manifests: Object) -> None:
        """kubectl apply of manifests as dictionaries."""
        self("apply", "-f", "-", stdin=yaml.safe_dump_all(manifests))

    def get(self, kind: str, name: str) -> Object | None:
        """One object, or None."""
        found = self("get", kind, name, "-o", "json", "--ignore-not-found")
        return json.loads(found) if found.strip() else None

    def list(self, kind: str, selector: str = "") -> list[Object]:
        """All objects of a kind, by label."""
        options = ["-l", selector] if selector else []
        items: list[Object] = json.loads(self("get", kind, "-o", "json", *options))["items"]
        return items

    def patch(
        self, kind: str, name: str, patch: Object, *, subresource: str = "", strategy: str = "merge"
    ) -> None:
        """A merge patch, or a strategic one."""
        options = [f"--subresource={subresource}"] if subresource else []
        self("patch", kind, name, f"--type={strategy}", "-p", json.dumps(patch), *options)


def eventually(what: str, check: Callable[[], T | None], within: float = GENEROUS_SECONDS) -> T:
    """Call `check` until it neither raises AssertionError nor returns None or False; returns its result.

    The wait is long on purpose. What it took is printed, so that a slow one shows in the report.
    """
    started, last = time.monotonic(), "it never became true"
    while time.monotonic() - started < within:
        try:
            result = check()
        except AssertionError as error:
            last = str(error)
        else:
            if result is not None and result is not False:
                print(f"{what}: {time.monotonic() - started:.1f} s")  # noqa: T201
                return result
        time.sleep(0.2)
    raise AssertionError(f"waited {within:.0f} s for: {what}; last: {last}")


def condition(obj: Object, kind: str) -> Object:
    """One condition of an object's status; AssertionError where it is not there yet."""
    found = [c for c in obj.get("status", {}).get("conditions", ()) if c["type"] == kind]
    assert found, f"{obj['kind']} {obj['metadata']['name']} has no condition {kind} yet"
    return dict(found[0])
