"""An occurrence's key is the same however often it is noticed, and its alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixlify.domain.occurrences import (
    of_event,
    of_maintenance,
    of_overdue_invoice,
    of_reminder,
    of_schedule,
    of_stale_job,
)

ID = UUID("0194A7F2-0000-7000-8000-00000000000A")
NINE = datetime.fromisoformat("2026-11-21T09:00")
INSTANT = datetime(2026, 11, 21, 9, 0, 0, 123456, tzinfo=UTC)


def test_the_formats_that_sweeps_build_in_sql() -> None:
    assert of_event(7) == "event/7"
    assert of_schedule(NINE, "client", str(ID)) == f"scheduled/2026-11-21T09:00/client/{ID}"
    assert of_overdue_invoice(ID, 14) == ("invoice_overdue/0194a7f2-0000-7000-8000-00000000000a/14")
    assert of_maintenance("J-2019", 12) == "maintenance_due/J-2019/12"
    assert of_stale_job("J-2019", INSTANT, 5) == "stale_job/J-2019/1795251600123456/5"
    assert of_reminder("J-2019", INSTANT, timedelta(hours=24)) == (
        "appointment_reminder/J-2019/1795251600/86400"
    )


def test_an_autumn_hour_that_comes_twice_is_one_occurrence() -> None:
    half_past_one = datetime.fromisoformat("2026-11-01T01:30")
    first, second = (
        of_schedule(half_past_one.replace(fold=fold), "client", "c") for fold in (0, 1)
    )
    assert first == second


def test_a_year_has_four_digits() -> None:
    assert of_schedule(NINE.replace(year=26), "job", "J-1") == "scheduled/0026-11-21T09:00/job/J-1"


def test_what_lies_below_the_minute_makes_no_other_occurrence() -> None:
    assert of_schedule(NINE.replace(second=59), "job", "J-1") == of_schedule(NINE, "job", "J-1")


def test_a_schedule_is_known_by_its_wall_clock_and_not_by_an_instant() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        of_schedule(INSTANT, "client", "c")


def test_an_instant_needs_a_zone() -> None:
    with pytest.raises(ValueError, match="aware datetime"):
        of_stale_job("J-2019", NINE, 5)
    with pytest.raises(ValueError, match="aware datetime"):
        of_reminder("J-2019", NINE, timedelta(hours=1))


@given(st.integers(min_value=-12 * 60, max_value=14 * 60))
def test_the_zone_in_which_an_instant_is_written_makes_no_difference(minutes: int) -> None:
    elsewhere = INSTANT.astimezone(timezone(timedelta(minutes=minutes)))
    assert of_stale_job("J", elsewhere, 5) == of_stale_job("J", INSTANT, 5)
    day = timedelta(days=1)
    assert of_reminder("J", elsewhere, day) == of_reminder("J", INSTANT, day)


def test_a_visit_that_moves_is_reminded_of_anew() -> None:
    day, hour = timedelta(days=1), timedelta(hours=1)
    moved = of_reminder("J-2019", INSTANT + hour, day)
    assert moved != of_reminder("J-2019", INSTANT, day)
    assert of_reminder("J-2019", INSTANT + hour - hour, day) == of_reminder("J-2019", INSTANT, day)
    assert of_reminder("J-2019", INSTANT, hour) != of_reminder("J-2019", INSTANT, day)


def test_a_fraction_of_a_second_is_dropped_before_1970_too() -> None:
    """Postgres would round it up with a plain cast; ``floor`` goes the same way as this."""
    early = datetime(1969, 12, 31, 23, 59, 58, 600_000, tzinfo=UTC)
    assert of_reminder("J", early, timedelta(hours=1)) == "appointment_reminder/J/-2/3600"
    late = datetime(2026, 11, 21, 9, 0, 0, 999_999, tzinfo=UTC)
    assert of_reminder("J", late, timedelta(hours=1)).split("/")[2] == "1795251600"


# Job ids are free text, so that one may look like the parts around it.
JOB_IDS = st.text(alphabet="J1/-", min_size=1, max_size=6)
INSTANTS = st.datetimes(min_value=datetime.fromisoformat("2000-01-01"), timezones=st.just(UTC))
FEW = st.integers(min_value=1, max_value=12)


@given(st.tuples(JOB_IDS, INSTANTS, FEW), st.tuples(JOB_IDS, INSTANTS, FEW))
def test_every_stale_job_has_a_key_of_its_own(
    one: tuple[str, datetime, int], other: tuple[str, datetime, int]
) -> None:
    assert (of_stale_job(*one) == of_stale_job(*other)) == (one == other)


@given(st.tuples(JOB_IDS, INSTANTS, FEW), st.tuples(JOB_IDS, INSTANTS, FEW))
def test_every_reminder_has_a_key_of_its_own(
    one: tuple[str, datetime, int], other: tuple[str, datetime, int]
) -> None:
    def key(job_id: str, visit: datetime, hours: int) -> str:
        return of_reminder(job_id, visit, timedelta(hours=hours))

    def second(job_id: str, visit: datetime, hours: int) -> tuple[str, datetime, int]:
        return job_id, visit.replace(microsecond=0), hours

    assert (key(*one) == key(*other)) == (second(*one) == second(*other))


@given(st.tuples(JOB_IDS, FEW), st.tuples(JOB_IDS, FEW))
def test_every_service_makes_maintenance_due_once(
    one: tuple[str, int], other: tuple[str, int]
) -> None:
    assert (of_maintenance(*one) == of_maintenance(*other)) == (one == other)


@given(st.integers(min_value=1), JOB_IDS)
def test_no_two_kinds_of_occurrence_share_a_key(number: int, job_id: str) -> None:
    keys = [
        of_event(number),
        of_schedule(NINE, "job", job_id),
        of_overdue_invoice(ID, number),
        of_maintenance(job_id, number),
        of_stale_job(job_id, INSTANT, number),
        of_reminder(job_id, INSTANT, timedelta(seconds=number % 10**6)),
    ]
    assert len(set(keys)) == len(keys)
