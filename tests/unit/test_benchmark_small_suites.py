"""What the small suites compute from what they see, and what they say of it."""

from __future__ import annotations

import pytest

from benchmarks.lab.processes import Usage
from benchmarks.suites import growth, idle, write_overhead
from benchmarks.suites.growth import Growth, Size
from fixlify.domain.errors import DevstackError


def test_the_ratio_of_writes_is_the_median_of_the_rounds() -> None:
    """A round in which the machine was busy slows both, and moves the medians but not the ratio."""
    cost = write_overhead.cost_of("one UPDATE", "simple", 1, [1_000, 100, 1_000], [900, 90, 900])
    assert cost.ratio == 0.9
    assert cost.microseconds == pytest.approx(111.1)


def test_what_a_write_takes_longer_counts_for_each_client() -> None:
    """Eight clients at 8,000 a second wait a millisecond each, not an eighth of one."""
    cost = write_overhead.cost_of("one UPDATE", "simple", 8, [8_000], [4_000])
    assert cost.microseconds == 1_000


def test_the_plainest_write_is_what_is_judged() -> None:
    costs = [
        write_overhead.cost_of(write, protocol, clients, [100], [100 - 10 * order])
        for order, (write, protocol, clients) in enumerate(write_overhead.WRITES)
    ]
    figures = write_overhead.summary(costs, [100.0], [350.0], 1)
    assert write_overhead.WRITES[0] == ("one UPDATE", "simple", 1)
    assert figures["ratio"] == 1.0
    assert figures["bulk_us_per_job"] == 25.0
    told = write_overhead.section(figures)
    assert [row[:3] for row in told.tables[0].rows] == [
        (write, protocol, str(clients)) for write, protocol, clients in write_overhead.WRITES
    ]


def test_pgbench_that_measured_nothing_is_quoted() -> None:
    printed = "latency average = 0.4 ms\ntps = 2205.401571 (without initial connection time)\n"
    assert write_overhead.read_tps(printed) == 2205.401571
    with pytest.raises(DevstackError, match="Connection refused"):
        write_overhead.read_tps("pgbench: error: Connection refused")


def test_growth_is_per_run_and_leaves_out_what_may_be_a_page() -> None:
    before = {"messages": Size(2, 8_192, 16_384), "quiet": Size(5, 8_192, 8_192)}
    after = {
        "messages": Size(202, 108_192, 66_384),
        "quiet": Size(6, 16_384, 16_384),
        "new": Size(100, 40_960, 0),
    }
    assert growth.growth(before, after, 100) == [
        Growth("messages", 2.0, 1_000, 500),
        Growth("new", 1.0, 410, 0),
    ]


def test_statements_are_counted_on_one_line_each() -> None:
    log = (
        "2026-11-22 07:00:00 UTC [1] fixlify@fixlify LOG:  statement: BEGIN\n"
        "2026-11-22 07:00:00 UTC [1] fixlify@fixlify LOG:  execute _pg3_0: \n"
        "\tSELECT id\n"
        "\tFROM automation_events\n"
        "2026-11-22 07:00:00 UTC [1] fixlify@fixlify DETAIL:  Parameters: $1 = '5'\n"
        "2026-11-22 07:00:01 UTC [1] fixlify@fixlify LOG:  execute <unnamed>: SELECT id\n"
        "\tFROM automation_events\n"
        "2026-11-22 07:00:01 UTC [2] LOG:  checkpoint starting: time\n"
    )
    assert idle.statements(log) == {"BEGIN": 1, "SELECT id FROM automation_events": 2}


def test_the_one_that_measures_is_not_counted_as_idle() -> None:
    before = {"worker": Usage(1, 1.0), "driver": Usage(1, 5.0)}
    after = {"worker": Usage(1, 1.5), "driver": Usage(1, 9.0), "late": Usage(1, 1.0)}
    assert idle.processor_time(before, after, minutes=0.5) == {"worker": 1.0}
