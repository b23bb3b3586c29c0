"""The people of a promise: the company that makes it, its client, and who does the work."""

from __future__ import annotations

from datetime import UTC, date, datetime, tzinfo
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import computed_field

from fixlify.domain.models import Frozen


class Organization(Frozen):
    """The company that makes the promise.

    ``logo_url`` and ``brand_color`` (``#0b6e4f``) are how its mail looks; ``address`` is where
    it is, in one line.
    """

    id: UUID
    name: str
    email: str | None = None
    phone: str | None = None
    website: str | None = None
    time_zone: str = "UTC"
    locale: str = "en_US"
    currency: str = "USD"
    address: str | None = None
    logo_url: str | None = None
    brand_color: str | None = None

    def today(self, now: datetime) -> date:
        """Return the date on its own wall at *now*; in UTC where its zone is unknown."""
        try:
            zone: tzinfo = ZoneInfo(self.time_zone)
        except (OSError, ValueError, KeyError):
            # A folder of the database, a path, a name it does not have.
            zone = UTC
        return now.astimezone(zone).date()


class Client(Frozen):
    """The person the promise was made to. ``phone`` is as stored, not yet E.164."""

    id: UUID
    first_name: str | None = None
    last_name: str | None = None
    company: str | None = None
    email: str | None = None
    phone: str | None = None
    address: str | None = None
    time_zone: str | None = None
    lead_source: str | None = None
    tags: tuple[str, ...] = ()
    email_opted_out: bool = False
    sms_opted_out: bool = False
    locale: str | None = None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def name(self) -> str | None:
        """First and last name, else the company; None when nobody wrote any."""
        person = " ".join(part for part in (self.first_name, self.last_name) if part)
        return person or self.company or None


class Technician(Frozen):
    """The member of staff who does the work."""

    id: UUID
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    phone: str | None = None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def name(self) -> str | None:
        """First and last name; None when nobody wrote either."""
        return " ".join(part for part in (self.first_name, self.last_name) if part) or None
