"""What an organization, and an automation for itself, says about hours, days and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final, Literal, TypeAlias, TypeVar

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from fixlify.domain.durations import Duration, format_duration
from fixlify.domain.models import Frozen
from fixlify.domain.rules.days_off import Holidays
from fixlify.domain.rules.spans import BusinessHours, QuietHours, TimeSpan, ever_open

Channel = Literal["email", "sms"]
_Hours: TypeAlias = Mapping[str, TimeSpan]

# A day is written in hours here: the window slides, and is no date of the calendar.
_HOURS_UP_TO: Final = timedelta(days=2)
_HOUR: Final = timedelta(hours=1)


class MessageClass(StrEnum):
    """How much a message may disturb.

    ``transactional``: what the client waits for. ``marketing``: what the company would like.
    ``urgent``: water through the ceiling; it respects consent, and nothing else.
    """

    TRANSACTIONAL = "transactional"
    MARKETING = "marketing"
    URGENT = "urgent"


class Cap(Frozen):
    """At most so many messages to one client within a sliding window.

    Without ``channel`` both count together, without ``message_class`` all classes but urgent.
    """

    at_most: Annotated[int, Field(ge=1, le=1000)]
    per: Duration
    channel: Channel | None = None
    message_class: MessageClass | None = None

    @field_validator("message_class")
    @classmethod
    def _can_bind(cls, message_class: MessageClass | None) -> MessageClass | None:
        if message_class is MessageClass.URGENT:
            raise PydanticCustomError(
                "cap", "no rule binds what is urgent; write transactional or marketing"
            )
        return message_class

    def __str__(self) -> str:
        long = self.per > _HOURS_UP_TO or self.per % _HOUR
        per = format_duration(self.per) if long else f"{self.per // _HOUR}h"
        thing = self.channel or ("message" if self.at_most == 1 else "messages")
        kind = f"{self.message_class} " if self.message_class else ""
        return f"{self.at_most} {kind}{thing} per {per}"

    def counts(self, channel: Channel, message_class: MessageClass) -> bool:
        """Whether such a message counts for it, and is bound by it."""
        return (
            message_class is not MessageClass.URGENT
            and self.channel in (None, channel)
            and self.message_class in (None, message_class)
        )


class Rules(Frozen):
    """When messages to clients may go, and how many; what is silent allows.

    ``quiet_hours`` and ``caps`` bind what is transactional or marketing, ``business_hours``
    and ``holidays`` what is marketing. Nothing binds what is urgent.
    """

    quiet_hours: QuietHours | None = None
    business_hours: BusinessHours | None = None
    holidays: Holidays | None = None
    caps: tuple[Cap, ...] = ()

    @field_validator("business_hours")
    @classmethod
    def _leave_a_moment(cls, hours: _Hours | None, info: ValidationInfo) -> _Hours | None:
        return _refuse_never(hours, info)


_Rule = TypeVar("_Rule")

Override: TypeAlias = (
    Annotated[
        Annotated[Literal["off"], Tag("off")] | Annotated[_Rule, Tag("rule")],
        Discriminator(lambda written: "off" if written == "off" else "rule"),
    ]
    | None
)
"""A rule in place of the organization's, ``off`` for none at all, None for the organization's."""


class RuleOverrides(Frozen):
    """What one automation says for itself, rule by rule; ``off`` lifts the organization's."""

    quiet_hours: Override[QuietHours] = None
    business_hours: Override[BusinessHours] = None
    holidays: Override[Holidays] = None
    caps: Override[tuple[Cap, ...]] = None

    @field_validator("business_hours")
    @classmethod
    def _leave_a_moment(
        cls, hours: _Hours | Literal["off"] | None, info: ValidationInfo
    ) -> _Hours | Literal["off"] | None:
        return hours if hours == "off" else _refuse_never(hours, info)


def _refuse_never(hours: _Hours | None, info: ValidationInfo) -> _Hours | None:
    # Absent where the quiet hours are refused themselves.
    quiet = info.data.get("quiet_hours")
    if hours is not None and isinstance(quiet, TimeSpan) and not ever_open(hours, quiet):
        raise PydanticCustomError("never", "{problem}", {"problem": _never(quiet)})
    return hours


def _never(quiet: TimeSpan) -> str:
    return (
        f"the quiet hours {quiet} cover all business hours, so nothing that is marketing could "
        "ever go; shorten one or the other"
    )


def effective_rules(rules: Rules, overrides: RuleOverrides | None) -> Rules:
    """Return *rules* with what *overrides* says in their place, rule by rule."""
    if overrides is None:
        return rules
    silent = Rules()
    said = {name: getattr(overrides, name) for name in Rules.model_fields}
    # Not validated anew: a contradiction between the two holds messages, it breaks no run.
    return rules.model_copy(
        update={
            name: getattr(silent, name) if rule == "off" else rule
            for name, rule in said.items()
            if rule is not None
        }
    )


def contradiction(rules: Rules) -> str | None:
    """Return why *rules*, put together from two places, could never let marketing go, or None."""
    quiet, hours = rules.quiet_hours, rules.business_hours
    if quiet is None or hours is None or ever_open(hours, quiet):
        return None
    return _never(quiet)
