"""PgBouncer as an engine."""

from .build import Built, build, clear_users

__all__ = ["Built", "build", "clear_users"]
