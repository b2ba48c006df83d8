from fractions import Fraction

import pytest

from pgpool_operator.budget import Ask, size


def ask(
    cpu: str | None = "8",
    *,
    pool: str = "shop/app",
    source: str = "Spec",
    per_cpu: int = 3,
    reserved: int = 10,
) -> Ask:
    return Ask(pool, Fraction(cpu) if cpu is not None else None, source, per_cpu, reserved)


@pytest.mark.parametrize(
    ("cpu", "per_cpu", "connections"),
    [("8", 3, 24), ("1.5", 3, 4), ("0.25", 3, 0), ("0.1", 10, 1), ("1", 1, 1)],
)
def test_connections_are_cpus_times_the_factor_rounded_down(cpu: str, per_cpu: int, connections: int) -> None:
    assert size([ask(cpu, per_cpu=per_cpu)], max_connections=1000).connections == connections


def test_max_connections_less_all_that_is_reserved_is_a_ceiling() -> None:
    assert size([ask("64", reserved=10)], max_connections=100, server_reserved=3).connections == 87


def test_a_limit_of_the_dba_is_a_ceiling() -> None:
    assert size([ask("8")], max_connections=100, limit=5).connections == 5


def test_a_limit_does_not_raise_the_budget() -> None:
    assert size([ask("2")], max_connections=100, limit=50).connections == 6


def test_more_reserved_than_there_is_leaves_nothing() -> None:
    assert size([ask("8", reserved=50)], max_connections=20).connections == 0


def test_unknown_cpus_give_no_connections() -> None:
    budget = size([ask(None)], max_connections=100)
    assert (budget.connections, budget.cpu, budget.cpu_source) == (0, None, "")


def test_without_max_connections_the_size_is_provisional() -> None:
    assert size([ask()], max_connections=None).provisional
    assert not size([ask()], max_connections=100).provisional


def test_of_several_pools_the_lowest_factor_holds_and_is_named() -> None:
    budget = size([ask(per_cpu=4), ask(pool="shop/batch", per_cpu=2)], max_connections=100)
    assert (budget.connections, budget.connections_per_cpu, budget.set_by) == (16, 2, "shop/batch")


def test_of_several_pools_the_fewest_cpus_hold_with_their_source() -> None:
    budget = size([ask("8"), ask("4", source="ContainerLimit"), ask(None)], max_connections=100)
    assert (budget.cpu, budget.cpu_source, budget.connections) == (Fraction(4), "ContainerLimit", 12)


def test_of_several_pools_the_largest_reservation_holds() -> None:
    budget = size([ask("64", reserved=10), ask("64", reserved=40)], max_connections=100)
    assert (budget.reserved_connections, budget.connections) == (40, 60)


def test_a_server_that_no_pool_asks_for_has_no_size() -> None:
    with pytest.raises(ValueError, match="at least one pool"):
        size([], max_connections=100)
