"""What an organization, and an automation for itself, says about hours, days and numbers."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator
from pydantic_core import PydanticCustomError

from fixlify.domain.durations import Duration, format_duration
from fixlify.domain.models import Frozen
from fixlify.domain.rules.days_off import Holidays
from fixlify.domain.rules.spans import BusinessHours, TimeSpan

Channel = Literal["email", "sms"]

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

    quiet_hours: TimeSpan | None = None
    business_hours: BusinessHours | None = None
    holidays: Holidays | None = None
    caps: tuple[Cap, ...] = ()


Off = Literal["off"]


def _is_off(written: Any) -> str:
    return "off" if written == "off" else "rule"


# A bare `off` is false in YAML.
_FALSE_IS_OFF: Final = BeforeValidator(lambda written: "off" if written is False else written)


class RuleOverrides(Frozen):
    """What one automation says for itself; ``off`` lifts the organization's rule."""

    quiet_hours: (
        Annotated[
            Annotated[Off, Tag("off")] | Annotated[TimeSpan, Tag("rule")],
            Discriminator(_is_off),
            _FALSE_IS_OFF,
        ]
        | None
    ) = None
    business_hours: (
        Annotated[
            Annotated[Off, Tag("off")] | Annotated[BusinessHours, Tag("rule")],
            Discriminator(_is_off),
            _FALSE_IS_OFF,
        ]
        | None
    ) = None
    holidays: (
        Annotated[
            Annotated[Off, Tag("off")] | Annotated[Holidays, Tag("rule")],
            Discriminator(_is_off),
            _FALSE_IS_OFF,
        ]
        | None
    ) = None
    caps: (
        Annotated[
            Annotated[Off, Tag("off")] | Annotated[tuple[Cap, ...], Tag("rule")],
            Discriminator(_is_off),
            _FALSE_IS_OFF,
        ]
        | None
    ) = None


def effective_rules(rules: Rules, overrides: RuleOverrides | None) -> Rules:
    """Return *rules* with what *overrides* says in their place, rule by rule."""
    if overrides is None:
        return rules
    silent = Rules()
    said = {name: getattr(overrides, name) for name in Rules.model_fields}
    return rules.model_copy(
        update={
            name: getattr(silent, name) if rule == "off" else rule
            for name, rule in said.items()
            if rule is not None
        }
    )
