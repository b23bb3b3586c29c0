"""Providers' codes mean what a person would say they mean."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from fixlify.channels.email import codes as smtp
from fixlify.channels.meanings import Meaning
from fixlify.channels.sms import codes as twilio
from fixlify.channels.waiting import asked_in_words
from fixlify.domain.errors import OutcomeUnknownError, TransportError
from fixlify.domain.failures import FAILS_OVER, FailureKind

PERMANENT, TEMPORARY = FailureKind.PERMANENT, FailureKind.TEMPORARY
THROTTLED, LANDLINE = FailureKind.THROTTLED, FailureKind.LANDLINE


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
    ("code", "text", "kind"),
    [
        (550, "5.1.1 no such user", PERMANENT),
        (550, "5.7.1 spam", PERMANENT),
        (550, "5.1.8 bad sender", TEMPORARY),
        (550, "5.4.5 daily sending quota exceeded", THROTTLED),
        (535, "5.7.139 basic authentication is disabled", TEMPORARY),
        (452, "4.2.2 mailbox full", TEMPORARY),
        (450, "mailbox busy", TEMPORARY),
        (450, "4.2.0 <maria@example.com>: greylisted for 300 seconds", TEMPORARY),
        (450, "Greylisted", THROTTLED),
        (451, "4.7.1 try again later", THROTTLED),
        (451, "4.7.650 too many messages from your address", THROTTLED),
        (421, "4.7.28 unusual rate of mail", THROTTLED),
        (421, "too many connections", THROTTLED),
        (452, "4.5.3 too many recipients", THROTTLED),
        (454, "Throttling failure: Maximum sending rate exceeded", THROTTLED),
        (454, "temporary authentication failure", TEMPORARY),
    ],
)
def test_a_mail_server_that_asks_for_less_is_told_from_one_that_fails(
    code: int, text: str, kind: FailureKind
) -> None:
    assert smtp.refusal(code, text).kind is kind


@pytest.mark.parametrize(
    ("code", "text", "permanent"),
    [
        (535, "5.7.8 Bad credentials", False),
        (553, "5.7.1 Sender address rejected: not owned by user", False),
        (550, "5.1.8 Sender domain not found", False),
        (554, "5.7.1 Service unavailable; client host blocked", False),
        (421, "Too many connections", False),
        (552, "5.3.4 Message too big", True),
        (554, "5.2.3 Message too big", True),
    ],
)
def test_what_is_wrong_with_us_is_never_the_messages_fault(
    code: int, text: str, permanent: bool
) -> None:
    error = smtp.refused_before_the_recipient(code, text, "doing this")
    assert error.permanent is permanent
    assert error.kind in ({PERMANENT} if permanent else FAILS_OVER)
    assert str(error).startswith("doing this: ")


@pytest.mark.parametrize(
    ("code", "is_of_the_mailbox"),
    [
        ("452 4.2.2", True),
        ("450 4.1.1", True),
        ("450", True),
        ("451", False),
        ("451 4.7.1", False),
        ("421 4.3.2", False),
        ("535 5.7.8", False),
        (None, False),
    ],
)
def test_a_mailbox_is_told_from_its_server(code: str | None, is_of_the_mailbox: bool) -> None:
    assert smtp.is_of_the_mailbox(code) is is_of_the_mailbox


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


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (21610, FailureKind.OPTED_OUT),
        (21614, LANDLINE),
        (21635, LANDLINE),
        (30006, LANDLINE),
        (14107, THROTTLED),
        (20429, THROTTLED),
        (21611, THROTTLED),
        (30001, THROTTLED),
        (63038, THROTTLED),
        (20500, TEMPORARY),
        (20003, TEMPORARY),
        (21606, TEMPORARY),
        (30034, TEMPORARY),
        (21211, PERMANENT),
        (30007, PERMANENT),
        (99999, PERMANENT),
    ],
)
def test_a_code_of_twilio_says_what_may_come_after_it(code: int, kind: FailureKind) -> None:
    error = twilio.refusal(*answer(code))
    assert error.kind is kind
    assert error.permanent is (kind not in FAILS_OVER)


def test_a_carrier_that_never_answered_may_have_the_message() -> None:
    assert isinstance(twilio.refusal(*answer(30410)), OutcomeUnknownError)


def test_a_wrong_number_of_our_own_names_the_setting_it_comes_from() -> None:
    assert "check TWILIO_FROM_NUMBER" in str(twilio.refusal(*answer(21606)))
    second = twilio.refusal(*answer(21606), "TWILIO_FALLBACK_FROM_NUMBER")
    assert "check TWILIO_FALLBACK_FROM_NUMBER" in str(second)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("30003", "out of reach"),
        ("30005", "not in service"),
        ("30006", "landline"),
        ("30007", "spam"),
        ("30008", "did not say why"),
        ("30034", "not registered"),
        ("21610", "STOP"),
        ("21606", "TWILIO_FROM_NUMBER"),
        ("39999", "https://www.twilio.com/docs/api/errors/39999"),
        (None, "does not say why"),
        ("", "does not say why"),
        ("0", "does not say why"),
        ("<script>", "does not say why"),
        ("9" * 5_000, "does not say why"),
        ("\u0663", "does not say why"),
    ],
)
def test_why_a_message_did_not_arrive_is_said_in_words(code: str | None, words: str) -> None:
    assert words in twilio.delivery_reason(code)
    assert "{" not in twilio.delivery_reason(code)


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


def test_no_wait_is_longer_than_any_message_is_tried() -> None:
    for value in ("99999999999", "Fri, 31 Dec 9999 23:59:59 GMT"):
        error = twilio.refusal(*answer(20429, 429, **{"Retry-After": value}))
        assert error.retry_after == timedelta(days=1)


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("4.7.1 Greylisted, please try again in 300 seconds", timedelta(minutes=5)),
        ("4.7.1 come back in 00:05:00", timedelta(minutes=5)),
        ("4.2.0 try again after 2 minutes", timedelta(minutes=2)),
        ("4.2.0 wait 1 hour", timedelta(hours=1)),
        ("4.7.1 in 999999 hours", timedelta(days=1)),
        ("4.7.1 try again later", None),
        ("4.7.1 mail to 300seconds@example.com is delayed", None),
    ],
)
def test_a_mail_server_says_how_long_to_wait_in_words(text: str, wait: timedelta | None) -> None:
    assert smtp.refusal(451, text).retry_after == wait
    assert asked_in_words(text) == wait


def test_a_refusal_for_good_asks_for_no_wait() -> None:
    assert smtp.refusal(550, "5.1.1 unknown; try again in 300 seconds").retry_after is None


@pytest.mark.parametrize("value", ["soon", "", "9" * 400, "Wed, 99 Foo"])
def test_a_wait_that_makes_no_sense_is_none(value: str) -> None:
    assert twilio.refusal(*answer(20429, 429, **{"Retry-After": value})).retry_after is None


@pytest.mark.parametrize("value", ["-5", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_a_wait_that_is_over_is_zero(value: str) -> None:
    error = twilio.refusal(*answer(20429, 429, **{"Retry-After": value}))
    assert error.retry_after == timedelta(0)


ALL_MEANINGS = [*smtp.MEANINGS.items(), *twilio.MEANINGS.items(), *twilio.HTTP_MEANINGS.items()]


@pytest.mark.parametrize(("code", "meaning"), ALL_MEANINGS, ids=lambda value: str(value)[:12])
def test_every_meaning_is_a_clause_a_person_can_read(code: object, meaning: Meaning) -> None:
    assert isinstance(meaning.kind, FailureKind)
    assert len(meaning.reason) > 10
    assert not meaning.reason.endswith(".")
    assert meaning.reason.count(" ") >= 2
    assert meaning.permanent is (meaning.kind not in FAILS_OVER)


def test_no_code_for_now_is_called_permanent_nor_the_reverse() -> None:
    """The first digit of an enhanced status tells; the exceptions are our own faults."""
    for code, meaning in smtp.MEANINGS.items():
        if code.startswith("4"):
            assert meaning.kind in FAILS_OVER, code
        else:
            assert meaning.permanent or any(
                word in meaning.reason for word in ("our ", "us to", "the login", "log in")
            ), code


def test_an_error_is_as_permanent_as_its_kind() -> None:
    for code in twilio.MEANINGS:
        error: TransportError = twilio.refusal(*answer(code))
        assert error.permanent is (error.kind not in FAILS_OVER)
