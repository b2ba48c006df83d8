"""A cancel request opens a connection of its own: through a Service it may reach any pod, and must cancel the right
query all the same."""

import threading
import time

import psycopg

from e2e.conftest import MakePool
from e2e.kube import GENEROUS_SECONDS

TRIES = 20


def test_a_cancel_through_the_service_cancels_the_right_query(make_pool: MakePool) -> None:
    pool = make_pool(write={"replicas": 3}, read=None)
    dsn = pool.dsn()
    bystander = _Query(dsn, "SELECT pg_sleep(3600)")
    cancelled = [_cancel_one(dsn) for _ in range(TRIES)]
    assert cancelled == ["QueryCanceled"] * TRIES
    assert bystander.outcome() == "", "a cancel hit somebody else's query"
    bystander.cancel()
    assert bystander.wait() == "QueryCanceled"


def _cancel_one(dsn: str) -> str:
    query = _Query(dsn, "SELECT pg_sleep(60)")
    query.cancel()
    return query.wait()


class _Query:
    """One query in a thread of its own, on a connection of its own."""

    def __init__(self, dsn: str, sql: str) -> None:
        self._connection = psycopg.connect(dsn, autocommit=True)
        self._outcome = ""
        self._thread = threading.Thread(target=self._run, args=(sql,), daemon=True)
        self._thread.start()
        time.sleep(0.2)

    def _run(self, sql: str) -> None:
        try:
            self._connection.execute(sql)
        except psycopg.Error as error:
            self._outcome = type(error).__name__
        else:
            self._outcome = "finished"

    def cancel(self) -> None:
        """What every driver does: a new connection to the same address, with the query's key."""
        self._connection.cancel_safe(timeout=10)

    def outcome(self) -> str:
        """The error's name, "finished", or empty while it runs."""
        return self._outcome

    def wait(self) -> str:
        """The outcome, once there is one."""
        self._thread.join(timeout=GENEROUS_SECONDS)
        self._connection.close()
        return self._outcome
