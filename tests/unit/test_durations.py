"""Durations read as people write them, and never as anything else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from fixlify.domain.durations import LONGEST, format_duration, parse_duration
from fixlify.domain.steps import Wait


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("24h", timedelta(hours=24)),
        ("2d", timedelta(days=2)),
        ("1w", timedelta(weeks=1)),
        ("1d12h", timedelta(days=1, hours=12)),
        ("1h1h", timedelta(hours=2)),
        (" 2D ", timedelta(days=2)),
        ("0d1s", timedelta(seconds=1)),
        ("730d", LONGEST),
    ],
)
def test_units(written: str, meant: timedelta) -> None:
    assert parse_duration(written) == meant


@pytest.mark.parametrize(
    "written",
    ["", " ", "d", "1", "90", "-1h", "+1h", "1.5h", "1,5h", "1 h", "1h 30m", "1y", "1M1", "one day",
     "1h30", "P1D", "1e3s", "²h", "1h\n2h"],
)  # fmt: skip
def test_what_is_no_duration(written: str) -> None:
    with pytest.raises(PydanticCustomError, match="is not a duration; write a number with a unit"):
        parse_duration(written)


@pytest.mark.parametrize("written", [90, 1.5, True, None, ["1h"], {"h": 1}])
def test_a_bare_number_is_refused(written: Any) -> None:
    """A delay in days once ran as seconds."""
    with pytest.raises(PydanticCustomError, match="is not a duration"):
        parse_duration(written)


@pytest.mark.parametrize("written", ["0s", "0d0h", timedelta(0), timedelta(seconds=-1)])
def test_nothing_and_less_is_refused(written: Any) -> None:
    with pytest.raises(PydanticCustomError, match="longer than zero"):
        parse_duration(written)


@pytest.mark.parametrize(
    "written",
    ["730d1s", "105w", "17521h", "9" * 12 + "d", "9" * 30 + "s", "9" * 5_000 + "w", timedelta.max],
)  # fmt: skip
def test_more_than_two_years_is_refused(written: Any) -> None:
    with pytest.raises(PydanticCustomError, match="two years"):
        parse_duration(written)


def test_parts_of_a_second_are_refused() -> None:
    """They would be lost on the way through the database."""
    with pytest.raises(PydanticCustomError, match="whole seconds"):
        parse_duration(timedelta(milliseconds=1_500))


def test_a_long_mistake_is_not_repeated_in_full() -> None:
    with pytest.raises(PydanticCustomError) as refused:
        parse_duration("x" * 10_000)
    assert len(str(refused.value)) < 200


@settings(deadline=None)
@given(st.integers(min_value=1, max_value=int(LONGEST.total_seconds())))
def test_every_duration_survives_being_written_down(seconds: int) -> None:
    duration = timedelta(seconds=seconds)
    assert parse_duration(format_duration(duration)) == duration
    stored = Wait(for_=duration).model_dump(mode="json", by_alias=True)
    assert Wait.model_validate(stored).for_ == duration


@settings(deadline=None)
@given(st.text(alphabet="0123456789wdhms .-", max_size=12))
def test_any_text_is_a_duration_in_bounds_or_a_refusal(text: str) -> None:
    try:
        duration = parse_duration(text)
    except PydanticCustomError:
        return
    assert timedelta(0) < duration <= LONGEST
    assert parse_duration(format_duration(duration)) == duration
