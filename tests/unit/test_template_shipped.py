"""The templates in the package are complete, correct and fit for whoever reads them."""

from __future__ import annotations

import pytest

from fixlify.domain.errors import NotFoundError
from fixlify.domain.facts import Client, Facts, Job, Organization
from fixlify.rendering import check_template, render_email, render_sms, resolve, shipped_templates
from tests.unit.sample_facts import CLIENT, JOB, ORGANIZATION, facts

NAMES = sorted(shipped_templates())

BARE = Facts(
    organization=Organization(id=ORGANIZATION.id, name="Lakeside Plumbing"),
    client=Client(id=CLIENT.id),
    job=Job(id=JOB.id, schedule_start=JOB.schedule_start),
)


def test_the_common_occasions_have_a_template() -> None:
    occasions = {"job-completed", "job-received", "on-the-way", "visit-scheduled"}
    assert occasions | {"invoice-overdue", "maintenance-due", "payment-received"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_template_has_every_part_and_no_mistake(name: str) -> None:
    source = shipped_templates()[name]
    assert source.subject
    assert source.text
    assert source.html
    assert source.sms
    assert check_template(source, channel="email") == []
    assert check_template(source, channel="sms") == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("about", [facts(), BARE], ids=["all facts", "bare facts"])
def test_a_shipped_template_needs_no_more_than_a_name_and_a_date(name: str, about: Facts) -> None:
    source = shipped_templates()[name]
    email = render_email(source, about)
    for text in (email.subject, email.text, email.html or "", render_sms(source, about).text):
        assert "None" not in text
        assert "{%" not in text
        assert "Lakeside Plumbing" in text or text == email.subject
        assert "\n\n\n" not in text


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_text_message_is_one_segment(name: str) -> None:
    text = render_sms(shipped_templates()[name], facts()).text
    assert text.isascii()
    assert len(text) <= 160


def test_the_thank_you_tells_the_total() -> None:
    email = render_email(shipped_templates()["job-completed"], facts())
    assert email.subject == "Thank you from Lakeside Plumbing: Kitchen faucet repair is complete"
    assert "Total: $1,250.50" in email.text
    assert "$1,250.50" in (email.html or "")
    free = render_email(shipped_templates()["job-completed"], facts(job={"total": None}))
    assert "Total" not in free.text


def test_the_reminder_of_an_invoice_tells_what_is_still_to_pay() -> None:
    email = render_email(shipped_templates()["invoice-overdue"], facts())
    assert email.subject == "A reminder from Lakeside Plumbing: your invoice INV-77 is overdue"
    assert "was due on November 12, 2026 and is still open" in email.text
    assert "Still to pay: $1,000.00" in email.text
    assert "$1,000.00" in (email.html or "")


def test_the_thank_you_for_a_payment_tells_what_came_and_not_what_is_left() -> None:
    """Whether the invoice counts the payment yet is the business of whoever entered both."""
    text = render_email(shipped_templates()["payment-received"], facts()).text
    assert "Received: $250.50" in text
    assert "$1,000.00" not in text


def test_templates_are_found_by_name() -> None:
    found = resolve(["job-completed", "on-the-way"])
    assert list(found) == ["job-completed", "on-the-way"]
    assert found["job-completed"] is shipped_templates()["job-completed"]


def test_a_name_nobody_ships_is_refused_with_the_nearest() -> None:
    with pytest.raises(NotFoundError, match="did you mean 'job-completed'") as caught:
        resolve(["on-the-way", "job-complete"])
    assert caught.value.nearest == "job-completed"
