"""PgBouncer as an engine."""
