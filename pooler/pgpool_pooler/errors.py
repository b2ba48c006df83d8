"""Errors in the words of a person."""

from pydantic import ValidationError


def first_error(error: ValidationError) -> str:
    """A validation error in one line."""
    detail = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in detail["loc"])
    return f"{where}: {detail['msg']}" if where else detail["msg"]
