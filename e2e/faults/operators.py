"""Operators that run on this host, behind a proxy that can fail, instead of the ones in the cluster."""

import base64
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import yaml

from e2e.cluster.images import POOLER
from e2e.faults.proxy import HOST, Counters, Policy
from e2e.kube import Kubectl, Object, eventually
from e2e.world import LEASE, OPERATOR_NAMESPACE, REPOSITORY, operators_away

RESTART_SECONDS = 1.0
"""From the end of an operator to its next start."""
GRACE_SECONDS = 30.0
"""From SIGTERM to SIGKILL, as a kubelet's default."""

_OPERATOR = "pgpool-operator"
"""The ServiceAccount, and what is made for it in another namespace."""
_IN_A_POD = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
_DIE_WITH_THIS = ("setpriv", "--pdeathsig", "KILL")
"""Whatever ends the tests, even SIGKILL, ends what they have started."""


class Operators:
    """Two operators behind one proxy, while the `with` block runs; the cluster's own rest meanwhile.

    Each is the real command with the rights of the real ServiceAccount, and is started again whenever it ends.
    Their logs, and the proxy's, are operator-0.log, operator-1.log and proxy.log in `logs`.
    """

    def __init__(self, kubectl: Kubectl, logs: Path, count: int = 2) -> None:
        self._kubectl = kubectl.within(OPERATOR_NAMESPACE)
        self._logs = logs
        self._count = count
        self._stack = ExitStack()
        self._processes: list[_Supervised] = []
        self._ports: list[int] = []
        self._control = ""

    def __enter__(self) -> Self:
        assert not _IN_A_POD.exists(), f"because of {_IN_A_POD}, operators would go around the proxy"
        self._logs.mkdir(parents=True, exist_ok=True)
        control, *ports = _free_ports(1 + 3 * self._count)
        self._ports = ports[: self._count]
        self._control = f"http://{HOST}:{control}/ports"
        with ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            stack.enter_context(operators_away(self._kubectl))
            stack.enter_context(self._proxy(control, directory))
            for index in range(self._count):
                process = self._operator(index, ports[index :: self._count], directory)
                self._processes.append(process)
                stack.callback(process.stop)
            # Entered last, left first: without faults, the operators give the Lease back when they stop.
            stack.callback(self.clear)
            self.start_all()
            self.wait_leading()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def set_policy(self, policy: Policy, only: int | None = None) -> None:
        """From now on this happens to all operators' requests, or to those of one."""
        for index in range(self._count) if only is None else (only,):
            self._ask("PUT", f"/{self._ports[index]}/policy", policy.model_dump_json())

    def clear(self) -> None:
        """Nothing happens to anybody's requests any more."""
        self.set_policy(Policy())

    def counters(self, index: int) -> Counters:
        """What has happened to an operator's requests since its policy was set."""
        return Counters.model_validate_json(self._ask("GET", f"/{self._ports[index]}"))

    def all_counters(self) -> list[Counters]:
        """Those of each operator."""
        return [self.counters(index) for index in range(self._count)]

    def pid(self, index: int) -> int:
        """The operator's process; AssertionError in the second in which it is not started again yet."""
        pid = self._processes[index].pid
        assert pid is not None, f"operator {index} does not run"
        return pid

    def starts(self, index: int) -> int:
        """How often the operator has been started since the block began."""
        return self._processes[index].starts

    def kill(self, index: int) -> None:
        """SIGKILL; it is started again."""
        self._processes[index].kill()

    def free_lease(self) -> None:
        """Take the Lease from who holds it and died: another one need not wait until it has run out."""
        self._kubectl("delete", "lease", LEASE, "--ignore-not-found")

    def next_to(self, index: int) -> int:
        """Another one of them."""
        return (index + 1) % self._count

    def give_lease(self, index: int) -> None:
        """Write an operator into the Lease, whoever has it."""
        holder = _identity(self.pid(index))
        self._kubectl.patch("lease", LEASE, {"spec": {"holderIdentity": holder}})

    @contextmanager
    def rival(self, lease_namespace: str) -> Iterator[None]:
        """The last operator stops, and in its place another starts that leads by a Lease of its own: both write.

        One of the others leads by then. The ServiceAccount may use the second Lease only meanwhile.
        """
        before, after = self._processes[-1], self._rival(lease_namespace)
        lease = self._kubectl.within(lease_namespace)
        try:
            before.stop()
            lease.apply(*_lease_rights(lease_namespace))
            after.start()
            eventually("another operator leads too", lambda: _leads(after, lease))
            self.wait_leading()
            yield
        finally:
            after.stop()
            before.start()
            lease("delete", "role,rolebinding", _OPERATOR, "--ignore-not-found")
            lease("delete", "lease", LEASE, "--ignore-not-found")

    def stop_all(self) -> None:
        """As a scale down to nothing: SIGTERM, and none runs when this returns."""
        for process in self._processes:
            process.stop()

    def start_all(self) -> None:
        """Start those that do not run; wait_leading() waits until one of them works."""
        for process in self._processes:
            process.start()

    def leader(self) -> int | None:
        """Which of them holds the Lease and lives."""
        leading = (i for i, process in enumerate(self._processes) if _leads(process, self._kubectl))
        return next(leading, None)

    def wait_leading(self) -> int:
        """Wait until one of them leads; which."""

        def leading() -> int:
            found = self.leader()
            assert found is not None, f"of the processes {[process.pid for process in self._processes]} none"
            return found

        return eventually("an operator behind the proxy leads", leading)

    def _ask(self, method: str, path: str, body: str = "") -> bytes:
        request = urllib.request.Request(self._control + path, body.encode() or None, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            content: bytes = answer.read()
            return content

    @contextmanager
    def _proxy(self, control: int, directory: Path) -> Iterator[None]:
        upstream, authority = _api_server(self._kubectl)
        ca, token = directory / "ca.pem", directory / "token"
        _write_private(ca, authority)
        _write_private(token, self._kubectl("create", "token", _OPERATOR, "--duration=24h"))
        options = [
            f"--upstream={upstream}",
            f"--ca={ca}",
            f"--token-file={token}",
            f"--control-port={control}",
        ]
        options += [f"--port={port}" for port in self._ports]
        command = [sys.executable, "-m", "e2e.faults.proxy", *options]
        proxy = _Supervised(command, os.environ, self._logs / "proxy.log")
        proxy.start()
        try:
            eventually("the proxy answers", self._proxied)
            yield
        finally:
            proxy.stop()

    def _proxied(self) -> bool:
        try:
            self._ask("GET", f"/{self._ports[0]}")
        except urllib.error.URLError:
            return False
        return True

    def _rival(self, lease_namespace: str) -> "_Supervised":
        last = self._processes[-1]
        environment = {**last.environment, "POD_NAMESPACE": lease_namespace}
        return _Supervised(last.command, environment, self._logs / "rival.log")

    def _operator(self, index: int, ports: Sequence[int], directory: Path) -> "_Supervised":
        server, health, metrics = ports
        kubeconfig = directory / f"kubeconfig-{index}"
        _write_private(kubeconfig, _kubeconfig(f"http://{HOST}:{server}"))
        command = [sys.executable, "-m", "pgpool_operator", "run"]
        command += [f"--health-port={health}", f"--metrics-port={metrics}"]
        # Nothing of this process' environment but PATH: no way to an API server around the proxy.
        environment = {
            "PATH": os.environ["PATH"],
            # The operator of this checkout, wherever another one is installed.
            "PYTHONPATH": f"{REPOSITORY / 'operator'}:{REPOSITORY / 'pooler'}",
            "KUBECONFIG": str(kubeconfig),
            "POD_NAME": f"operator-{index}",
            "POD_NAMESPACE": OPERATOR_NAMESPACE,
            "POOLER_IMAGE": POOLER.tag,
        }
        return _Supervised(command, environment, self._logs / f"operator-{index}.log")


@dataclass(frozen=True)
class _Run:
    """The time from start() to stop()."""

    thread: threading.Thread
    over: threading.Event


class _Supervised:
    """A process that is started again whenever it ends, until it is stopped; its output is appended to a file."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.starts = 0
        self.command = command
        self.environment = environment
        self._log = log
        # Held to start the process and to signal it: none is started once stop() has been called.
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._run: _Run | None = None

    @property
    def pid(self) -> int | None:
        """Of the process that runs now."""
        child = self._child
        return child.pid if child is not None and child.returncode is None else None

    def start(self) -> None:
        """Start it and keep it running; nothing if that is so already."""
        if self._run is not None:
            return
        over = threading.Event()
        thread = threading.Thread(target=self._supervise, args=(over,), name=self._log.stem, daemon=True)
        self._run = _Run(thread, over)
        thread.start()

    def kill(self) -> None:
        """SIGKILL."""
        with self._lock:
            if self._child is not None:
                self._child.kill()

    def stop(self) -> None:
        """SIGTERM, then SIGKILL if it does not end; nothing of it runs when this returns."""
        run, self._run = self._run, None
        if run is None:
            return
        with self._lock:
            run.over.set()
            if self._child is not None:
                self._child.terminate()
        run.thread.join(GRACE_SECONDS)
        self.kill()
        run.thread.join()

    def _supervise(self, over: threading.Event) -> None:
        with self._log.open("ab", buffering=0) as log:
            while not over.is_set():
                with self._lock:
                    if over.is_set():
                        return
                    self._child = self._begin(log.fileno())
                code = self._child.wait()
                log.write(f"-- process {self._child.pid} ended with {code}\n".encode())
                over.wait(RESTART_SECONDS)

    def _begin(self, log: int) -> subprocess.Popen[bytes]:
        self.starts += 1
        return subprocess.Popen(
            [*_DIE_WITH_THIS, *self.command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=REPOSITORY,
            env=dict(self.environment),
            # A Ctrl-C is for the tests, which then stop this in order.
            start_new_session=True,
        )


def _leads(process: _Supervised, kubectl: Kubectl) -> bool:
    """Whether it lives and holds the Lease in a namespace."""
    lease = kubectl.get("lease", LEASE) or {}
    holder = lease.get("spec", {}).get("holderIdentity")
    return process.pid is not None and holder == _identity(process.pid)


def _identity(pid: int) -> str:
    """By which a process holds a Lease."""
    return f"{socket.gethostname()}_{pid}"


def _lease_rights(namespace: str) -> tuple[Object, Object]:
    """What the installed ServiceAccount needs for a Lease in another namespace."""
    group, metadata = "rbac.authorization.k8s.io", {"name": _OPERATOR, "namespace": namespace}
    rule = {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "verbs": ["create", "get", "update", "patch"],
    }
    role = {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": [rule]}
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": group, "kind": "Role", "name": _OPERATOR},
        "subjects": [{"kind": "ServiceAccount", "name": _OPERATOR, "namespace": OPERATOR_NAMESPACE}],
    }
    return role, binding


def _api_server(kubectl: Kubectl) -> tuple[str, str]:
    """Its URL and its certificate authority, PEM, as the tests' kubeconfig has them."""
    config = json.loads(kubectl("config", "view", "--raw", "--minify", "--output=json"))
    cluster = config["clusters"][0]["cluster"]
    return cluster["server"], base64.b64decode(cluster["certificate-authority-data"]).decode()


def _kubeconfig(server: str) -> str:
    """Without credentials: the proxy adds them."""
    name = "proxy"
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": {"server": server}}],
            "users": [{"name": name, "user": {}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
        }
    )


def _write_private(path: Path, content: str) -> None:
    path.touch(mode=0o600)
    path.write_text(content, encoding="utf-8")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server((HOST, 0))) for _ in range(count)]
        return [int(each.getsockname()[1]) for each in sockets]
