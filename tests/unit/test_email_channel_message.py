"""An email is written so that every server takes it and no data can add to it."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any
from uuid import UUID

import pytest

from fixlify.channels import OutgoingEmail
from fixlify.channels.email.message import write_message
from fixlify.domain.errors import RecipientError, TransportError

MESSAGE_ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")


def outgoing(**changes: Any) -> OutgoingEmail:
    fields = {
        "message_id": MESSAGE_ID,
        "to": "maria@example.com",
        "sender": "automations@lakeside.example",
        "sender_name": "Lakeside Plumbing",
        "reply_to": "office@lakeside.example",
        "subject": "Thank you",
        "text": "Hi Maria",
        "html": "<p>Hi Maria</p>",
    }
    return OutgoingEmail.model_validate(fields | changes)


def read(**changes: Any) -> EmailMessage:
    letter = message_from_bytes(write_message(outgoing(**changes)), policy=policy.default)
    assert isinstance(letter, EmailMessage)
    assert letter.defects == []
    return letter


def body(letter: EmailMessage, kind: str) -> str:
    part = letter.get_body((kind,))
    assert isinstance(part, EmailMessage)
    assert part.defects == []
    content: str = part.get_content()
    return content.replace("\r\n", "\n").removesuffix("\n")


def test_the_headers_say_who_to_whom_and_which() -> None:
    letter = read()
    assert letter["From"] == "Lakeside Plumbing <automations@lakeside.example>"
    assert letter["To"] == "maria@example.com"
    assert letter["Reply-To"] == "office@lakeside.example"
    assert letter["Subject"] == "Thank you"
    assert letter["Message-ID"] == f"<{MESSAGE_ID}@lakeside.example>"
    assert letter["X-Fixlify-Message-Id"] == str(MESSAGE_ID)
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter["MIME-Version"] == "1.0"
    assert letter["Date"].datetime.tzinfo is not None


UNSUBSCRIBE = "https://automations.lakeside.example/unsubscribe/" + "a1-_." * 60 + "?v=1&x=%20;y"


def test_a_reader_may_unsubscribe_with_one_click() -> None:
    """RFC 8058: two headers, the link whole and on one line, however long it is."""
    raw = write_message(outgoing(unsubscribe_url=UNSUBSCRIBE))
    assert f"\r\nList-Unsubscribe: <{UNSUBSCRIBE}>\r\n".encode() in raw
    assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in raw
    letter = read(unsubscribe_url=UNSUBSCRIBE)
    assert letter["List-Unsubscribe"] == f"<{UNSUBSCRIBE}>"
    assert len(letter.get_all("List-Unsubscribe", [])) == 1
    assert letter["Subject"] == "Thank you"


def test_the_link_to_unsubscribe_is_whole_beside_an_address_with_other_letters() -> None:
    raw = write_message(outgoing(to="añá@example.com", unsubscribe_url=UNSUBSCRIBE))
    assert f"\r\nList-Unsubscribe: <{UNSUBSCRIBE}>\r\n".encode() in raw


def test_an_address_to_write_to_takes_no_click() -> None:
    """RFC 8058 is about posting; without a public address a reader can still write."""
    raw = write_message(outgoing(unsubscribe_url="mailto:office@lakeside.example?subject=stop"))
    assert b"\r\nList-Unsubscribe: <mailto:office@lakeside.example?subject=stop>\r\n" in raw
    assert b"List-Unsubscribe-Post" not in raw


def test_where_there_is_nothing_to_unsubscribe_from_no_header_says_so() -> None:
    raw = write_message(outgoing())
    assert b"List-Unsubscribe" not in raw


@pytest.mark.parametrize(
    "url",
    [
        "",
        "unsubscribe",
        "ftp://lakeside.example/stop",
        "https://a.example/\r\nBcc: everybody@example.com",
        "https://a.example/>, <https://b.example/",
        "https://a.example/a b",
        "https://a.example/é",
        "https://a.example/" + "x" * 1_000,
    ],
)
def test_what_is_no_link_is_never_written_as_one(url: str) -> None:
    with pytest.raises(TransportError, match="FIXLIFY_PUBLIC_URL") as caught:
        write_message(outgoing(unsubscribe_url=url))
    assert not caught.value.permanent


def test_both_texts_are_there_and_the_plain_one_comes_first() -> None:
    letter = read()
    assert letter.get_content_type() == "multipart/alternative"
    kinds = [part.get_content_type() for part in letter.iter_parts()]
    assert kinds == ["text/plain", "text/html"]
    assert body(letter, "plain") == "Hi Maria"
    assert body(letter, "html") == "<p>Hi Maria</p>"


def test_an_email_without_html_has_one_part() -> None:
    letter = read(html=None)
    assert letter.get_content_type() == "text/plain"
    assert body(letter, "plain") == "Hi Maria"


@pytest.mark.parametrize(
    "text",
    [
        "Grüße, Añá 😀",
        "a line of " + "many words " * 200,
        ".\n..\n.hidden\n\nFrom me\n",
        "trailing space \ntab\t\n=3D=\n",
        "--=_fixlify_=\nContent-Type: text/html\n\n<b>mine</b>\n--=_fixlify_=--",
    ],
)
def test_any_text_arrives_as_it_was_written(text: str) -> None:
    letter = read(text=text, html=text)
    assert body(letter, "plain") == text.removesuffix("\n")
    assert body(letter, "html") == text.removesuffix("\n")
    assert len(list(letter.iter_parts())) == 2


def test_the_bytes_are_ascii_lines_that_any_server_takes() -> None:
    raw = write_message(
        outgoing(subject="Grüße " * 30, sender_name="Añá " * 30, text="é" * 5_000, html="x" * 5_000)
    )
    assert raw.isascii()
    lines = raw.split(b"\r\n")
    assert max(map(len, lines)) <= 78
    assert not any(b"\n" in line or b"\r" in line for line in lines)


@pytest.mark.parametrize("subject", ["Grüße aus München 😀 " * 8, "plain but long " * 12])
def test_any_subject_arrives_as_it_was_written(subject: str) -> None:
    assert read(subject=subject)["Subject"] == subject.strip()


@pytest.mark.parametrize("line_break", ["\r\n", "\n", "\r", "\x0b", "\x0c", "\x85", "\u2028"])
def test_no_field_can_add_a_header(line_break: str) -> None:
    injected = f"Hello{line_break}Bcc: everybody@example.com{line_break}{line_break}<b>body</b>"
    letter = read(subject=injected, sender_name=injected, reply_to=injected)
    assert letter["Bcc"] is None
    assert letter["Subject"] == "Hello Bcc: everybody@example.com <b>body</b>"
    assert letter["From"].addresses[0].addr_spec == "automations@lakeside.example"
    assert letter["Reply-To"] is None
    assert body(letter, "plain") == "Hi Maria"


def test_characters_that_no_header_has_are_left_out() -> None:
    letter = read(subject="He\x00l\ud800lo\x7f", sender_name="La\x1bke")
    assert letter["Subject"] == "Hello"
    assert letter["From"].addresses[0].display_name == "Lake"


@pytest.mark.parametrize("name", ['Smith, "Bob" & Sons', "a@b.com", "Café; Zoë", "(comment)", ""])
def test_any_company_name_is_only_a_name(name: str) -> None:
    (sender,) = read(sender_name=name)["From"].addresses
    assert sender.display_name == name
    assert sender.addr_spec == "automations@lakeside.example"


@pytest.mark.parametrize(
    "reply_to", [None, "", "not an address", "a@b.com, c@d.com", "<>", "é@b.com"]
)
def test_a_reply_address_that_is_none_is_left_out(reply_to: str | None) -> None:
    assert read(reply_to=reply_to)["Reply-To"] is None


def test_an_address_with_other_letters_is_written_as_it_is() -> None:
    raw = write_message(outgoing(to="añá@example.com"))
    assert "To: añá@example.com\r\n".encode() in raw


@pytest.mark.parametrize("encoded", ["=?utf-8?q?x=0ABcc:_a?=", "=?utf-8?b?Cg==?= é"])
def test_a_subject_is_not_decoded(encoded: str) -> None:
    assert read(subject=encoded)["Subject"] == encoded.replace("=?", "= ?")


BAD = [
    "",
    "nobody",
    "nobody at home@x.com",
    "a@b.com, c@d.com",
    "<a@b.com>",
    "a@b.com\r\nBcc: c@d.com",
]


@pytest.mark.parametrize("address", BAD)
def test_a_sender_that_is_no_address_waits_for_the_setting(address: str) -> None:
    with pytest.raises(TransportError, match="FIXLIFY_MAIL_FROM") as caught:
        write_message(outgoing(sender=address))
    assert not caught.value.permanent


@pytest.mark.parametrize("address", BAD)
def test_a_recipient_that_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(RecipientError, match="not valid"):
        write_message(outgoing(to=address))
