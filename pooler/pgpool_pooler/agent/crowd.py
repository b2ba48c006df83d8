"""How many users share a database, smoothed, so that short connections do not cause a reload each."""

from collections.abc import Mapping
from typing import Final

from .lately import Highest

WINDOW_SECONDS: Final = 30.0


class Crowd:
    """The largest number of users with clients, per database, over the last half minute."""

    def __init__(self) -> None:
        self._users = Highest(WINDOW_SECONDS)

    def look(self, crowd: Mapping[str, int], now: float) -> dict[str, int]:
        """Take in one observation; databases with a single user are left out."""
        return {database: users for database, users in self._users.look(crowd, now).items() if users > 1}
