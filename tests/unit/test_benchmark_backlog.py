"""The rate of a backlog, what a run of it costs, and how two kinds of it compare."""

from __future__ import annotations

import pytest

from benchmarks.lab.backlog import Drained, cpu_per_run, steady_rate
from benchmarks.lab.processes import Usage
from benchmarks.suites import scaling, throughput


def test_start_up_and_tail_do_not_count_for_the_rate() -> None:
    middle = [10.0 + place / 20 for place in range(80)]
    start_up = [float(place) for place in range(10)]
    tail = [100.0 + place for place in range(10)]
    assert steady_rate([*start_up, *middle, *tail]) == pytest.approx(20)


def test_the_order_in_which_runs_are_told_does_not_matter() -> None:
    assert steady_rate([3.0, 1.0, 2.0], edge=0) == 1.0


@pytest.mark.parametrize("moments", [[], [1.0], [2.0, 2.0, 2.0]])
def test_no_rate_is_made_up_from_too_little(moments: list[float]) -> None:
    with pytest.raises(ValueError, match=r"no rate can be told from \d runs"):
        steady_rate(moments)


def test_processor_time_is_what_was_used_meanwhile_shared_by_the_runs() -> None:
    before = {"worker": Usage(memory=1, cpu=10.0)}
    after = {"worker": Usage(memory=9, cpu=12.0), "bare": Usage(memory=9, cpu=1.0)}
    assert cpu_per_run(before, after, 100) == {"bare": 10.0, "worker": 20.0}


def _drained(per_second: float, **cpu_ms: float) -> Drained:
    return Drained(runs=100, seconds=10.0, per_second=per_second, cpu_ms=cpu_ms)


def test_a_ratio_is_taken_within_each_round_and_not_between_rounds() -> None:
    """A machine that slows down in the middle slows down both sides of a round."""
    figures = throughput.summary(
        {
            throughput.OURS: [_drained(40), _drained(20), _drained(10)],
            throughput.QUEUED: [_drained(50), _drained(40), _drained(10)],
            throughput.SAME_SHAPE: [_drained(80), _drained(40), _drained(40)],
        }
    )
    assert figures["ratio_to_bare"] == 0.8
    assert figures["ratio_to_bare_same_shape"] == 0.5
    assert figures["per_second"] == 20


def test_the_page_shows_both_ratios_and_says_which_is_which() -> None:
    figures = throughput.summary(
        {
            throughput.OURS: [_drained(40, worker=30.0)],
            throughput.QUEUED: [_drained(50, bare=12.0)],
            throughput.SAME_SHAPE: [_drained(80, bare=8.0)],
        }
    )
    section = throughput.section(figures)
    said = " ".join(section.text)
    assert "Queued, the ratio is 0.8:" in said
    assert "Our own shape, the ratio is 0.5:" in said
    (table,) = section.tables
    assert [row[1] for row in table.rows] == ["40.0", "50.0", "80.0"]


def test_what_a_side_uses_altogether_is_summed_round_by_round() -> None:
    rounds = [_drained(1, worker=10.0, temporal=20.0), _drained(1, worker=20.0, temporal=10.0)]
    assert throughput.cpu_ms(rounds) == {"worker": 15.0, "temporal": 15.0, "all": 30.0}


def test_busy_processors_are_processor_time_over_time() -> None:
    assert scaling.busy(_drained(10, worker=100.0, temporal=50.0)) == pytest.approx(1.5)


def test_two_workers_are_compared_with_one_of_the_same_round() -> None:
    figures = scaling.summary(
        [_drained(10), _drained(20), _drained(40)], [_drained(15), _drained(30), _drained(40)], 2
    )
    assert figures["ratio"] == 1.5
    assert "Two do 1.5 times what one does" in " ".join(scaling.section(figures).text)
