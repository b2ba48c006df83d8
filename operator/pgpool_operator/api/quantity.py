"""Kubernetes quantities as exact numbers."""

from decimal import Decimal

from kubernetes.utils.quantity import parse_quantity


def parse_cpu(quantity: str | int | Decimal) -> Decimal:
    """A quantity such as 16, "1.5" or "500m" as a number of CPUs. ValueError unless it is above 0."""
    try:
        cpus = Decimal(parse_quantity(quantity))  # type: ignore[no-untyped-call]
    except ValueError as error:
        raise ValueError(f'"{quantity}" is not a number of CPUs: write 16, "1.5" or 500m') from error
    if not (cpus.is_finite() and cpus > 0):
        raise ValueError(f'"{quantity}" is not a number of CPUs above 0: write 16, "1.5" or 500m')
    return cpus


def format_cpu(cpus: Decimal) -> str:
    """The shortest usual spelling: 8 for 8.000, 1.5 for 1500m."""
    text = format(cpus, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
