"""Which database servers a PgPool has, and which of its pods connects to which. Pure."""

from .assign import assign
from .discover import discover, selector
from .model import DATABASE_NOT_FOUND, NO_PRIMARY, Discovery, DiscoveryProblem, Server
from .names import Address, address_of, ledger_name

__all__ = [
    "DATABASE_NOT_FOUND",
    "NO_PRIMARY",
    "Address",
    "Discovery",
    "DiscoveryProblem",
    "Server",
    "address_of",
    "assign",
    "discover",
    "ledger_name",
    "selector",
]
