"""Days on which nobody should be bothered: public holidays, and days of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cache

from fixlify.domain.models import Frozen


class Holidays(Frozen):
    """The public holidays of a country (ISO 3166) and subdivision, and days of one's own."""

    country: str | None = None
    subdivision: str | None = None
    dates: tuple[date, ...] = ()

    def name_of(self, day: date) -> str | None:
        """Return what *day* is called, or None where it is a day like others."""
        if self.country is not None:
            public = _public_holidays(self.country, self.subdivision, day.year)
            if (name := public.get(day)) is not None:
                return name
        return f"{day:%Y-%m-%d}" if day in self.dates else None


@cache
def _public_holidays(country: str, subdivision: str | None, year: int) -> Mapping[date, str]:
    # Late: commands that need no holidays should not wait a third of a second for them.
    from holidays import country_holidays

    return dict(country_holidays(country, subdiv=subdivision, years=year, language="en_US"))
