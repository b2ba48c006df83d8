"""What the recorded moments of a scenario answer, and that recording goes on after an outage."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest
import yaml

from e2e.faults.moments import Backends, Blind, LedgerGone, LedgerSeen, Mark, Moment, Timeline
from e2e.faults.recorder import Recorder
from e2e.kube import Kubectl, Object, eventually


def timeline(*moments: Moment) -> Timeline:
    made = Timeline()
    made.add(*moments)
    return made


def ledger(at: float, connections: int, *, server: str = "main-a-0", committed: bool = True) -> LedgerSeen:
    return LedgerSeen(at, server, connections, connections, 0, False, (), committed)


def backends(at: float, total: int) -> Backends:
    return Backends(at, total, {"10.244.1.5": total})


def over(seen: Timeline) -> list[str]:
    return [str(each) for each in seen.backends_over()]


def test_moments_come_by_time_whatever_thread_added_them_first() -> None:
    seen = timeline(backends(3, 1), backends(1, 2))
    other = Thread(target=seen.add, args=(backends(2, 3),))
    other.start()
    other.join()
    assert [look.at for look in seen.of(Backends)] == [1, 2, 3]


def test_a_mark_is_made_now_and_says_when() -> None:
    seen = Timeline()
    at = seen.mark("whole again")
    assert seen.of(Mark) == [Mark(at, "whole again")]
    assert 0 <= at <= seen.now()


def test_an_instant_of_the_monotonic_clock_is_put_on_the_timeline() -> None:
    seen = Timeline()
    earlier, now, later = time.monotonic(), seen.now(), time.monotonic()
    assert seen.at(earlier) <= now <= seen.at(later)


def test_the_peak_is_the_most_that_was_counted() -> None:
    assert timeline(backends(0, 3), backends(1, 25), backends(2, 24)).peak() == 25
    assert timeline().peak() == 0


def test_as_many_backends_as_the_budget_are_not_over_it() -> None:
    assert over(timeline(ledger(0, 24), backends(5, 24))) == []


def test_one_backend_more_than_the_budget_is_over_it() -> None:
    assert over(timeline(ledger(0, 24), backends(5, 25))) == ["5.00 s: 25 backends, 24 allowed"]


def test_a_budget_that_is_seen_to_rise_a_second_later_counts_already() -> None:
    assert over(timeline(ledger(0, 12), backends(5, 24), ledger(6, 24))) == []
    assert over(timeline(ledger(0, 12), backends(5, 24), ledger(6.1, 24), backends(5.5, 1))) == [
        "5.00 s: 24 backends, 12 allowed"
    ]


def test_a_budget_that_fell_counts_a_second_longer() -> None:
    assert over(timeline(ledger(0, 24), ledger(5, 12), backends(5.9, 24), backends(5.99, 12))) == []


def test_a_count_that_stays_while_the_budget_falls_is_over_it() -> None:
    assert over(timeline(ledger(0, 24), backends(1, 24), ledger(5, 12))) == [
        "6.00 s: 24 backends, 12 allowed"
    ]


def test_a_budget_that_falls_twice_is_judged_each_time() -> None:
    falling = (ledger(0, 24), backends(1, 20), ledger(5, 20), ledger(10, 16), backends(10.5, 16))
    assert over(timeline(*falling)) == []
    assert over(timeline(*falling[:-1])) == ["11.00 s: 20 backends, 16 allowed"]


def test_what_nobody_could_count_is_not_over_the_budget() -> None:
    assert over(timeline(ledger(0, 24), backends(1, 24), Blind(2), ledger(5, 12))) == []


def test_the_first_budget_was_in_force_before_it_was_seen() -> None:
    assert over(timeline(backends(0, 24), ledger(5, 24))) == []


def test_without_a_ledger_no_backend_is_allowed() -> None:
    assert over(timeline(backends(0, 1))) == ["0.00 s: 1 backends, 0 allowed"]


def test_who_saw_no_backend_or_no_ledger_says_so() -> None:
    assert timeline(ledger(0, 24), backends(1, 24)).unseen() == []
    assert timeline(ledger(0, 24)).unseen() == ["nobody saw PostgreSQL's backends"]
    assert timeline(backends(1, 0), ledger(0, 24, server="other")).unseen() == ["nobody saw the ledger"]


def test_the_ledger_of_another_server_allows_nothing() -> None:
    seen = timeline(ledger(0, 24), ledger(0, 48, server="main-b-0"), backends(5, 25))
    assert len(seen.backends_over()) == 1
    assert seen.backends_over("main-b-0") == []
    assert seen.allowed() == 24


def test_a_ledger_that_was_emptied_is_no_budget_before_the_operator_has_looked() -> None:
    seen = timeline(ledger(0, 24), backends(1, 24), ledger(5, 0, committed=False))
    assert seen.backends_over() == []
    assert timeline(ledger(0, 99, committed=False)).allowed() == 0


def test_marks_that_begin_and_end_a_fault_belong_together() -> None:
    seen = timeline(
        Mark(1, "node/stop begins"),
        Mark(2, "pod/evict begins"),
        Mark(3, "node/stop ends"),
        Mark(4, "whole again"),
    )
    assert seen.faults() == [("node/stop", 1, 3), ("pod/evict", 2, float("inf"))]


class ApiServer(ThreadingHTTPServer):
    """Lists the PgBudgets that it has; its watches say nothing, and break when it goes down."""

    starting = False

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.budgets: list[Object] = []
        self.up = True
        self.broken = Event()
        self.refused = Event()

    @contextmanager
    def down(self) -> Iterator[None]:
        """No request is served while the block runs; at least one is refused."""
        self.up = False
        self.broken.set()
        yield
        assert self.refused.wait(30)
        self.broken = Event()
        self.up = True


class _Request(BaseHTTPRequestHandler):
    server: ApiServer

    def do_GET(self) -> None:
        if not self.server.up:
            self._refuse()
            return
        self.send_response(200)
        self.end_headers()
        if "watch=True" in self.path:
            self.wfile.flush()
            self.server.broken.wait()
            return
        items = self.server.budgets if "pgbudgets" in self.path else []
        self.wfile.write(json.dumps({"metadata": {"resourceVersion": "1"}, "items": items}).encode())

    def _refuse(self) -> None:
        """As while it starts: it has no answer, or one that is no list."""
        if self.server.starting:
            self.send_response(503)
            self.end_headers()
            self.wfile.write(b'{"kind": "Status", "code": 503}')
        self.server.refused.set()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        del format, args


@pytest.fixture
def api_server() -> Iterator[ApiServer]:
    with ApiServer() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.broken.set()
        server.shutdown()
        thread.join()


@contextmanager
def recording(api_server: ApiServer, folder: Path) -> Iterator[Timeline]:
    def no_database() -> str:
        raise AssertionError("no pod main-a-0")

    kubeconfig = folder / "kubeconfig"
    url = f"http://127.0.0.1:{api_server.server_port}"
    kubeconfig.write_text(
        yaml.safe_dump(
            {
                "clusters": [{"name": "c", "cluster": {"server": url}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "users": [{"name": "u", "user": {}}],
                "current-context": "x",
            }
        )
    )
    with Recorder(Kubectl(Path("kubectl"), kubeconfig, "ns"), kubeconfig, no_database, ["app"]) as seen:
        yield seen


def budget(connections: int, version: int) -> Object:
    metadata = {"name": "main-a-0", "resourceVersion": str(version)}
    return {"metadata": metadata, "status": {"observedGeneration": 1, "connections": connections}}


def sizes(seen: Timeline) -> list[int]:
    return [each.connections for each in seen.ledgers()]


def seen_to_be(what: list[int], look: Callable[[], list[int]]) -> bool:
    return eventually(f"{what} are seen", lambda: look() == what, 30)


@pytest.mark.parametrize("starting", [False, True], ids=["no answer", "503"])
def test_a_ledger_that_changed_while_the_api_server_was_down_is_seen_afterwards(
    api_server: ApiServer, tmp_path: Path, starting: bool
) -> None:
    api_server.starting = starting
    api_server.budgets = [budget(24, 1)]
    with recording(api_server, tmp_path) as seen:
        assert seen_to_be([24], lambda: sizes(seen))
        with api_server.down():
            api_server.budgets = [budget(12, 2)]
        assert seen_to_be([24, 12], lambda: sizes(seen))


def test_a_ledger_that_was_deleted_while_the_api_server_was_down_is_seen_to_be_gone(
    api_server: ApiServer, tmp_path: Path
) -> None:
    api_server.budgets = [budget(24, 1)]
    with recording(api_server, tmp_path) as seen:
        assert seen_to_be([24], lambda: sizes(seen))
        with api_server.down():
            api_server.budgets = []
        eventually("it is gone", lambda: seen.of(LedgerGone), 30)
