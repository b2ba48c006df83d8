"""The judges: what PostgreSQL itself says of the connections, and what clients saw of their transactions."""
