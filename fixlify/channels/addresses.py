"""Turn what people typed into addresses that a provider takes.

No address appears in an error: errors travel into logs and histories.
"""

from __future__ import annotations

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from fixlify.domain.errors import RecipientError


def email_address(raw: str | None) -> str:
    """Return *raw* as one bare address, its domain in ASCII: ``ann@xn--mnchen-3ya.de``.

    Nothing is looked up. Names that can have no mail (``localhost``, ``.local``, ``.invalid``)
    are refused; ``.test`` and ``.example`` are not, so that a test company can use them.

    Raises:
        RecipientError: It is missing, or not one address.
    """
    if raw is None or not raw.strip():
        raise RecipientError("there is no email address; add one to the person")
    try:
        valid = validate_email(
            raw.strip(), check_deliverability=False, test_environment=True, strict=True
        )
    except EmailNotValidError:
        raise RecipientError("the email address is not valid; correct it at the person") from None
    return valid.ascii_email or f"{valid.local_part}@{valid.ascii_domain}"


def phone_number(raw: str | None, region: str | None) -> str:
    """Return *raw* in E.164: ``+13125550142``.

    Args:
        raw: as stored, in national or international form.
        region: two letters (``US``) for numbers without a country code; an unknown region
            or None takes only numbers with ``+``.

    An extension is dropped. North America's area code 555, which nobody has, is let through
    like ``.test``: test companies are full of it.

    Raises:
        RecipientError: It is missing, or no number of its country.
    """
    if raw is None or not raw.strip():
        raise RecipientError("there is no phone number; add one to the person")
    try:
        number = phonenumbers.parse(raw, region and region.upper())
    except phonenumbers.NumberParseException:
        raise _not_a_number() from None
    if not (phonenumbers.is_valid_number(number) or _is_fictional(number)):
        raise _not_a_number()
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _is_fictional(number: phonenumbers.PhoneNumber) -> bool:
    national = str(number.national_number)
    return number.country_code == 1 and len(national) == 10 and national.startswith("555")


def _not_a_number() -> RecipientError:
    return RecipientError("the phone number is not valid; correct it at the person")
