"""What is made of measurements of peers: medians of rounds, ratios within them, capacity."""

from __future__ import annotations

from datetime import timedelta

import pytest

from benchmarks.lab.figures import Spread
from benchmarks.peers import dbos, n8n, origin
from benchmarks.peers.origin_function import Poll
from benchmarks.peers.rounds import OURS, Measured, medians, ratios, who_is_ahead
from benchmarks.suite import Scale, Suite

PEER = "peer"


def measured(p50: float, runs_per_second: float, **cpu: float) -> Measured:
    """Return what one system did in one round."""
    return Measured(Spread(10, p50, p50 * 2, p50 * 4, p50 * 5), runs_per_second, cpu)


ROUNDS = [
    {OURS: measured(40, 20, worker=30, driver=9), PEER: measured(20, 40, worker=10, driver=5)},
    {OURS: measured(90, 10, worker=60, driver=9), PEER: measured(30, 30, worker=30, driver=5)},
    {OURS: measured(50, 20, worker=40, driver=9), PEER: measured(50, 40, worker=40, driver=5)},
]


def poll(began: float, taken: int, seconds: float = 5) -> Poll:
    """Return one call of the function."""
    return Poll(began, timedelta(seconds=seconds), taken)


def test_a_figure_is_the_median_of_the_rounds() -> None:
    """But for the slowest of all, which is the slowest of all."""
    ours = medians(ROUNDS, OURS)
    assert (ours["p50_ms"], ours["p99_ms"], ours["max_ms"]) == (50, 200, 450)
    assert ours["runs_per_second"] == 20
    assert ours["cpu_ms_per_run"] == {"worker": 40, "driver": 9}


def test_the_driver_is_no_part_of_what_a_run_costs() -> None:
    """It holds the mailbox and the phone of every system."""
    assert medians(ROUNDS, OURS)["engine_cpu_ms_per_run"] == 40


def test_a_ratio_is_the_median_of_the_ratios_within_a_round() -> None:
    """A round in which the machine was slow for both says as much as another."""
    assert ratios(ROUNDS, PEER) == {
        "p50": 2,
        "p99": 2,
        "runs_per_second": 0.5,
        "engine_cpu": 2,
    }


def test_who_is_ahead_in_what_is_said_plainly() -> None:
    """Of latency and processor time less is better, of throughput more."""
    ratio = {"p50": 1.2, "runs_per_second": 0.6, "engine_cpu": 0.9}
    assert who_is_ahead(ratio, "The peer") == (
        "The peer is ahead in latency (p50), throughput. Fixlify is ahead in processor time a run."
    )


def test_the_capacity_is_what_a_full_poll_takes_times_the_polls_of_an_hour() -> None:
    """Polls that found little say how often it is called, and no more."""
    found = origin.capacity([poll(0, 3), poll(60, 9, 4), poll(120, 10, 5), poll(180, 10, 6)])
    assert (found.taken, found.every) == (10, timedelta(minutes=1))
    assert found.busy == timedelta(seconds=5.5)
    assert found.an_hour == 600


def test_what_comes_beyond_the_capacity_is_left_undone() -> None:
    """And nothing is, where there is room."""
    found = origin.capacity([poll(0, 10), poll(60, 10)])
    assert found.left_after_an_hour(10) == 36_000 - 600
    assert found.left_after_an_hour(0.1) == 0


@pytest.mark.parametrize("polls", [[], [poll(0, 10)], [poll(0, 9), poll(60, 9)]])
def test_polls_that_were_never_full_tell_no_capacity(polls: list[Poll]) -> None:
    """It could have taken more, or less."""
    with pytest.raises(ValueError, match="a full one"):
        origin.capacity(polls)


@pytest.mark.parametrize("suite", [origin, dbos, n8n])
async def test_a_quick_run_leaves_peers_out_and_says_why(suite: Suite) -> None:
    """Each takes minutes, whether it is installed or not."""
    figures = await suite.measure(Scale(quick=True), print)
    assert set(figures) == {"skipped"}
    assert suite.section(figures).text == [f"Not measured: {figures['skipped']}."]


@pytest.mark.parametrize("suite", [origin, dbos, n8n])
def test_what_was_not_measured_has_no_figures_on_the_page(suite: Suite) -> None:
    """The page says why."""
    page = suite.section({"skipped": "it is not installed"})
    assert page.text == ["Not measured: it is not installed."]
    assert not page.tables
    assert not page.charts
