"""Hours of a day, and the hours of each day of the week."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, model_serializer, model_validator
from pydantic_core import PydanticCustomError

from fixlify.domain.models import Frozen
from fixlify.domain.names import did_you_mean
from fixlify.domain.times import TimeOfDay

MIDNIGHT: Final = time(0)
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FULL_NAMES: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_ZERO: Final = ("0:00", "00:00")
_DAY: Final = timedelta(days=1)
_SOME_DAY: Final = date(2024, 1, 1)


class TimeSpan(Frozen):
    """From one time of day to another; past midnight where it ends before it begins.

    Written ``{from: "08:00", to: "18:00"}`` or ``"08:00-18:00"``. ``24:00`` is the day's end.
    In Python, from midnight to midnight is the whole day; written so, it is refused, for
    somebody else might mean no time at all.
    """

    from_: Annotated[TimeOfDay, Field(alias="from")]
    to: TimeOfDay

    @model_validator(mode="before")
    @classmethod
    def _read(cls, written: Any) -> Any:
        if isinstance(written, str):
            begin, dash, end = written.partition("-")
            if not dash:
                raise _no_span(written)
            written = {"from": begin.strip(), "to": end.strip()}
        if not isinstance(written, dict):
            if isinstance(written, TimeSpan):
                return written
            raise _no_span(written)
        if written.get("to") == "24:00":
            return {**written, "to": MIDNIGHT}
        if all(str(written.get(end)).strip() in _ZERO for end in ("from", "to")):
            raise _no_length("00:00")
        return written

    @model_validator(mode="after")
    def _lasts(self) -> TimeSpan:
        if self.from_ == self.to != MIDNIGHT:
            raise _no_length(f"{self.from_:%H:%M}")
        return self

    @model_serializer
    def _written(self) -> dict[str, str]:
        return {"from": f"{self.from_:%H:%M}", "to": self._end}

    def __str__(self) -> str:
        return f"{self.from_:%H:%M}-{self._end}"

    @property
    def _end(self) -> str:
        """Its end as it is written: midnight ends a day here, and begins none."""
        return "24:00" if self.to == MIDNIGHT else f"{self.to:%H:%M}"

    def includes(self, at: time) -> bool:
        """Whether the clock's *at* lies in it, on either side of midnight; its end does not."""
        return self.begun(at) or self.goes_on(at)

    def begun(self, at: time) -> bool:
        """Whether *at* lies in it, on the day on which it begins."""
        return self.from_ <= at and (at < self.to or self.to <= self.from_)

    def goes_on(self, at: time) -> bool:
        """Whether *at* lies in it, on the day after the one on which it began."""
        return at < self.to < self.from_


def _no_span(written: Any) -> PydanticCustomError:
    # YAML reads a bare 21:00 as 1260, in base 60.
    return PydanticCustomError(
        "time_span",
        "'{value}' is no span of time; write it in quotes, such as \"08:00-18:00\"",
        {"value": str(written)[:40]},
    )


def _no_length(at: str) -> PydanticCustomError:
    return PydanticCustomError(
        "time_span",
        'begins and ends at {at}; for the whole day write "00:00-24:00"',
        {"at": at},
    )


def _not_the_whole_day(span: TimeSpan) -> TimeSpan:
    if span.from_ == span.to:
        raise PydanticCustomError(
            "never", "cover the whole day, so nothing could ever go; leave a part of it free"
        )
    return span


QuietHours = Annotated[TimeSpan, AfterValidator(_not_the_whole_day)]
"""Hours of every day in which nobody is disturbed; never all of them."""


def _by_weekday(written: Mapping[str, TimeSpan]) -> Mapping[str, TimeSpan]:
    if not written:
        raise PydanticCustomError(
            "never",
            "are open on no day, so nothing that is marketing could ever go; "
            "name the days, or leave business_hours out",
        )
    hours: dict[str, TimeSpan] = {}
    for key, span in written.items():
        for day in _days(key):
            if day in hours:
                raise PydanticCustomError(
                    "weekday", "'{day}' is written twice; write each day once", {"day": day}
                )
            hours[day] = span
    return {day: hours[day] for day in WEEKDAYS if day in hours}


def _days(key: str) -> Iterator[str]:
    """Yield the days that *key* names: ``mon``, ``Monday`` or ``mon-fri``."""
    begin, dash, end = key.partition("-")
    first, last = _number(begin, key), _number(end if dash else begin, key)
    for number in range(first, first + (last - first) % 7 + 1):
        yield WEEKDAYS[number % 7]


def _number(name: str, key: str) -> int:
    folded = name.strip().casefold()
    for names in (WEEKDAYS, _FULL_NAMES):
        if folded in names:
            return names.index(folded)
    raise PydanticCustomError(
        "weekday",
        "'{key}' is no day of the week; {hint}",
        {"key": key[:40], "hint": did_you_mean(folded[:40], WEEKDAYS)},
    )


BusinessHours = Annotated[Mapping[str, TimeSpan], AfterValidator(_by_weekday)]
"""Open hours by day, ``mon`` to ``sun``; a day that is left out is closed."""


def open_at(hours: Mapping[str, TimeSpan], wall: datetime) -> bool:
    """Whether *wall*, a moment on the client's clock, lies within business *hours*."""
    today = hours.get(WEEKDAYS[wall.weekday()])
    yesterday = hours.get(WEEKDAYS[wall.weekday() - 1])
    at = wall.time()
    return (today is not None and today.begun(at)) or (
        yesterday is not None and yesterday.goes_on(at)
    )


def ever_open(hours: Mapping[str, TimeSpan], quiet: TimeSpan) -> bool:
    """Whether any moment of the week lies within business *hours* and outside *quiet* ones."""
    # One that begins in a minute in which nothing holds any more, as every such stretch does.
    begins = {quiet.to, *(span.from_ for span in hours.values())}
    return any(
        open_at(hours, wall) and not quiet.includes(wall.time())
        for day in range(len(WEEKDAYS))
        for begin in begins
        for wall in [datetime.combine(_SOME_DAY + day * _DAY, begin)]
    )
