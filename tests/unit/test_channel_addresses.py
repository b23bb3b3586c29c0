"""What people typed becomes an address that a provider takes, or a reason without the address."""

from __future__ import annotations

import pytest

from fixlify.channels.addresses import email_address, phone_number
from fixlify.domain.errors import RecipientError


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("maria@example.com", "maria@example.com"),
        ("  Maria.Lopez+home@Example.COM\n", "Maria.Lopez+home@example.com"),
        ("ann@münchen.de", "ann@xn--mnchen-3ya.de"),
        ("añ@münchen.de", "añ@xn--mnchen-3ya.de"),
        ("ann@company.test", "ann@company.test"),
        ("ann@company.example", "ann@company.example"),
    ],
)
def test_an_email_address_is_brought_into_its_usual_form(raw: str, expected: str) -> None:
    assert email_address(raw) == expected


@pytest.mark.parametrize("missing", [None, "", "  \n"])
def test_a_missing_email_address_is_a_reason(missing: str | None) -> None:
    with pytest.raises(RecipientError, match="there is no email address; add one"):
        email_address(missing)


@pytest.mark.parametrize(
    "raw",
    [
        "maria",
        "maria@",
        "maria@home",
        "maria@localhost",
        "maria@printer.local",
        "maria@nowhere.invalid",
        "maria@@example.com",
        "Maria <maria@example.com>",
        "maria@example.com, ann@example.com",
        "maria@example.com\r\nBcc: ann@example.com",
        "maria@[127.0.0.1]",
        "ma ria@example.com",
        "maria@exa\x00mple.com",
        "m" * 65 + "@example.com",
        "maria@" + "x" * 260 + ".com",
    ],
)
def test_what_is_not_one_address_is_refused_without_saying_it_again(raw: str) -> None:
    with pytest.raises(RecipientError, match="not valid; correct it") as caught:
        email_address(raw)
    assert "maria" not in str(caught.value).casefold()
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("raw", "region", "expected"),
    [
        ("(312) 555-0142", "US", "+13125550142"),
        ("312.555.0142 ext. 7", "us", "+13125550142"),
        ("+1 (312) 555-0142", None, "+13125550142"),
        ("+1 (312) 555-0142", "GB", "+13125550142"),
        ("020 7946 0018", "GB", "+442079460018"),
        ("+49 30 901820", "US", "+4930901820"),
        ("tel:+13125550142", "US", "+13125550142"),
        ("+15005550006", "US", "+15005550006"),
        ("(555) 123-4567", "US", "+15551234567"),
    ],
)
def test_a_phone_number_becomes_e164(raw: str, region: str | None, expected: str) -> None:
    assert phone_number(raw, region) == expected


@pytest.mark.parametrize("missing", [None, "", "  "])
def test_a_missing_phone_number_is_a_reason(missing: str | None) -> None:
    with pytest.raises(RecipientError, match="there is no phone number; add one"):
        phone_number(missing, "US")


@pytest.mark.parametrize(
    ("raw", "region"),
    [
        ("ask at the desk", "US"),
        ("12345", "US"),
        ("555-0142", "US"),
        ("0000000000", "US"),
        ("123-456-7890", "US"),
        ("(312) 555-0142", None),
        ("(312) 555-0142", "en"),
        ("(312) 555-0142", ""),
        ("+1 312 555 014", "US"),
        ("+999 312 555 0142", "US"),
        ("3125550142" * 40, "US"),
    ],
)
def test_what_is_no_number_is_refused_without_saying_it_again(raw: str, region: str | None) -> None:
    with pytest.raises(RecipientError, match="not valid; correct it") as caught:
        phone_number(raw, region)
    assert "312" not in str(caught.value)
    assert caught.value.__cause__ is None
