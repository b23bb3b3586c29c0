"""What rules may say about hours, days and numbers; what is wrong is told with its place."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from fixlify.domain.problems import explain
from fixlify.domain.rules import (
    Cap,
    Holidays,
    RuleOverrides,
    Rules,
    TimeSpan,
    contradiction,
    effective_rules,
    parse_rules,
)
from fixlify.library import read_yaml

EVERYTHING: dict[str, Any] = {
    "quiet_hours": {"from": "21:00", "to": "08:00"},
    "business_hours": {"mon": {"from": "08:00", "to": "24:00"}},
    "holidays": {"country": "US", "subdivision": "CA", "dates": ["2026-12-24"]},
    "caps": [{"at_most": 2, "per": "1d", "channel": "sms", "message_class": "marketing"}],
}


def span(written: str) -> TimeSpan:
    return TimeSpan.model_validate(written)


def problems(document: dict[str, Any], model: type[Rules | RuleOverrides] = Rules) -> list[str]:
    with pytest.raises(ValidationError) as refused:
        model.model_validate(document)
    return [str(problem) for problem in explain(model, refused.value)]


@pytest.mark.parametrize("model", [Rules, RuleOverrides])
def test_what_is_written_comes_back(model: type[Rules | RuleOverrides]) -> None:
    rules = model.model_validate(EVERYTHING)
    assert rules.model_dump(mode="json") == EVERYTHING


@pytest.mark.parametrize("key", ["mon", "Mon", "monday", "MONDAY", " monday "])
def test_a_day_of_the_week_has_one_meaning_however_it_is_spelled(key: str) -> None:
    """`mon` was once compared with `monday`, and no moment was ever within business hours."""
    rules = Rules.model_validate({"business_hours": {key: "08:00-18:00"}})
    assert rules.business_hours == {"mon": span("08:00-18:00")}


@pytest.mark.parametrize(
    ("key", "days"),
    [
        ("mon-fri", ["mon", "tue", "wed", "thu", "fri"]),
        ("saturday - sunday", ["sat", "sun"]),
        ("fri-mon", ["mon", "fri", "sat", "sun"]),
        ("tue-tue", ["tue"]),
    ],
)
def test_days_in_a_row_are_written_once(key: str, days: list[str]) -> None:
    rules = Rules.model_validate({"business_hours": {key: "08:00-18:00"}})
    assert rules.business_hours is not None
    assert list(rules.business_hours) == days


def test_a_country_and_its_parts_are_found_in_any_case_and_by_their_names() -> None:
    holidays = Holidays.model_validate({"country": "us", "subdivision": "california"})
    assert (holidays.country, holidays.subdivision) == ("US", "CA")


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"quiet_hours": 1260}, "quiet_hours: '1260' is no span of time; write it in quotes"),
    ({"quiet_hours": "21:00"}, "quiet_hours: '21:00' is no span of time"),
    ({"quiet_hours": "21:00-25:00"}, "quiet_hours.to: '25:00' is no time of day"),
    ({"quiet_hours": "24:00-08:00"}, "quiet_hours.from: '24:00' is no time of day"),
    ({"quiet_hours": {"from": 1260, "to": "08:00"}}, "quiet_hours.from: '1260' is no time of day"),
    ({"quiet_hours": {"form": "21:00", "to": "8:00"}}, "did you mean 'from'?"),
    ({"quiet_hours": "21:00-21:00"}, "quiet_hours: begins and ends at 21:00"),
    ({"quiet_hours": {"from": "0:00", "to": "00:00"}}, "quiet_hours: begins and ends at 00:00"),
    ({"quiet_hours": "00:00-24:00"}, "quiet_hours: cover the whole day, so nothing could ever go"),
    ({"business_hours": {"sun": "00:00-00:00"}}, "business_hours.sun: begins and ends at 00:00"),
    ({"business_hours": {}}, "business_hours: are open on no day"),
    ({"business_hours": {"mond": "08:00-09:00"}}, "'mond' is no day of the week; did you mean"),
    (
        {"business_hours": {"mon-fri": "08:00-09:00", "Friday": "08:00-10:00"}},
        "business_hours: 'fri' is written twice",
    ),
    ({"business_hours": {"mon": "closed"}}, "business_hours.mon: 'closed' is no span of time"),
    (
        {"business_hours": {"mon": {"form": "08:00", "to": "9:00"}}},
        "mon.form: unknown key 'form'; ",
    ),
    (
        {"quiet_hours": "18:00-09:00", "business_hours": {"mon-sun": "08:00-09:00"}},
        "business_hours: the quiet hours 18:00-09:00 cover all business hours",
    ),
    ({"holidays": {}}, "holidays: name no day; add a country, dates, or both"),
    ({"holidays": {"country": "Germny"}}, "holidays.country: no country 'Germny' whose holidays"),
    ({"holidays": {"country": "Germany"}}, "did you mean 'DE'?"),
    (
        {"holidays": {"country": "US", "subdivision": "CAL"}},
        "holidays.subdivision: US has no 'CAL'; did you mean 'CA'?",
    ),
    ({"holidays": {"subdivision": "CA"}}, "holidays.subdivision: needs a country; add it"),
    ({"holidays": {"dates": [20261224]}}, "holidays.dates[0]: '20261224' is no day; write year"),
    ({"holidays": {"dates": ["2026-02-30"]}}, "holidays.dates[0]: '2026-02-30' is no day"),
    ({"caps": [{"at_most": 0, "per": "24h"}]}, "caps[0].at_most: must be 1 or more"),
    ({"caps": [{"at_most": 1, "per": 24}]}, "caps[0].per: '24' is not a duration"),
    ({"caps": [{"at_most": 1, "per": "24h", "chanel": "sms"}]}, "did you mean 'channel'?"),
    ({"caps": [{"at_most": 1, "per": "24h", "channel": "fax"}]}, "valid: email, sms"),
    (
        {"caps": [{"at_most": 1, "per": "24h", "message_class": "urgent"}]},
        "caps[0].message_class: no rule binds what is urgent",
    ),
    ({"quiethours": "21:00-08:00"}, "did you mean 'quiet_hours'?"),
]


@pytest.mark.parametrize(("document", "told"), REFUSED)
@pytest.mark.parametrize("model", [Rules, RuleOverrides])
def test_what_is_wrong_is_told_with_its_place(
    model: type[Rules | RuleOverrides], document: dict[str, Any], told: str
) -> None:
    assert told in "\n".join(problems(document, model))


def test_hours_that_leave_a_minute_free_are_no_contradiction() -> None:
    Rules.model_validate({"quiet_hours": "18:00-08:59", "business_hours": {"sun": "08:00-09:00"}})


def test_business_hours_past_midnight_are_free_on_the_day_after() -> None:
    Rules.model_validate({"quiet_hours": "05:00-02:00", "business_hours": {"sun": "22:00-03:00"}})


def test_the_whole_day_is_written_with_its_end() -> None:
    whole = span("00:00-24:00")
    assert str(whole) == "00:00-24:00"
    assert TimeSpan.model_validate(whole.model_dump()) == whole


@pytest.mark.parametrize(
    ("cap", "told"),
    [
        (Cap(at_most=2, per="24h", channel="sms"), "2 sms per 24h"),
        (Cap(at_most=1, per="1w", message_class="marketing"), "1 marketing message per 7d"),
        (Cap(at_most=3, per="90m"), "3 messages per 1h30m"),
    ],
)
def test_a_cap_is_told_as_people_say_it(cap: Cap, told: str) -> None:
    assert str(cap) == told


class TestWhatAnAutomationSaysForItself:
    OWN = Rules.model_validate(EVERYTHING)

    def test_silence_leaves_every_rule(self) -> None:
        assert effective_rules(self.OWN, None) == self.OWN
        assert effective_rules(self.OWN, RuleOverrides()) == self.OWN

    def test_off_lifts_one_rule_and_leaves_the_others(self) -> None:
        lifted = effective_rules(self.OWN, RuleOverrides(quiet_hours="off", caps="off"))
        assert lifted == Rules(business_hours=self.OWN.business_hours, holidays=self.OWN.holidays)

    def test_a_rule_of_its_own_stands_in_the_place_of_the_organizations(self) -> None:
        overrides = RuleOverrides(holidays=Holidays(dates=(date(2026, 12, 31),)))
        assert effective_rules(self.OWN, overrides).holidays == overrides.holidays

    def test_what_contradicts_the_organizations_rules_is_told(self) -> None:
        """Each may be right by itself."""
        own = Rules(quiet_hours=span("18:00-09:00"))
        together = effective_rules(
            own, RuleOverrides.model_validate({"business_hours": {"mon-sun": "20:00-22:00"}})
        )
        assert "cover all business hours" in str(contradiction(together))
        assert contradiction(own) is None


class TestTheReference:
    """What docs/rules.md shows is taken as it stands."""

    PAGE = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
    RULES, AUTOMATION = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)

    def test_the_rules(self) -> None:
        (document,) = read_yaml(self.RULES, "docs/rules.md")
        rules = parse_rules("docs/rules.md", document)
        assert all(getattr(rules, name) for name in Rules.model_fields)

    def test_the_automation_that_says_otherwise(self) -> None:
        (document,) = read_yaml(self.AUTOMATION, "docs/rules.md")
        overrides = RuleOverrides.model_validate(document["rules"])
        assert overrides.quiet_hours == "off"


def test_the_holidays_are_not_loaded_until_a_country_is_named() -> None:
    """They take a third of a second, which every command would wait for."""
    code = (
        "import sys, cli.rules, cli.automations; from fixlify.domain.rules import Rules; "
        "Rules.model_validate({'holidays': {'dates': ['2026-12-24']}}); "
        "print('holidays' in sys.modules); "
        "Rules.model_validate({'holidays': {'country': 'US'}}); print('holidays' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["False", "True"]
