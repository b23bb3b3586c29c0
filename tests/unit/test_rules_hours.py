"""Quiet hours, business hours and holidays hold a message until all of them let it go."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from fixlify.domain.rules import Holidays, MessageClass, Rules, TimeSpan, hold_for_hours
from fixlify.domain.rules.hours import SEARCHED

NEW_YORK = ZoneInfo("America/New_York")
TRANSACTIONAL, MARKETING, URGENT = MessageClass
QUIET = {"quiet_hours": "21:00-08:00"}
OFFICE = {"business_hours": {"mon-fri": "09:00-17:00"}}
# In New York the clocks leap from 2:00 to 3:00 on March 8, and fall back from 2:00 on November 1.
SPRING, AUTUMN = "2026-03-08", "2026-11-01"


def held(
    document: dict[str, Any],
    at: str,
    message_class: MessageClass = MARKETING,
    zone: str = "America/New_York",
    fold: int = 0,
) -> tuple[str, str] | None:
    """Return until when on the wall, and why, a message is held at that time on the same wall."""
    there = ZoneInfo(zone)
    now = datetime.fromisoformat(at).replace(tzinfo=there, fold=fold)
    hold = hold_for_hours(Rules.model_validate(document), message_class, now, there)
    if hold is None:
        return None
    assert hold.until.tzinfo is UTC
    return f"{hold.until.astimezone(there):%a %Y-%m-%d %H:%M %Z}", hold.reason


def until(document: dict[str, Any], at: str, **how: Any) -> str | None:
    found = held(document, at, **how)
    return found[0] if found else None


@pytest.mark.parametrize("message_class", MessageClass)
def test_without_rules_everything_goes(message_class: MessageClass) -> None:
    assert held({}, "2026-11-24T03:00", message_class) is None


class TestQuietHours:
    def test_they_hold_over_midnight_until_their_end(self) -> None:
        told = "quiet hours 21:00-08:00 (America/New_York)"
        assert held(QUIET, "2026-11-24T21:00") == ("Wed 2026-11-25 08:00 EST", told)
        assert held(QUIET, "2026-11-25T07:59:59.999999") == ("Wed 2026-11-25 08:00 EST", told)

    def test_their_end_is_free_and_so_is_the_last_moment_before_them(self) -> None:
        assert held(QUIET, "2026-11-25T08:00") is None
        assert held(QUIET, "2026-11-25T20:59:59.999999") is None

    def test_those_that_end_at_midnight_end_there(self) -> None:
        assert until({"quiet_hours": "22:00-24:00"}, "2026-11-24T23:00") == (
            "Wed 2026-11-25 00:00 EST"
        )

    def test_they_are_those_of_the_clients_zone(self) -> None:
        """Company time, or the server's, woke people at four in the morning."""
        noon_in_berlin = datetime(2026, 11, 24, 12, tzinfo=ZoneInfo("Europe/Berlin"))
        rules = Rules.model_validate(QUIET)
        in_los_angeles = hold_for_hours(
            rules, TRANSACTIONAL, noon_in_berlin, ZoneInfo("America/Los_Angeles")
        )
        assert in_los_angeles is not None
        assert in_los_angeles.until == datetime(2026, 11, 24, 16, tzinfo=UTC)
        assert (
            hold_for_hours(rules, TRANSACTIONAL, noon_in_berlin, ZoneInfo("Europe/Berlin")) is None
        )


class TestWhereTheClocksAreChanged:
    def test_hours_that_end_in_the_gap_end_where_the_clock_leaps_to(self) -> None:
        assert until({"quiet_hours": "21:00-02:30"}, f"{SPRING}T01:00") == (
            "Sun 2026-03-08 03:00 EDT"
        )

    def test_hours_that_lie_in_the_gap_hold_nothing_that_day(self) -> None:
        assert held({"quiet_hours": "02:00-03:00"}, f"{SPRING}T03:00") is None
        assert held({"quiet_hours": "02:00-03:00"}, f"{SPRING}T01:59:59") is None

    def test_a_short_night_is_an_hour_shorter(self) -> None:
        assert until(QUIET, "2026-03-07T21:00") == "Sun 2026-03-08 08:00 EDT"

    def test_a_time_that_comes_twice_is_quiet_twice(self) -> None:
        quiet = {"quiet_hours": "01:15-01:45"}
        assert until(quiet, f"{AUTUMN}T01:20") == "Sun 2026-11-01 01:45 EDT"
        assert until(quiet, f"{AUTUMN}T01:50") is None
        assert until(quiet, f"{AUTUMN}T01:20", fold=1) == "Sun 2026-11-01 01:45 EST"

    def test_hours_that_begin_before_the_clock_falls_back_are_over_once_it_did(self) -> None:
        """What the wall shows decides, and it shows an hour that is not quiet."""
        assert until({"quiet_hours": "01:30-08:00"}, f"{AUTUMN}T01:40") == (
            "Sun 2026-11-01 01:00 EST"
        )

    def test_a_change_of_half_an_hour_is_found_too(self) -> None:
        """On Lord Howe Island the clocks leap from 2:00 to 2:30."""
        quiet = {"quiet_hours": "21:00-02:15"}
        found = until(quiet, "2026-10-04T01:00", zone="Australia/Lord_Howe")
        assert found == "Sun 2026-10-04 02:30 +11"

    def test_a_day_that_never_was_is_no_day_off(self) -> None:
        """Samoa went from Thursday, 29 December 2011, to Saturday."""
        friday = {"holidays": {"dates": ["2011-12-30"]}}
        assert held(friday, "2011-12-29T23:59", zone="Pacific/Apia") is None
        assert held(friday, "2011-12-31T00:00", zone="Pacific/Apia") is None


class TestBusinessHours:
    def test_a_message_waits_for_the_morning(self) -> None:
        told = "outside business hours"
        assert held(OFFICE, "2026-11-24T08:59") == ("Tue 2026-11-24 09:00 EST", told)
        assert held(OFFICE, "2026-11-24T17:00") == ("Wed 2026-11-25 09:00 EST", told)

    def test_a_message_waits_for_the_end_of_the_weekend(self) -> None:
        assert until(OFFICE, "2026-11-27T18:00") == "Mon 2026-11-30 09:00 EST"

    @pytest.mark.parametrize("key", ["mon", "monday", "Monday"])
    def test_a_monday_is_a_monday(self, key: str) -> None:
        assert held({"business_hours": {key: "09:00-17:00"}}, "2026-11-23T12:00") is None

    def test_hours_past_midnight_belong_to_the_day_they_begin_on(self) -> None:
        late = {"business_hours": {"fri": "20:00-02:00"}}
        assert held(late, "2026-11-28T01:59") is None
        assert until(late, "2026-11-28T02:00") == "Fri 2026-12-04 20:00 EST"
        assert until(late, "2026-11-27T01:00") == "Fri 2026-11-27 20:00 EST"

    def test_a_whole_day_is_open_from_midnight_to_midnight(self) -> None:
        sunday = {"business_hours": {"sun": "00:00-24:00"}}
        assert held(sunday, "2026-11-29T00:00") is None
        assert held(sunday, "2026-11-29T23:59:59") is None
        assert until(sunday, "2026-11-30T00:00") == "Sun 2026-12-06 00:00 EST"


class TestHolidays:
    def test_a_holiday_holds_until_the_next_day_and_is_named(self) -> None:
        american = {"holidays": {"country": "US"}}
        assert held(american, "2026-11-26T12:00") == (
            "Fri 2026-11-27 00:00 EST",
            "holiday: Thanksgiving Day",
        )

    def test_a_part_of_the_country_has_its_own(self) -> None:
        californian = {"holidays": {"country": "US", "subdivision": "CA"}}
        assert until(californian, "2026-11-26T12:00") == "Sat 2026-11-28 00:00 EST"

    def test_days_of_ones_own_hold_too(self) -> None:
        own = {"holidays": {"dates": ["2026-12-24", "2026-12-25"]}}
        assert held(own, "2026-12-24T12:00") == ("Sat 2026-12-26 00:00 EST", "holiday: 2026-12-24")

    def test_the_day_is_that_of_the_clients_zone(self) -> None:
        """In Honolulu it is still the 25th when the 26th has begun in New York."""
        own = Rules.model_validate({"holidays": {"dates": ["2026-12-25"]}})
        now = datetime(2026, 12, 26, 5, tzinfo=UTC)
        assert hold_for_hours(own, MARKETING, now, NEW_YORK) is None
        assert hold_for_hours(own, MARKETING, now, ZoneInfo("Pacific/Honolulu")) is not None


class TestAllOfThemTogether:
    RULES = QUIET | OFFICE | {"holidays": {"country": "US", "dates": ["2026-11-27"]}}

    def test_a_message_waits_until_the_last_of_them_lets_it_go(self) -> None:
        """Thanksgiving, the Friday after it, the weekend, and Monday morning."""
        assert held(self.RULES, "2026-11-26T12:00") == (
            "Mon 2026-11-30 09:00 EST",
            "holiday: Thanksgiving Day, then outside business hours",
        )

    def test_the_rule_that_holds_longest_is_the_one_that_is_told(self) -> None:
        assert held(self.RULES, "2026-11-24T21:30") == (
            "Wed 2026-11-25 09:00 EST",
            "outside business hours",
        )

    def test_only_quiet_hours_bind_what_is_transactional(self) -> None:
        assert held(self.RULES, "2026-11-26T12:00", TRANSACTIONAL) is None
        assert until(self.RULES, "2026-11-26T22:00", message_class=TRANSACTIONAL) == (
            "Fri 2026-11-27 08:00 EST"
        )

    def test_nothing_binds_what_is_urgent(self) -> None:
        assert held(self.RULES, "2026-11-26T22:00", URGENT) is None


class TestWhatCanNeverGo:
    """What two places say together is not refused anywhere; it must hold, and end."""

    @pytest.mark.parametrize(
        "never",
        [
            Rules.model_construct(business_hours={}),
            Rules.model_construct(quiet_hours=TimeSpan(from_=time(0), to=time(0))),
            Rules.model_construct(
                quiet_hours=TimeSpan(from_=time(18), to=time(9)),
                business_hours={"mon": TimeSpan(from_=time(8), to=time(9))},
            ),
            Rules.model_construct(
                holidays=Holidays(
                    dates=tuple(date(2026, 1, 1) + timedelta(days=n) for n in range(900))
                )
            ),
        ],
    )
    def test_it_is_held_and_looked_at_again(self, never: Rules) -> None:
        now = datetime(2026, 11, 24, 12, tzinfo=UTC)
        hold = hold_for_hours(never, MARKETING, now, NEW_YORK)
        assert hold is not None
        assert hold.until == now + SEARCHED
        assert hold.reason.endswith("nothing may go for 400 days")


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        hold_for_hours(Rules(), MARKETING, datetime(2026, 11, 24, 12), NEW_YORK)  # noqa: DTZ001
