"""What an organization, and an automation for itself, says about hours, days and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, time
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from fixlify.domain.durations import Duration
from fixlify.domain.models import Frozen
from fixlify.domain.times import TimeOfDay


class MessageClass(StrEnum):
    """How much a message may disturb.

    ``transactional``: what the client waits for. ``marketing``: what the company would like.
    ``urgent``: water through the ceiling; it respects consent, and nothing else.
    """

    TRANSACTIONAL = "transactional"
    MARKETING = "marketing"
    URGENT = "urgent"


class TimeSpan(Frozen):
    """From one time of day to another; past midnight where it ends before it begins."""

    from_: Annotated[TimeOfDay, Field(alias="from")]
    to: TimeOfDay

    def includes(self, at: time) -> bool:
        """Whether the wall clock's *at* lies in it; its end does not."""
        if self.from_ <= self.to:
            return self.from_ <= at < self.to
        return at >= self.from_ or at < self.to


Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Holidays(Frozen):
    """The public holidays of a country (ISO 3166) and subdivision, and days of one's own."""

    country: str | None = None
    subdivision: str | None = None
    dates: tuple[date, ...] = ()


class Cap(Frozen):
    """At most so many messages to one client within a sliding window.

    Without ``channel`` both count together, without ``message_class`` all classes do.
    """

    at_most: Annotated[int, Field(ge=1, le=1000)]
    per: Duration
    channel: Literal["email", "sms"] | None = None
    message_class: MessageClass | None = None


class Rules(Frozen):
    """When messages to clients may go, and how many; what is silent allows.

    ``quiet_hours`` bind what is transactional or marketing, ``business_hours`` and
    ``holidays`` what is marketing; ``bind`` says otherwise. Urgent is never bound.
    """

    quiet_hours: TimeSpan | None = None
    business_hours: Mapping[Weekday, TimeSpan] | None = None
    holidays: Holidays | None = None
    caps: tuple[Cap, ...] = ()


class RuleOverrides(Frozen):
    """What one automation says for itself; ``off`` lifts the organization's rule."""

    quiet_hours: TimeSpan | Literal["off"] | None = None
    business_hours: Mapping[Weekday, TimeSpan] | Literal["off"] | None = None
    holidays: Holidays | Literal["off"] | None = None
    caps: tuple[Cap, ...] | Literal["off"] | None = None
