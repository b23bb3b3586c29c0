"""What rounds of a steady rate say, and when they say nothing."""

from __future__ import annotations

import pytest

from benchmarks.lab.backlog import Drained
from benchmarks.lab.rounds import Round, grows
from benchmarks.lab.stages import STAGES, Moments, stage_medians
from benchmarks.lab.years import Grown
from benchmarks.suites import latency, tenfold


def _moments(*, begun: float = 0.02) -> Moments:
    return Moments(
        committed=0.0,
        recorded=0.005,
        begun=begun,
        rendered=begun + 0.001,
        claimed=begun + 0.003,
        accepted=begun + 0.004,
        ended=begun + 0.010,
    )


def _round(*latencies: float) -> Round:
    ends = [float(place) for place in range(len(latencies))]
    return Round(list(latencies), [0.1] * len(latencies), [_moments()], ends)


def _growing(count: int = 40) -> list[float]:
    return [50.0 + place * 50 for place in range(count)]


def test_a_queue_that_grows_is_seen() -> None:
    assert grows(_growing())


def test_one_long_pause_is_no_growing_queue() -> None:
    assert not grows([50.0] * 39 + [5000.0])


def test_a_rate_that_is_slow_from_the_start_is_not_taken_for_too_high() -> None:
    assert not grows([900.0] * 40)


def test_a_hiccup_of_the_machine_is_no_growing_queue() -> None:
    assert not grows([20.0] * 20 + [120.0] * 20)


def test_of_a_few_runs_nothing_is_said() -> None:
    assert not grows(_growing(19))


def test_a_rate_that_cannot_be_kept_has_no_percentiles() -> None:
    figures = latency.of_rate(30, [_round(*_growing()), _round(*_growing()), _round(50.0)])
    assert figures["saturated"] is True
    assert figures["p50_ms"] is None
    assert figures["max_ms"] is None


def test_one_bad_round_of_several_does_not_make_a_rate_saturated() -> None:
    figures = latency.of_rate(30, [_round(*_growing()), _round(50.0), _round(60.0)])
    assert figures["saturated"] is False
    assert figures["p50_ms"] == 60.0


def test_percentiles_are_medians_of_the_rounds_and_the_worst_is_of_all() -> None:
    figures = latency.of_rate(10, [_round(10, 10, 10), _round(20, 20, 20), _round(30, 30, 90)])
    assert figures["p50_ms"] == 20.0
    assert figures["max_ms"] == 90.0
    assert figures["count"] == 9


def test_stages_follow_each_other_from_the_commit_on() -> None:
    assert stage_medians([_moments(), _moments(), _moments(begun=9.0)]) == {
        "recorded": 5.0,
        "begun": 15.0,
        "rendered": 1.0,
        "claimed": 2.0,
        "accepted": 1.0,
        "ended": 6.0,
    }


def test_the_page_tells_a_saturated_rate_in_words() -> None:
    figures = latency.summary(
        _round(200.0),
        {1: [_round(20.0)], 10: [_round(25.0)], 30: [_round(*_growing())]},
    )
    section = latency.section(figures)
    rates, stages = section.tables
    assert [row[0] for row in rates.rows] == ["1", "10", "30"]
    assert rates.rows[1][2] == "25.0 ms"
    assert rates.rows[2][2].startswith("saturated: ")
    assert [row[0] for row in stages.rows] == list(STAGES)
    assert (figures["warm_p50_ms"], figures["cold_ms"]) == (25.0, 200.0)


def test_ten_times_the_rows_are_compared_within_each_round() -> None:
    small = tenfold.Side(20, Grown(rows=100, size=1_000_000))
    large = tenfold.Side(200, Grown(rows=1000, size=10_000_000))
    small.steady = [_round(10.0), _round(40.0)]
    large.steady = [_round(12.0), _round(40.0)]
    for side, rates in ((small, (20, 40)), (large, (10, 40))):
        side.backlog = [Drained(runs=1, seconds=1, per_second=each, cpu_ms={}) for each in rates]
    figures = tenfold.summary(small, large)
    assert figures["p50_ratio_by_round"] == [1.2, 1.0]
    assert figures["p50_ratio"] == pytest.approx(1.1)
    assert figures["throughput_ratio_by_round"] == [0.5, 1.0]
    assert "from 1.0 to 1.2 and from 0.5 to 1.0" in " ".join(tenfold.section(figures).text)


def test_nothing_is_told_of_what_a_quick_run_left_out() -> None:
    section = tenfold.section({"skipped": "it takes too long"})
    assert section.text == ["Not measured: it takes too long."]
    assert not section.tables
