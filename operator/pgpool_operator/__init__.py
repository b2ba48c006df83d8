"""The PgPool operator: poolers that stay inside the budget of their database."""
