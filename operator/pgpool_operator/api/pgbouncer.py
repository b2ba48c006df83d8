"""The engine's block of a PgPool: PgBouncer's own settings, and the refusal of its sizes."""

from typing import Any

from pydantic import ConfigDict

from pgpool_pooler.engines.pgbouncer.parameters import PgBouncerParameters

from .base import ApiModel, rules

SIZES = (
    "default_pool_size",
    "min_pool_size",
    "reserve_pool_size",
    "max_db_connections",
    "max_user_connections",
)
"""Settings that follow from the budget; the CRD knows them only to say so."""


def _refuse_sizes(schema: dict[str, Any]) -> None:
    for name in SIZES:
        schema["properties"][name] = {
            "type": "integer",
            "description": "Refused: it follows from the budget. Set budget, databases[].maxPercent or "
            "users[].maxPercent.",
        }
    schema |= rules(
        (
            " && ".join(f"!has(self.{name})" for name in SIZES),
            "pool sizes follow from the budget and change with it: set budget, databases[].maxPercent or "
            "users[].maxPercent instead",
        )
    )


class Parameters(PgBouncerParameters):
    """PgBouncer's own settings, by its own names. What is not set has the default given there."""

    model_config = ConfigDict(json_schema_extra=_refuse_sizes)


class PgBouncer(ApiModel):
    """Settings of the engine pgbouncer."""

    parameters: Parameters = Parameters()
    """PgBouncer's own settings, by its own names. What is not set has the default given there."""
