"""Times, durations and texts as people read them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest
import time_machine

from cli.output import elapsed, local, print_json, printable

NOON = datetime(2026, 3, 14, 12, 0, 5, 250_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (None, ""),
        (timedelta(0), "0 ms"),
        (timedelta(milliseconds=18.4), "18 ms"),
        (timedelta(seconds=1.25), "1.2 s"),
        (timedelta(seconds=61), "1 min 1 s"),
        (timedelta(hours=3, minutes=5, seconds=7), "3 h 5 min"),
        (timedelta(days=2, seconds=1), "2 d 1 s"),
    ],
)
def test_a_duration_has_the_units_that_matter(duration: timedelta | None, text: str) -> None:
    assert elapsed(duration) == text


def test_todays_times_have_no_date() -> None:
    with time_machine.travel(NOON, tick=False):
        now = datetime.now().astimezone()
        assert local(now) == f"{now:%H:%M:%S}"
        assert local(now, exact=True) == f"{now:%H:%M:%S}.250"


def test_other_days_times_have_a_date() -> None:
    with time_machine.travel(NOON + timedelta(days=3), tick=False):
        there = NOON.astimezone()
        assert local(NOON) == f"{there:%Y-%m-%d %H:%M}"
        assert local(NOON, exact=True) == f"{there:%Y-%m-%d %H:%M:%S}.250"


def test_no_time_is_no_text() -> None:
    assert local(None) == ""


def test_line_breaks_and_tabs_may_be_printed_and_nothing_else() -> None:
    assert printable("a\n\tb\r\x1b[31m\x9b\u2066c") == "a\n\tb\ufffd\ufffd[31m\ufffd\ufffdc"


def test_json_has_utc_instants_and_texts(capsys: pytest.CaptureFixture[str]) -> None:
    paris = timezone(timedelta(hours=1))
    print_json({"at": NOON.astimezone(paris), "id": UUID(int=1), "total": Decimal("1.50")})
    assert json.loads(capsys.readouterr().out) == {
        "at": "2026-03-14T12:00:05.250000+00:00",
        "id": "00000000-0000-0000-0000-000000000001",
        "total": "1.50",
    }
