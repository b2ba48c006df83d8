"""PgBouncer as an engine. The operator imports `parameters` from here, so nothing is imported on the way."""
