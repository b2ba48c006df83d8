"""How many CPUs the engine can use: its threads, or what the container's cgroup leaves it."""

import os
from pathlib import Path
from typing import Final

_CGROUP: Final = Path("/sys/fs/cgroup")
"""The container's own: container runtimes show nothing above it."""
_CPU_MAX: Final = ("cpu.max",)
"""cgroup v2: both numbers in one file."""
_CFS: Final = ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")
"""cgroup v1."""


def cpu_available(threads: int, cgroup: Path = _CGROUP) -> float:
    """CPUs that an engine with so many threads can use now: a limit can be changed while it runs.

    0 if it is not known.
    """
    for files in (_CPU_MAX, _CFS):
        try:
            limit = " ".join((cgroup / name).read_text() for name in files)
        except OSError:
            continue
        return usable_cpus(limit, threads, len(os.sched_getaffinity(0)))
    return 0.0


def usable_cpus(limit: str, threads: int, cpus: int) -> float:
    """The least of limit, threads and CPUs; 0 if the limit cannot be read.

    Args:
        limit: microseconds (`max` or -1: any number of them) in a period of microseconds.
        threads: of the engine that do its work.
        cpus: that the process may run on.

    """
    match limit.split():
        case ["max" | "-1", _]:
            return float(min(threads, cpus))
        case [quota, period] if quota.isdecimal() and period.isdecimal() and int(period) > 0:
            return min(int(quota) / int(period), threads, cpus)
        case _:
            return 0.0
