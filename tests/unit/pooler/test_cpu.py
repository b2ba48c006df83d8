from pathlib import Path

import pytest

from pgpool_pooler.agent.cpu import cpu_available, usable_cpus


@pytest.mark.parametrize(
    ("limit", "threads", "cpus", "usable"),
    [
        ("max 100000\n", 1, 8, 1.0),
        ("max 100000\n", 8, 2, 2.0),
        ("-1\n 100000\n", 8, 2, 2.0),
        ("10000 100000\n", 1, 8, 0.1),
        ("10000\n 100000\n", 1, 8, 0.1),
        ("250000 100000\n", 1, 8, 1.0),
        ("250000 100000\n", 4, 8, 2.5),
        ("25000 50000\n", 4, 8, 0.5),
    ],
)
def test_the_least_of_limit_threads_and_cpus_can_be_used(
    limit: str, threads: int, cpus: int, usable: float
) -> None:
    assert usable_cpus(limit, threads, cpus) == usable


@pytest.mark.parametrize("limit", ["", "max", "none 100000", "10000 0", "-2 100000", "1 2 3"])
def test_a_limit_that_cannot_be_read_is_not_known(limit: str) -> None:
    assert usable_cpus(limit, 1, 8) == 0.0


def test_a_limit_is_read_anew_each_time_because_it_can_be_changed_in_place(tmp_path: Path) -> None:
    path = tmp_path / "cpu.max"
    path.write_text("10000 100000\n")
    assert cpu_available(1, tmp_path) == 0.1
    path.write_text("20000 100000\n")
    assert cpu_available(1, tmp_path) == 0.2


def test_cgroup_v1_has_the_limit_in_two_files(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("10000\n")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    assert cpu_available(1, tmp_path) == 0.1


def test_without_a_cgroup_nothing_is_known(tmp_path: Path) -> None:
    assert cpu_available(1, tmp_path) == 0.0
