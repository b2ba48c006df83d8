import pytest

from pgpool_operator.scaling import Cause, cause_of, prevailing
from tests.support.loads import backends


@pytest.mark.parametrize(
    ("counts", "cause"),
    [
        ({"cpu": 8, "idle": 16}, Cause.CPU),
        ({"cpu": 7, "lock": 17}, Cause.LOCK),
        ({"cpu": 7, "io": 17}, Cause.IO),
        ({"cpu": 2, "held": 22}, Cause.HELD),
        ({"cpu": 2, "idle": 22}, Cause.LOW),
        ({"cpu": 6, "io": 6, "lock": 6, "held": 6}, Cause.UNKNOWN),
        ({"other": 24}, Cause.UNKNOWN),
        ({"lock": 10, "unseen": 14}, Cause.UNKNOWN),
        ({"lock": 14, "unseen": 10}, Cause.LOCK),
        ({}, Cause.UNKNOWN),
    ],
    ids=str,
)
def test_the_cause_is_what_most_backends_of_a_server_with_8_cpus_do(
    counts: dict[str, float], cause: Cause
) -> None:
    assert cause_of(backends(**counts), 8) is cause


def test_where_nobody_looked_the_cause_is_unknown() -> None:
    assert cause_of(None, 8) is Cause.UNKNOWN


def test_where_the_cpus_are_unknown_busy_backends_name_no_cause() -> None:
    assert cause_of(backends(cpu=24), 0) is Cause.UNKNOWN


def test_what_most_pods_name_prevails_over_what_they_do_not_know() -> None:
    assert prevailing([Cause.UNKNOWN, Cause.LOCK, Cause.UNKNOWN]) is Cause.LOCK
    assert prevailing([Cause.LOCK, Cause.CPU, Cause.CPU]) is Cause.CPU
    assert prevailing([Cause.UNKNOWN]) is Cause.UNKNOWN
    assert prevailing([]) is Cause.UNKNOWN
