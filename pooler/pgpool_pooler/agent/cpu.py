"""How many CPUs the engine can use, where the container has a limit of its own (cgroup v2)."""

import os
from pathlib import Path
from typing import Final

_CPU_MAX: Final = Path("/sys/fs/cgroup/cpu.max")
"""In a container with a cgroup namespace of its own, as Kubernetes makes them, the container's limit."""


def cpu_available(threads: int, cpu_max: Path = _CPU_MAX) -> float:
    """CPUs that an engine with so many threads can use now: a limit can be changed while it runs.

    0 if it is not known, as where cgroup v2 is not there.
    """
    try:
        text = cpu_max.read_text()
    except OSError:
        return 0.0
    return usable_cpus(text, threads, len(os.sched_getaffinity(0)))


def usable_cpus(cpu_max: str, threads: int, cpus: int) -> float:
    """The least of the limit, the threads and the CPUs; 0 if the limit cannot be read.

    Args:
        cpu_max: content of the file of that name: microseconds or `max`, per a period of microseconds.
        threads: of the engine that do its work.
        cpus: that the process may run on.

    """
    match cpu_max.split():
        case ["max", _]:
            return float(min(threads, cpus))
        case [quota, period] if quota.isdecimal() and period.isdecimal() and int(period) > 0:
            return min(int(quota) / int(period), threads, cpus)
        case _:
            return 0.0
