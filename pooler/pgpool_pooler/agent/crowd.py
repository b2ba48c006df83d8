"""How many users share a database, smoothed, so that short connections do not cause a reload each."""

from collections import deque
from collections.abc import Mapping
from typing import Final

WINDOW_SECONDS: Final = 30.0


class Crowd:
    """The largest number of users with clients, per database, over the last half minute."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, Mapping[str, int]]] = deque()

    def look(self, crowd: Mapping[str, int], now: float) -> dict[str, int]:
        """Take in one observation; databases with a single user are left out."""
        self._seen.append((now, crowd))
        while self._seen[0][0] < now - WINDOW_SECONDS:
            self._seen.popleft()
        largest: dict[str, int] = {}
        for _, counts in self._seen:
            for database, users in counts.items():
                largest[database] = max(users, largest.get(database, 0))
        return {database: users for database, users in largest.items() if users > 1}
