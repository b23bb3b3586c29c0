"""What chaos writes is what companies write: legal ways, other spellings, quiet hours."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from benchmarks.chaos.companies import LOOPS, quiet_hours
from benchmarks.chaos.traffic import SPELLINGS, WAYS, ways_from
from fixlify.domain.names import normalized


def test_every_status_leads_on_to_one_that_leads_on() -> None:
    assert {way for ways in WAYS.values() for way in ways} <= WAYS.keys()


@pytest.mark.parametrize("status", SPELLINGS)
def test_every_spelling_is_the_same_status(status: str) -> None:
    assert {normalized(spelling) for spelling in SPELLINGS[status]} == {status}


@pytest.mark.parametrize("written", ["In Progress", "in-progress", "in_progress"])
def test_a_job_goes_on_however_its_status_was_spelled(written: str) -> None:
    assert ways_from(written, loops=True) == WAYS["in_progress"]


def test_only_a_company_whose_automations_loop_puts_jobs_on_hold() -> None:
    assert LOOPS & ways_from("in_progress", loops=True).keys()
    assert not LOOPS & ways_from("in_progress", loops=False).keys()


def test_a_status_nobody_knows_is_left_for_one_that_somebody_does() -> None:
    assert ways_from("lost in the post", loops=False).keys() <= WAYS.keys()


@pytest.mark.parametrize(
    ("now", "hours"),
    [
        (datetime(2026, 11, 22, 17, 30, tzinfo=UTC), "04:30-20:30"),
        (datetime(2026, 7, 1, 4, 0, tzinfo=UTC), "16:00-08:00"),
    ],
)
def test_quiet_hours_are_around_the_companys_own_clock(now: datetime, hours: str) -> None:
    """New York is five hours behind in winter and four in summer."""
    assert quiet_hours(now) == hours
