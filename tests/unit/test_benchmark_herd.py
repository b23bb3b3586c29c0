"""What the herds say of themselves is computed as it is told."""

from __future__ import annotations

from uuid import UUID

import pytest

from benchmarks.lab.companies import Job
from benchmarks.lab.processes import Usage
from benchmarks.suites.herd import Completed, Watched, missing, small_figures
from benchmarks.suites.timers import curve, late_figures

JOBS = [Job(UUID(int=1), f"J-{n}", f"{n}@example.com", f"+1212555000{n}") for n in range(3)]


def test_each_message_that_nobody_accepted_is_missing() -> None:
    accepted = {"0@example.com": [1.0], "+12125550000": [1.1], "1@example.com": [1.2]}
    assert missing(JOBS, lambda recipient: accepted.get(recipient, [])) == 3


def test_the_small_companys_latency_is_from_commit_to_both_accepted() -> None:
    figures = small_figures([Completed(1.0, 1.1), Completed(2.0, 2.3), Completed(3.0, None)])
    assert figures["small_org_count"] == 2
    assert figures["small_org_max_ms"] == 300
    assert "small_org_p99_ms" in figures


def test_a_small_company_of_which_nothing_arrived_has_no_latency() -> None:
    with pytest.raises(ValueError, match="nothing to measure"):
        small_figures([Completed(1.0, None)])


def test_memory_is_that_of_the_worst_moment() -> None:
    watched = Watched()
    for megabytes in (100, 300, 200):
        watched.see({"worker": Usage(memory=megabytes, cpu=0)})
    assert watched.memory == {"worker": 300}


def test_lateness_is_told_in_milliseconds_and_what_ended_by_the_second() -> None:
    figures = late_figures([0.1, 0.2, 2.0])
    assert (figures["p50_ms"], figures["max_ms"]) == (200, 2000)
    assert figures["ended_per_second"] == 1.5


def test_the_curve_ends_with_all_of_them() -> None:
    assert curve([3.0, 1.0, 2.0]) == [[1.0, 1], [2.0, 2], [3.0, 3]]
    points = curve([n / 100 for n in range(1000)], points=10)
    assert len(points) == 10
    assert points[-1] == [9.99, 1000]
