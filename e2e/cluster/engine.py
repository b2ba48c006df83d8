"""A Docker engine: the one that answers, or Debian's docker.io, installed and started here."""

import os
import shutil
import subprocess
import time
from pathlib import Path

from e2e.cluster import runtime_wrapper
from e2e.cluster.paths import cache_dir
from e2e.cluster.shell import CommandError, GroundError, run, say, succeeds

_PID_FILES = {
    Path("/var/run/docker.pid"): "dockerd",
    Path("/var/run/docker/containerd/containerd.pid"): "containerd",
}
_START_SECONDS = 60.0
_WRAPPED_RUNTIME = "runc-without-sys-resource"


def ensure_engine() -> None:
    """Returns once a Docker engine answers. Raises GroundError if none does and none can be started."""
    problem = _problem()
    if problem is None:
        return
    elsewhere = os.environ.get("DOCKER_HOST")
    if elsewhere:
        raise GroundError(
            f"No Docker engine answers at DOCKER_HOST={elsewhere}: {problem}\n"
            "Start that one, or unset DOCKER_HOST to use this machine's."
        )
    if os.geteuid() != 0 or not Path("/etc/debian_version").exists():
        raise GroundError(
            f"No Docker engine answers: {problem}\n"
            "Start one (or set DOCKER_HOST), or run this as root on Debian, where it installs one."
        )
    if shutil.which("dockerd") is None or shutil.which("docker") is None:
        _install()
    if _problem() is not None:
        _start()


def capabilities_withheld() -> bool:
    """Whether this machine's bounding set lacks a capability that privileged containers ask for."""
    return runtime_wrapper.lacks_capability(Path("/proc/self/status").read_text())


def pid_file_is_stale(pid: str, running: str | None, expected: str) -> bool:
    """Whether a pid file is left over: `running` is the name of the process that has its number now, if any.

    A machine that lost power keeps the file, and the number then belongs to nobody or to somebody else, which
    dockerd takes for itself and refuses to start.
    """
    return not pid.isdigit() or running != expected


def install_packages(*names: str) -> None:
    """Installs Debian packages."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "update", env=environment)
    run("apt-get", "install", "-y", "--no-install-recommends", *names, env=environment)


def _problem() -> str | None:
    if shutil.which("docker") is None:
        return "the docker command is not installed"
    try:
        run("docker", "info", "--format", "{{.ServerVersion}}", timeout=20)
    except CommandError as error:
        return error.output.splitlines()[-1]
    return None


def _install() -> None:
    say("installing Debian's docker.io (about 1 min)")
    install_packages("docker.io", "iptables", "iproute2")
    if shutil.which("docker") is None:
        install_packages("docker-cli")


def _start() -> None:
    if Path("/run/systemd/system").is_dir():
        say("starting the Docker engine with systemd")
        run("systemctl", "start", "docker")
        return
    say("starting the Docker engine (about 3 s)")
    _remove_stale_pid_files()
    log = cache_dir() / "dockerd.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as sink:
        engine = subprocess.Popen(
            _dockerd_command(), stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True
        )
    deadline = time.monotonic() + _START_SECONDS
    while not succeeds("docker", "info", timeout=10):
        if engine.poll() is not None or time.monotonic() > deadline:
            last = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
            raise GroundError(f"dockerd did not start; the end of {log}:\n{last}")
        time.sleep(0.5)


def _dockerd_command() -> list[str]:
    command = ["dockerd"]
    if capabilities_withheld():
        wrapper = runtime_wrapper.install(cache_dir() / "libexec")
        command += ["--add-runtime", f"{_WRAPPED_RUNTIME}={wrapper}", "--default-runtime", _WRAPPED_RUNTIME]
    return command


def _remove_stale_pid_files() -> None:
    for path, expected in _PID_FILES.items():
        if not path.exists():
            continue
        pid = path.read_text().strip()
        name = Path("/proc") / pid / "comm"
        if pid_file_is_stale(pid, name.read_text().strip() if name.exists() else None, expected):
            path.unlink()
