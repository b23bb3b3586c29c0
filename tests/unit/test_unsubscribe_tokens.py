"""A link to unsubscribe names one message, and only we can make one."""

from __future__ import annotations

import base64
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixlify.domain.errors import UnsubscribeTokenError
from fixlify.domain.ids import new_id
from fixlify.domain.unsubscribing import UnsubscribeLinks, message_of, unsubscribe_url

SECRET = "correct horse battery staple"
PUBLIC = "https://automations.example.com"


def token_of(message_id: UUID, secret: str = SECRET) -> str:
    return unsubscribe_url(PUBLIC, secret, message_id).rpartition("/")[2]


@given(st.uuids())
def test_a_link_leads_back_to_its_message(message_id: UUID) -> None:
    assert message_of(token_of(message_id), SECRET) == message_id


def test_a_link_is_below_the_public_address_and_ends_in_letters_and_digits() -> None:
    url = unsubscribe_url(f"{PUBLIC}/fixlify/", SECRET, new_id())
    assert url.startswith(f"{PUBLIC}/fixlify/u/")
    token = url.rpartition("/")[2]
    assert token.isalnum()
    assert token.isascii()


def test_a_link_says_nothing_but_which_message() -> None:
    message_id = new_id()
    raw = base64.b32decode(token_of(message_id).upper())
    assert raw[1:17] == message_id.bytes
    assert len(raw) == 35


def test_a_link_that_was_written_in_capitals_is_the_same() -> None:
    message_id = new_id()
    assert message_of(token_of(message_id).upper(), SECRET) == message_id


@given(st.integers(0, 55), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
def test_a_link_of_which_one_letter_is_another_is_none(place: int, letter: str) -> None:
    token = token_of(UUID(int=7 << 64))
    changed = token[:place] + letter + token[place + 1 :]
    if changed != token:
        with pytest.raises(UnsubscribeTokenError):
            message_of(changed, SECRET)


@given(st.text(max_size=80) | st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=56, max_size=56))
def test_what_we_did_not_make_is_none(token: str) -> None:
    with pytest.raises(UnsubscribeTokenError):
        message_of(token, SECRET)


def test_another_key_makes_another_link() -> None:
    message_id = new_id()
    with pytest.raises(UnsubscribeTokenError):
        message_of(token_of(message_id, "another key of some length"), SECRET)


def test_links_of_an_older_key_are_believed_after_a_comma() -> None:
    message_id = new_id()
    both = f"a newer key of some length, {SECRET}"
    assert message_of(token_of(message_id), both) == message_id
    assert message_of(token_of(message_id, both), "a newer key of some length") == message_id


def test_without_an_address_or_a_key_the_way_out_is_an_answer_to_the_company() -> None:
    message_id = new_id()
    for links in (UnsubscribeLinks(), UnsubscribeLinks(PUBLIC), UnsubscribeLinks(None, SECRET)):
        assert links.url_for(message_id) is None
        assert links.way_out(message_id, "office@example.com") == (
            "mailto:office@example.com?subject=unsubscribe"
        )
        assert links.way_out(message_id, None) is None


def test_an_address_cannot_add_to_the_mail_that_a_link_begins() -> None:
    way_out = UnsubscribeLinks().way_out(new_id(), 'a?bcc=x&"y"@example.com')
    assert way_out == "mailto:a%3Fbcc=x%26%22y%22@example.com?subject=unsubscribe"


def test_where_links_can_be_made_they_are_the_way_out() -> None:
    message_id = new_id()
    links = UnsubscribeLinks(PUBLIC, SECRET)
    assert links.way_out(message_id, "office@example.com") == links.url_for(message_id)
    assert links.url_for(message_id) == unsubscribe_url(PUBLIC, SECRET, message_id)
