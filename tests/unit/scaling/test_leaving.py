from dataclasses import replace

from pgpool_operator.scaling import least_missed
from tests.support.loads import QUIET


def test_the_pod_with_the_fewest_clients_goes_first() -> None:
    loads = {name: replace(QUIET, clients=share) for name, share in (("a", 0.3), ("b", 0.1), ("c", 0.2))}
    assert least_missed(loads, 1) == ("b",)
    assert least_missed(loads, 2) == ("b", "c")


def test_of_pods_with_as_many_clients_the_one_that_does_least_goes_first() -> None:
    loads = {name: replace(QUIET, active=active) for name, active in (("a", 5.0), ("b", 1.0))}
    assert least_missed(loads, 1) == ("b",)


def test_a_pod_that_takes_no_clients_goes_before_all_others() -> None:
    assert least_missed({"a": replace(QUIET, clients=0.0), "b": None}, 1) == ("b",)


def test_where_none_has_to_go_none_does() -> None:
    assert least_missed({"a": QUIET}, 0) == ()
    assert least_missed({"a": QUIET}, -1) == ()
