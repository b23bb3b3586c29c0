"""Mail servers report in many shapes what became of a message; no mail can break the reader."""

from __future__ import annotations

import base64
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixlify.channels.email.reports import (
    Action,
    DeliveryReport,
    means_no_mailbox,
    message_named,
    read_reports,
)

ID = UUID("0199a3f2-5c1e-7abc-8def-0123456789ab")
OURS = f"<{ID}@mail.northwind.example>"

RETURNED_HEADERS = f"""From: Northwind Heating <automations@northwind.example>
To: ada@example.com
Subject: Your visit
Message-ID: {OURS}
X-Fixlify-Message-Id: {ID}
MIME-Version: 1.0
"""


def report(status: str, returned: str = "", *, headers: str = "", kind: str = "") -> bytes:
    """Return a report with the fields *status*, and what comes back, with its content type."""
    returned = returned or f"Content-Type: {kind or 'text/rfc822-headers'}\n\n{RETURNED_HEADERS}"
    return f"""From: Mail Delivery System <MAILER-DAEMON@mx.example.net>
To: automations@northwind.example
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
{headers}Content-Type: multipart/report; report-type=delivery-status; boundary="b0und/1"

This is a MIME-encapsulated message.

--b0und/1
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to tell you that it could not be delivered.

--b0und/1
Content-Description: Delivery report
Content-Type: message/delivery-status

{status.strip()}

--b0und/1
{returned}
--b0und/1--
""".encode()


POSTFIX = report(
    """Reporting-MTA: dns; mx.example.net
X-Postfix-Queue-ID: 4F1A22C0C3
X-Postfix-Sender: rfc822; automations@northwind.example
Arrival-Date: Tue, 17 Nov 2026 10:00:00 +0000 (UTC)

Final-Recipient: rfc822; ada@example.com
Original-Recipient: rfc822;ada@example.com
Action: failed
Status: 5.1.1
Remote-MTA: dns; mail.example.com
Diagnostic-Code: smtp; 550 5.1.1 <ada@example.com>: Recipient address rejected:
    User unknown in virtual mailbox table"""
)
EXIM = report(
    """Reporting-MTA: dns; exim.example.net

Action: failed
Final-Recipient: rfc822;ada@example.com
Status: 5.0.0
Remote-MTA: dns; mail.example.com
Diagnostic-Code: smtp; 550 5.1.1 The email account that you tried to reach does not exist.""",
    kind="message/rfc822",
)
EXCHANGE = report(
    """Reporting-MTA: dns;AM0PR01MB0001.eurprd01.prod.exchangelabs.example
Received-From-MTA: dns;mail.northwind.example
Arrival-Date: Tue, 17 Nov 2026 10:00:00 +0000

Final-Recipient: rfc822;ada@example.com
Action: failed
Status: 5.1.10
Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP""",
    # It may leave the mail out, and names it as a reply does.
    returned="Content-Type: text/plain\n\nThe original message is not included.\n",
    headers=f"In-Reply-To: {OURS}\nReferences: <other@x.example> {OURS}\n",
)
GMAIL = report(
    f"""Reporting-MTA: dns; googlemail.com
Arrival-Date: Tue, 17 Nov 2026 02:00:00 -0800 (PST)
X-Original-Message-ID: {OURS}

Final-Recipient: rfc822; ada@example.com
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550-5.1.1 The email account that you tried to reach does not exist.
Last-Attempt-Date: Tue, 17 Nov 2026 02:00:01 -0800 (PST)""",
    returned="Content-Type: text/plain\n\nnothing\n",
)


@pytest.mark.parametrize(
    "mail", [POSTFIX, EXIM, EXCHANGE, GMAIL], ids=["postfix", "exim", "exchange", "gmail"]
)
def test_a_mailbox_that_nobody_has_is_reported_by_every_server(mail: bytes) -> None:
    (found,) = read_reports(mail)
    assert (found.message_id, found.recipient, found.action) == (
        ID,
        "ada@example.com",
        Action.FAILED,
    )
    assert means_no_mailbox(found.status, found.diagnostic)


@pytest.mark.parametrize("mail", [POSTFIX, EXIM, EXCHANGE, GMAIL])
def test_the_line_ends_of_the_internet_change_nothing(mail: bytes) -> None:
    assert read_reports(mail.replace(b"\n", b"\r\n")) == read_reports(mail)


def test_the_words_of_a_server_come_in_one_line() -> None:
    (found,) = read_reports(POSTFIX)
    assert found == DeliveryReport(
        message_id=ID,
        recipient="ada@example.com",
        action=Action.FAILED,
        status="5.1.1",
        diagnostic="550 5.1.1 <ada@example.com>: Recipient address rejected: User unknown in "
        "virtual mailbox table",
    )


@pytest.mark.parametrize("action", list(Action))
def test_every_action_is_told(action: Action) -> None:
    (found,) = read_reports(
        report(
            "Reporting-MTA: dns; mx.example\n\n"
            f"Final-Recipient: rfc822; ada@example.com\nAction: {action.upper()}\nStatus: 4.4.1"
        )
    )
    assert (found.action, found.status) == (action, "4.4.1")


def test_of_a_forwarded_mail_the_address_that_we_wrote_to_is_told() -> None:
    (found,) = read_reports(
        report(
            "Reporting-MTA: dns; mx.example\n\n"
            "Original-Recipient: rfc822; <ada@example.com>\n"
            "Final-Recipient: rfc822; ada@elsewhere.example\nAction: failed\nStatus: 5.1.1"
        )
    )
    assert found.recipient == "ada@example.com"


def test_each_recipient_of_a_list_is_told() -> None:
    groups = "\n\n".join(
        f"Final-Recipient: rfc822; {name}@example.com\nAction: failed\nStatus: 5.1.1"
        for name in ("ada", "bob")
    )
    found = read_reports(report(f"Reporting-MTA: dns; mx.example\n\n{groups}"))
    assert [each.recipient for each in found] == ["ada@example.com", "bob@example.com"]


def test_headers_that_come_back_encoded_are_read() -> None:
    encoded = base64.encodebytes(RETURNED_HEADERS.encode()).decode()
    (found,) = read_reports(
        report(
            "Reporting-MTA: dns; a\n\nFinal-Recipient: rfc822; ada@example.com\n"
            "Action: failed\nStatus: 5.1.1",
            returned=f"Content-Type: text/rfc822-headers\nContent-Transfer-Encoding: base64\n\n"
            f"{encoded}",
        )
    )
    assert found.message_id == ID


def test_a_report_in_other_letters_is_read() -> None:
    """RFC 6533: what the standard parser does not take apart."""
    mail = POSTFIX.replace(b"message/delivery-status", b"message/global-delivery-status").replace(
        b"text/rfc822-headers", b"message/global-headers"
    )
    (found,) = read_reports(mail)
    assert (found.message_id, found.status) == (ID, "5.1.1")


def test_a_report_about_somebody_elses_mail_is_none() -> None:
    assert read_reports(POSTFIX.replace(str(ID).encode(), b"4711")) == ()


QMAIL = f"""From: MAILER-DAEMON@old.example
Subject: failure notice

Hi. This is the qmail-send program at old.example.
I'm afraid I wasn't able to deliver your message to the following addresses.

<ada@example.com>:
Sorry, no mailbox here by that name. (#5.1.1)

--- Below this line is a copy of the message.

{RETURNED_HEADERS}""".encode()
ANSWER = f"In-Reply-To: {OURS}\nSubject: Re: Your visit\n\nThanks!\n".encode()


@pytest.mark.parametrize("mail", [b"", b"\x00", QMAIL, ANSWER, RETURNED_HEADERS.encode()])
def test_mail_that_is_no_report_says_nothing(mail: bytes) -> None:
    assert read_reports(mail) == ()


@pytest.mark.parametrize("field", ["Final-Recipient", "Action"])
def test_a_report_that_lacks_what_matters_says_nothing(field: str) -> None:
    mail = POSTFIX.replace(b"Original-Recipient", b"X-Other")
    assert read_reports(mail)
    assert read_reports(mail.replace(field.encode(), b"X-Nothing")) == ()


def test_a_report_that_was_cut_short_is_read_as_far_as_it_goes() -> None:
    whole = POSTFIX.partition(b"MIME-Version: 1.0\n\n--b0und/1--")[0]
    assert len(read_reports(whole)) == 1
    for length in range(0, len(POSTFIX), 37):
        assert len(read_reports(POSTFIX[:length])) <= 1


@pytest.mark.parametrize(
    ("status", "diagnostic", "is_none"),
    [
        ("5.1.1", None, True),
        ("5.1.10", None, True),
        ("5.2.1", "550 5.2.1 The email account that you tried to reach is disabled.", True),
        ("5.2.2", "552 5.2.2 The email account that you tried to reach is over quota", False),
        ("5.7.1", "550 5.7.1 user unknown, or rather: your address is on a list", False),
        ("5.0.0", "550 5.7.1 Blocked", False),
        ("5.0.0", "550 5.1.1 unknown", True),
        ("5.0.0", "550 No such user here", True),
        (None, "550 User unknown", True),
        ("5.0.0", "554 Blocked by 127.5.1.1 for no such reason", False),
        ("4.0.0", "450 user unknown for now", False),
        ("4.4.1", None, False),
        (None, None, False),
    ],
)
def test_only_an_address_that_nobody_has_is_given_up(
    status: str | None, diagnostic: str | None, is_none: bool
) -> None:
    assert means_no_mailbox(status, diagnostic) is is_none


@pytest.mark.parametrize("text", [str(ID), f"<{ID}@x.example>", f" {ID}@x.example ", f"<{ID}>"])
def test_a_message_is_known_by_its_header_or_its_id(text: str) -> None:
    assert message_named(text) == ID


@pytest.mark.parametrize("text", ["", "4711", f"{ID}0", f"<x{ID}@x>", f"{ID}@x@y", f"{ID}\n{ID}"])
def test_what_is_no_message_id_names_nothing(text: str) -> None:
    assert message_named(text) is None


@given(st.binary(max_size=2_000))
def test_any_bytes_are_read(mail: bytes) -> None:
    assert read_reports(mail) == ()


@settings(max_examples=300)
@given(st.integers(0, len(POSTFIX)), st.binary(max_size=60), st.integers(0, 200))
def test_any_bytes_within_a_report_are_read(place: int, noise: bytes, instead_of: int) -> None:
    for each in read_reports(POSTFIX[:place] + noise + POSTFIX[place + instead_of :]):
        assert "@" in each.recipient
        assert each.diagnostic is None or len(each.diagnostic.splitlines()) == 1


@pytest.mark.parametrize(("depth", "is_read"), [(30, True), (60, False), (2_000, False)])
def test_mail_that_is_nested_deeper_than_any_report_is_not_parsed(
    depth: int, is_read: bool
) -> None:
    nested = b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (level, level)
        for level in range(depth)
    )
    forwarded = b"Content-Type: message/rfc822\n\n" * depth
    for mail in (nested + POSTFIX, forwarded + POSTFIX):
        assert read_reports(mail) == (read_reports(POSTFIX) if is_read else ())


def test_mail_of_more_pieces_than_any_report_is_not_parsed() -> None:
    fields = b"Action: failed\n\n"
    assert read_reports(POSTFIX.replace(b"--b0und/1--", b"A: b\n\n" * 1_000 + b"--b0und/1--"))
    assert not read_reports(POSTFIX.replace(b"Action: failed\n", fields + b"A: b\n\n" * 3_000))
    assert not read_reports(b"A: b\n\n" * 3_000 + POSTFIX)


@pytest.mark.parametrize("error", [RecursionError, ValueError, LookupError, TypeError])
def test_what_the_parser_does_wrong_is_no_crash(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def fail(mail: bytes) -> None:
        raise error

    monkeypatch.setattr("fixlify.channels.email.reports.message_from_bytes", fail)
    assert read_reports(POSTFIX) == ()


@pytest.mark.parametrize(
    "mail",
    [
        b"X: " + b"a" * 3_000_000,
        b"X: a\n b" * 300_000,
        POSTFIX.replace(b"Action: failed", b"X: " + b"=?utf-8?q?" * 30_000),
        POSTFIX.replace(b"Action: failed", b"A: b\n\n" * 40_000),
        POSTFIX.replace(b"failed", b"failed\nDiagnostic-Code: x; " + b"user " * 40_000),
        b"Content-Type: multipart/report; boundary=" + b"x" * 100_000 + b"\n\n--x",
        b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\n" * 50_000,
        b"Content-Type: " + b"multipart/report;a=" * 20_000,
        b'Content-Type: multipart/report; a*0*="' + b"%" * 100_000,
    ],
    ids=range(9),
)
def test_mail_that_is_made_to_take_long_is_read(mail: bytes) -> None:
    assert len(read_reports(mail)) <= 1
