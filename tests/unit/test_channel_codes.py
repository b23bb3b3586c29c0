"""Providers' codes mean what a person would say they mean."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from fixlify.channels.email import codes as smtp
from fixlify.channels.sms import codes as twilio
from fixlify.domain.errors import OutcomeUnknownError


@pytest.mark.parametrize(
    ("code", "text", "permanent", "shown"),
    [
        (550, "5.1.1 <maria@example.com> unknown", True, "550 5.1.1"),
        (550, "no such user maria@example.com", True, "550"),
        (550, "5.9.99 something new", True, "550 5.9.99"),
        (552, "5.2.2 Mailbox full", True, "552 5.2.2"),
        (450, "4.2.0 Greylisted", False, "450 4.2.0"),
        (451, "try again", False, "451"),
        (452, "4.2.2 The mailbox is full", False, "452 4.2.2"),
        (421, "4.3.2 Shutting down", False, "421 4.3.2"),
        (530, "5.7.0 Must issue a STARTTLS command first", False, "530 5.7.0"),
        (535, "5.7.8 Bad credentials", False, "535 5.7.8"),
        (499, "who knows", False, "499"),
        (599, "who knows", True, "599"),
        (554, "5.7.1.2 not an enhanced status", True, "554"),
    ],
)
def test_a_reply_of_a_mail_server(code: int, text: str, permanent: bool, shown: str) -> None:
    error = smtp.refusal(code, text)
    assert (error.permanent, error.code) == (permanent, shown)
    assert shown in str(error)
    assert "maria" not in str(error)


@pytest.mark.parametrize(
    ("code", "text", "permanent"),
    [
        (535, "5.7.8 Bad credentials", False),
        (553, "5.7.1 Sender address rejected: not owned by user", False),
        (550, "5.1.8 Sender domain not found", False),
        (554, "5.7.1 Service unavailable; client host blocked", False),
        (421, "Too many connections", False),
        (552, "5.3.4 Message too big", True),
    ],
)
def test_what_is_wrong_with_us_is_never_the_messages_fault(
    code: int, text: str, permanent: bool
) -> None:
    error = smtp.refused_before_the_recipient(code, text, "doing this")
    assert error.permanent is permanent
    assert str(error).startswith("doing this: ")


def answer(code: int | None, status: int = 400, **headers: str) -> tuple[int, str, dict[str, str]]:
    text = json.dumps({"code": code, "message": "about +13125550142", "status": status})
    return status, text, headers


@pytest.mark.parametrize(
    ("code", "status", "permanent"),
    [
        (21211, 400, True),
        (21408, 400, True),
        (21610, 400, True),
        (21612, 400, True),
        (21614, 400, True),
        (21617, 400, True),
        (21606, 400, False),
        (21212, 400, False),
        (20003, 401, False),
        (20404, 404, False),
        (20429, 429, False),
        (20500, 500, False),
        (20503, 503, False),
        (99999, 400, True),
        (99999, 429, False),
        (99999, 500, False),
        (None, 400, True),
        (None, 401, False),
        (None, 302, False),
        (None, 501, False),
    ],
)
def test_a_code_of_twilio(code: int | None, status: int, permanent: bool) -> None:
    error = twilio.refusal(*answer(code, status))
    assert error.permanent is permanent
    assert error.code == str(code or status)
    assert not isinstance(error, OutcomeUnknownError)
    assert "312" not in str(error)


@pytest.mark.parametrize("text", ["<html>Bad gateway</html>", "[]", "null", '{"code": "x"}', ""])
def test_an_answer_that_is_not_twilios_goes_by_its_status(text: str) -> None:
    assert twilio.refusal(400, text, {}).permanent
    assert not twilio.refusal(503, text, {}).permanent
    assert twilio.refusal(503, text, {}).code == "503"


@pytest.mark.parametrize("status", [502, 504])
def test_a_gateway_that_lost_sight_of_the_request_leaves_the_outcome_unknown(status: int) -> None:
    assert isinstance(twilio.refusal(status, "<html>", {}), OutcomeUnknownError)
    assert not isinstance(twilio.refusal(*answer(20500, status)), OutcomeUnknownError)


def test_how_long_to_wait_is_heard() -> None:
    assert twilio.refusal(*answer(20429, 429, **{"Retry-After": "7"})).retry_after == timedelta(
        seconds=7
    )
    later = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    wait = twilio.refusal(*answer(20429, 429, **{"Retry-After": later})).retry_after
    assert wait
    assert timedelta(minutes=59) < wait <= timedelta(hours=1)


@pytest.mark.parametrize("value", ["soon", "", "9" * 400, "Wed, 99 Foo"])
def test_a_wait_that_makes_no_sense_is_none(value: str) -> None:
    assert twilio.refusal(*answer(20429, 429, **{"Retry-After": value})).retry_after is None


@pytest.mark.parametrize("value", ["-5", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_a_wait_that_is_over_is_zero(value: str) -> None:
    error = twilio.refusal(*answer(20429, 429, **{"Retry-After": value}))
    assert error.retry_after == timedelta(0)


def test_every_meaning_is_a_clause_a_person_can_read() -> None:
    reasons = [meaning.reason for meaning in smtp.MEANINGS.values()]
    reasons += [meaning.reason for meaning in twilio.MEANINGS.values()]
    for reason in reasons:
        assert len(reason) > 10
        assert not reason.endswith(".")
