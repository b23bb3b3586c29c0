"""Dates, times and amounts read as the organization writes and where the client lives."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from fixlify.domain.automation import TemplateSource
from fixlify.domain.errors import RenderError
from fixlify.domain.facts import Facts
from fixlify.rendering import render_sms
from tests.unit.sample_facts import facts


def sms(template: str, about: Facts | None = None) -> str:
    return render_sms(TemplateSource(sms=template), about or facts()).text


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ job.schedule_start | date }}", "November 26, 2026"),
        ("{{ job.schedule_start | date('full') }}", "Thursday, November 26, 2026"),
        ("{{ job.schedule_start | date(style='short') }}", "11/26/26"),
        ("{{ job.schedule_start | time }}", "10:00 AM"),
        ("{{ job.schedule_start | datetime('medium') }}", "Nov 26, 2026, 10:00 AM"),
        ("{{ job.total | money }}", "$1,250.50"),
        ("{{ job.total }}", "1,250.50"),
    ],
)
def test_moments_and_amounts_in_american_english(template: str, expected: str) -> None:
    assert sms(template) == expected


@pytest.mark.parametrize(
    "zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "America/New_York", "UTC"]
)
@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ invoice.due_date }}", "November 12, 2026"),
        ("{{ invoice.due_date | date }}", "November 12, 2026"),
        ("{{ invoice.due_date | date('full') }}", "Thursday, November 12, 2026"),
    ],
)
def test_a_date_is_the_same_day_everywhere(zone: str, template: str, expected: str) -> None:
    about = facts(client={"time_zone": zone}, organization={"time_zone": zone})
    assert sms(template, about) == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [(2026, "2026"), (12345.5, "12345.5"), (250.0, "250"), (0.1, "0.1"), (1e21, "1" + "0" * 21)],
)
def test_a_number_that_is_no_amount_is_plain(number: float, expected: str) -> None:
    assert sms("{{ event.number }}", facts(event={"number": number})) == expected


def test_a_plain_number_is_written_as_the_organization_writes() -> None:
    about = facts(organization={"locale": "de_DE"}, event={"stars": 4.5})
    assert sms("{{ event.stars }}", about) == "4,5"


def test_days_are_plain_numbers() -> None:
    assert sms("{{ invoice.days_overdue }}", facts(invoice={"days_overdue": 1234})) == "1234"


def test_a_bare_moment_reads_as_date_and_time() -> None:
    shown = sms("{{ job.schedule_start }}")
    assert shown.startswith("November 26, 2026")
    assert shown.endswith("10:00 AM")


def test_the_organization_decides_on_language_and_currency() -> None:
    about = facts(organization={"locale": "de-DE", "currency": "EUR", "time_zone": "Europe/Berlin"})
    assert sms("{{ job.schedule_start | date }}, {{ job.schedule_start | time }}", about) == (
        "26. November 2026, 17:00"
    )
    assert sms("{{ job.total | money }} {{ job.total }}", about) == "1.250,50 € 1.250,50"


def test_a_currency_without_decimals_has_none() -> None:
    about = facts(organization={"currency": "JPY"}, job={"total": Decimal(1250)})
    assert sms("{{ job.total | money }} {{ job.total }}", about) == "¥1,250 1,250"


def test_spaces_are_plain_so_that_a_text_message_stays_short() -> None:
    assert sms("{{ job.schedule_start | time }}").isascii()
    french = facts(organization={"locale": "fr_FR", "currency": "EUR"})
    assert sms("{{ job.total | money }}", french) == "1 250,50 €"


def test_the_clients_time_zone_comes_first() -> None:
    about = facts(client={"time_zone": "America/New_York"})
    assert sms("{{ job.schedule_start | time }}", about) == "11:00 AM"


def test_the_day_is_the_clients_too() -> None:
    late = facts(job={"schedule_start": datetime(2026, 11, 27, 3, 0, tzinfo=UTC)})
    assert sms("{{ job.schedule_start | date }}", late) == "November 26, 2026"


@pytest.mark.parametrize(
    "unknown", ["Mars/Base", "America", "../etc/passwd", "", "\x00", "x" * 999]
)
def test_an_unknown_time_zone_of_a_client_falls_back_to_the_organizations(unknown: str) -> None:
    assert (
        sms("{{ job.schedule_start | time }}", facts(client={"time_zone": unknown})) == "10:00 AM"
    )


def test_daylight_saving_time_is_kept() -> None:
    summer = facts(job={"schedule_start": datetime(2026, 7, 1, 16, 0, tzinfo=UTC)})
    assert sms("{{ job.schedule_start | time }}", summer) == "11:00 AM"


def test_a_moment_without_a_zone_is_utc() -> None:
    naive = datetime(2026, 11, 26, 16, 0)  # noqa: DTZ001 - what a driver may return
    assert (
        sms("{{ job.schedule_start | time }}", facts(job={"schedule_start": naive})) == "10:00 AM"
    )


@pytest.mark.parametrize(
    ("field", "template"),
    [
        ("time_zone", "{{ job.schedule_start | date }}"),
        ("locale", "{{ job.schedule_start | date }}"),
        ("locale", "{{ job.total | money }}"),
        ("currency", "{{ job.total | money }}"),
        ("currency", "{{ job.total }}"),
    ],
)
def test_a_wrong_setting_of_the_organization_fails_what_needs_it(field: str, template: str) -> None:
    wrong = facts(organization={field: "Nonsense/Nowhere"})
    with pytest.raises(RenderError, match=f"organization's {field.replace('_', ' ')} is unknown"):
        sms(template, wrong)
    assert sms("{{ client.first_name }}", wrong) == "Maria"


def test_a_zone_is_read_from_the_client_before_the_wrong_one_of_the_organization() -> None:
    about = facts(client={"time_zone": "America/Chicago"}, organization={"time_zone": "Mars/Base"})
    assert sms("{{ job.schedule_start | time }}", about) == "10:00 AM"
