"""Days on which nobody should be bothered: public holidays, and days of one's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import date, datetime
from functools import cache
from typing import Annotated, Any, Final, cast

from pydantic import BeforeValidator, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from fixlify.domain.models import Frozen
from fixlify.domain.names import did_you_mean, folded, nearest

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


def _read_day(written: Any) -> date:
    if isinstance(written, date) and not isinstance(written, datetime):
        return written
    if isinstance(written, str) and _DAY.fullmatch(written):
        with suppress(ValueError):
            return date.fromisoformat(written)
    raise PydanticCustomError(
        "day",
        "'{value}' is no day; write year, month and day, such as 2026-12-24",
        {"value": str(written)[:40]},
    )


Day = Annotated[date, BeforeValidator(_read_day, json_schema_input_type=date)]


class Holidays(Frozen):
    """The public holidays of a country (ISO 3166) and subdivision, and days of one's own."""

    country: str | None = None
    subdivision: str | None = None
    dates: tuple[Day, ...] = ()

    @field_validator("country")
    @classmethod
    def _is_known(cls, country: str | None) -> str | None:
        if country is None:
            return None
        codes = _countries()
        if country.upper() in codes.values():
            return country.upper()
        close = nearest(folded(country[:40]), codes)
        raise PydanticCustomError(
            "country",
            "no country '{country}' whose holidays are known; {hint}",
            {
                "country": country[:40],
                "hint": f"did you mean '{codes[close]}'?"
                if close
                else "write its code of ISO 3166, such as US",
            },
        )

    @field_validator("subdivision")
    @classmethod
    def _belongs_to_it(cls, subdivision: str | None, info: ValidationInfo) -> str | None:
        # Absent where the country is refused itself.
        if subdivision is None or "country" not in info.data:
            return subdivision
        country = info.data["country"]
        if country is None:
            raise PydanticCustomError("subdivision", "needs a country; add it")
        codes = _subdivisions(country)
        if not codes:
            raise PydanticCustomError(
                "subdivision", "{country} has none; remove it", {"country": country}
            )
        if subdivision.casefold() in codes:
            return codes[subdivision.casefold()]
        raise PydanticCustomError(
            "subdivision",
            "{country} has no '{subdivision}'; {hint}",
            {
                "country": country,
                "subdivision": subdivision[:40],
                "hint": did_you_mean(subdivision[:40], set(codes.values())),
            },
        )

    @model_validator(mode="after")
    def _name_a_day(self) -> Holidays:
        if self.country is None and not self.dates:
            raise PydanticCustomError("holidays", "name no day; add a country, dates, or both")
        return self

    def name_of(self, day: date) -> str | None:
        """Return what *day* is called, or None where it is a day like others."""
        if self.country is not None:
            public = _public_holidays(self.country, self.subdivision, day.year)
            if (name := public.get(day)) is not None:
                return name
        return f"{day:%Y-%m-%d}" if day in self.dates else None


# The library is imported late: it takes a third of a second, which a command that asks for no
# holidays should not wait.


@cache
def _public_holidays(country: str, subdivision: str | None, year: int) -> Mapping[date, str]:
    from holidays import country_holidays

    return dict(country_holidays(country, subdiv=subdivision, years=year, language="en_US"))


@cache
def _countries() -> Mapping[str, str]:
    """Return the code of each country, by its code and by its name."""
    from holidays.registry import COUNTRIES

    codes: dict[str, str] = {}
    for name, (_, *own_codes) in COUNTRIES.items():
        codes |= {code.casefold(): code for code in own_codes} | {name: own_codes[0]}
    return codes


@cache
def _subdivisions(country: str) -> Mapping[str, str]:
    """Return the code of each subdivision, by its code and its other names in lower case."""
    import holidays

    found = cast("type[holidays.HolidayBase]", getattr(holidays, country))
    aliases = getattr(found, "subdivisions_aliases", {})
    codes = {code: code for code in found.subdivisions} | aliases
    return {name.casefold(): code for name, code in codes.items()}
