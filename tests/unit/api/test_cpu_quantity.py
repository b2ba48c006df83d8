from decimal import Decimal

import pytest

from pgpool_operator.api import format_cpu, parse_cpu


@pytest.mark.parametrize(
    ("quantity", "cpus"),
    [
        ("16", "16"),
        (16, "16"),
        ("1.5", "1.5"),
        ("500m", "0.5"),
        ("1500m", "1.5"),
        ("1k", "1000"),
        (Decimal("2.5"), "2.5"),
    ],
)
def test_a_quantity_is_an_exact_number_of_cpus(quantity: str | int | Decimal, cpus: str) -> None:
    assert parse_cpu(quantity) == Decimal(cpus)


@pytest.mark.parametrize("quantity", ["0", 0, "0m", "-1", "many", "", "NaN", "4 cores", "Infinity"])
def test_what_is_no_number_above_0_is_refused_with_the_spelling_to_use(quantity: str | int) -> None:
    with pytest.raises(ValueError, match=r'write 16, "1.5" or 500m'):
        parse_cpu(quantity)


@pytest.mark.parametrize(
    ("quantity", "text"),
    [("8", "8"), ("8.000", "8"), ("1500m", "1.5"), ("10", "10"), ("1k", "1000"), ("250m", "0.25")],
)
def test_cpus_are_written_in_their_shortest_form(quantity: str, text: str) -> None:
    assert format_cpu(parse_cpu(quantity)) == text
