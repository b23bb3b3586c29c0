"""An organization's rules as people read them, and as programs do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from fixlify.domain.rules import Cap, Rules, TimeSpan
from fixlify.domain.rules.spans import WEEKDAYS


def rules_document(rules: Rules) -> dict[str, Any]:
    """Return *rules* for ``--json``, and for the database."""
    return rules.model_dump(mode="json", exclude_none=True)


def rules_yaml(rules: Rules) -> str:
    """Return *rules* as a file that ``apply`` takes; spans and days are written as people do."""
    document: dict[str, Any] = {}
    if rules.quiet_hours is not None:
        document["quiet_hours"] = str(rules.quiet_hours)
    if rules.business_hours is not None:
        document["business_hours"] = _by_days_in_a_row(rules.business_hours)
    if rules.holidays is not None:
        document["holidays"] = rules.holidays.model_dump(exclude_none=True, exclude_defaults=True)
        if rules.holidays.dates:
            document["holidays"]["dates"] = list(rules.holidays.dates)
    if rules.caps:
        document["caps"] = [_cap(cap) for cap in rules.caps]
    return yaml.safe_dump(document, sort_keys=False, width=100)


def there(moment: datetime, zone: ZoneInfo) -> str:
    """Return *moment* on the client's wall clock: ``Wed 2026-11-25 08:00 America/New_York``."""
    wall = moment.astimezone(zone)
    seconds = ":%S" if wall.second else ""
    return f"{wall.strftime(f'%a %Y-%m-%d %H:%M{seconds}')} {zone.key}"


def _by_days_in_a_row(hours: Mapping[str, TimeSpan]) -> dict[str, str]:
    rows: list[tuple[list[str], TimeSpan]] = []
    for day in WEEKDAYS:
        if (span := hours.get(day)) is None:
            continue
        if rows and rows[-1][1] == span and _follows(rows[-1][0][-1], day):
            rows[-1][0].append(day)
        else:
            rows.append(([day], span))
    return {
        days[0] if len(days) == 1 else f"{days[0]}-{days[-1]}": str(span) for days, span in rows
    }


def _follows(day: str, next_day: str) -> bool:
    return WEEKDAYS.index(next_day) == WEEKDAYS.index(day) + 1


def _cap(cap: Cap) -> dict[str, Any]:
    return cap.model_dump(mode="json", exclude_none=True)
