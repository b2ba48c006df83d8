"""What `make bench` makes of pgbench's words."""

from pathlib import Path

from e2e.bench import BARE, BEGIN, END, WAYS, Sample, parse, ratios, table, write_down

REPORT = """number of transactions actually processed: 12480
latency average = 190.2 ms
initial connection time = 812.4 ms
tps = 1577.300000 (without initial connection time)
p95 = 240118
"""


def test_throughput_and_latency_are_read_from_the_report() -> None:
    assert parse(REPORT) == Sample(tps=1577.3, p95=240118.0)


def test_a_ratio_is_the_median_of_the_rounds_with_their_range() -> None:
    assert ratios([1.1, 0.8, 0.9]) == "0.90 (0.80 to 1.10)"


def test_rounds_that_agree_have_no_range() -> None:
    assert ratios([1.0, 1.0]) == "1.00"


def test_each_way_is_compared_with_bare_pgbouncer_of_the_same_round() -> None:
    slow = {way: Sample(tps=100.0, p95=50.0) for way in WAYS} | {BARE: Sample(tps=200.0, p95=100.0)}
    fast = {way: Sample(tps=1000.0, p95=5.0) for way in WAYS} | {BARE: Sample(tps=2000.0, p95=10.0)}
    rows = table({"load": [slow, fast]}).splitlines()[2:]
    assert rows[0] == "| load | bare PgBouncer | 300 | 1.00 | 1.00 |"
    assert rows[1] == "| load | PgPool, one pod | 300 | 0.50 | 0.50 |"


def test_only_what_stands_between_the_markers_is_replaced(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_down(readme, "new")
    assert readme.read_text() == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
