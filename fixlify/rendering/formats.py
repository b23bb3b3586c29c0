"""How moments and amounts are written: in one person's language and time zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Literal, get_args
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time
from babel.numbers import format_currency, format_decimal, get_currency_precision, is_currency

from fixlify.domain.errors import RenderError
from fixlify.domain.facts import Facts

Style = Literal["full", "long", "medium", "short"]
STYLES: tuple[Style, ...] = get_args(Style)
"""What a template may ask of ``date``, ``time`` and ``datetime``; Unicode CLDR's words."""

# CLDR writes "10:00 AM" with spaces that do not break. One of them turns a text message
# into two: no 7-bit alphabet has it.
_PLAIN_SPACES = str.maketrans({"\u00a0": " ", "\u202f": " "})


@dataclass(frozen=True)
class Formats:
    """One way of writing; lives in a cache, shared by every message that writes so.

    Attributes are checked when something is first written with them: a message without a
    date does not fail for a wrong time zone.
    """

    client_locale: str | None
    organization_locale: str
    client_time_zone: str | None
    organization_time_zone: str
    currency: str

    @cached_property
    def locale(self) -> Locale:
        """The client's language and country, or the organization's where that is unknown.

        Raises:
            RenderError: The organization's is unknown too.
        """
        # As with zones below: what an import wrote into a client must not stop the message.
        for name in (self.client_locale, self.organization_locale):
            if name and (locale := _locale(name)):
                return locale
        raise RenderError("the organization's locale is unknown; write one such as en_US")

    @cached_property
    def time_zone(self) -> ZoneInfo:
        """The client's zone, or the organization's where the client's is missing or unknown.

        Raises:
            RenderError: The organization's is unknown too.
        """
        # A client's zone comes from imports and browsers: a wrong one must not stop the
        # message, since the organization's is right for almost everybody.
        for name in (self.client_time_zone, self.organization_time_zone):
            if name and (zone := _zone(name)):
                return zone
        raise RenderError(
            "the organization's time zone is unknown; write one such as America/Chicago"
        )

    def day(self, moment: date, style: Style = "long") -> str:
        """Return the day: ``November 26, 2026``; of a moment the client's, of a date its own."""
        day = self._local(moment).date() if isinstance(moment, datetime) else moment
        written = format_date(day, style, self.locale)
        return written.translate(_PLAIN_SPACES)

    def time_of_day(self, moment: datetime, style: Style = "short") -> str:
        """Return the time of day: ``10:00 AM``."""
        local = self._local(moment)
        written = format_time(local, style, tzinfo=self.time_zone, locale=self.locale)
        return written.translate(_PLAIN_SPACES)

    def day_and_time(self, moment: datetime, style: Style = "long") -> str:
        """Return the day and the time to the minute: ``November 26, 2026 at 10:00 AM``."""
        pattern = str(self.locale.datetime_formats[style])
        return (
            pattern.replace("'", "")
            .replace("{1}", self.day(moment, style))
            .replace("{0}", self.time_of_day(moment))
        )

    def money(self, amount: Decimal) -> str:
        """Return the amount with the organization's currency: ``$1,250.00``.

        Raises:
            RenderError: The currency is unknown.
        """
        written = format_currency(amount, self._known_currency, locale=self.locale)
        return written.translate(_PLAIN_SPACES)

    def number(self, amount: Decimal) -> str:
        """Return the amount without a currency, with as many decimals as it has: ``1,250.00``.

        Templates of the replaced system write the sign themselves: ``${{job_total}}``.
        """
        decimals = get_currency_precision(self._known_currency)
        pattern = "#,##0" + ("." + "0" * decimals if decimals else "")
        written: str = format_decimal(amount, pattern, self.locale)
        return written.translate(_PLAIN_SPACES)

    def plain_number(self, number: float) -> str:
        """Return a number that is no amount, six decimals at most: ``4.5``, and ``3`` for 3.0."""
        written: str = format_decimal(Decimal(str(number)), "0.######", self.locale)
        return written.translate(_PLAIN_SPACES)

    @cached_property
    def _known_currency(self) -> str:
        if not is_currency(self.currency):
            raise RenderError("the organization's currency is unknown; write one such as USD")
        return self.currency

    def _local(self, moment: datetime) -> datetime:
        # A moment without a zone is UTC, as everywhere in the database.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(self.time_zone)


def formats_for(facts: Facts) -> Formats:
    """Return how to write to the client of *facts*, or to staff where there is none."""
    organization = facts.organization
    client = facts.client
    return _formats(
        client.locale if client else None,
        organization.locale,
        client.time_zone if client else None,
        organization.time_zone,
        organization.currency,
    )


_formats = lru_cache(maxsize=1024)(Formats)

# No locale and no zone has a longer name; a longer one is not looked for on the disk.
_LONGEST_NAME = 64


def _locale(name: str) -> Locale | None:
    if len(name) > _LONGEST_NAME:
        return None
    try:
        return Locale.parse(name.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        return None


def _zone(name: str) -> ZoneInfo | None:
    if len(name) > _LONGEST_NAME:
        return None
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        # A folder of the database, a path, a name it does not have.
        return None
