"""Whom a clock strikes for: the organization, or those of its rows that meet the conditions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.events import EventType
from fixlify.domain.facts import Subject
from fixlify.domain.occurrences import of_schedule
from fixlify.domain.relatives import AUDIENCES
from fixlify.domain.sweeps import SweepFindings
from fixlify.domain.timetable import last_occurrence
from fixlify.domain.triggers.scheduled import Audience, Scheduled
from fixlify.storage.database import Database
from fixlify.storage.facts import load_facts
from fixlify.storage.failures import blames_the_data, cause_of
from fixlify.storage.sweeps.listeners import Listener
from fixlify.storage.sweeps.pages import NOTIFY, PLAN_EACH, Page, Place


def _rows(table: str, id_type: str) -> Any:
    return text(f"""
        SELECT CAST(id AS text)
        FROM {table}
        WHERE organization_id = :organization_id
          AND (CAST(:after AS {id_type}) IS NULL OR id > CAST(:after AS {id_type}))
        ORDER BY {table}.id
        LIMIT :size
    """)  # noqa: S608 - constants of this module


_PAGES: Final = MappingProxyType(
    {
        Audience.CLIENTS: _rows("clients", "uuid"),
        Audience.JOBS: _rows("jobs", "text"),
        Audience.INVOICES: _rows("invoices", "uuid"),
    }
)

_RECORD: Final = text("""
    INSERT INTO automation_events (
        organization_id, event_type, subject_type, subject_id, automation_id, occurrence_key, data
    )
    SELECT :organization_id, :event_type, :subject_type, member.id, :automation_id, member.key,
           CAST(:data AS jsonb)
    FROM unnest(CAST(:ids AS text[]), CAST(:keys AS text[])) AS member (id, key)
    ORDER BY member.key
    ON CONFLICT (automation_id, occurrence_key) WHERE automation_id IS NOT NULL DO NOTHING
    RETURNING 1
""")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AudienceSearch:
    """Records one event for each member of the audience of one striking of the clock.

    Conditions say who is in the audience: those who do not meet them are looked at, and that
    is all.
    """

    listener: Listener
    audience: Audience
    local: datetime

    async def record_page(self, database: Database, after: Place | None, size: int) -> Page:
        """Look at up to *size* members that come *after* a place, and record those who are meant.

        A row that cannot be worked with is looked for by halves, told of, and passed over.
        """
        async with database.transaction() as connection:
            # The plan for any place begins at the first row, and gets slower with each page.
            await connection.execute(PLAN_EACH)
            ids = await self._page(connection, after, size)
        findings = await self._look_at(database, ids)
        more = self.audience is not Audience.ORGANIZATION and len(ids) == size
        return Page(findings, ("", ids[-1]) if more else None)

    async def _page(self, connection: AsyncConnection, after: Place | None, size: int) -> list[str]:
        if self.audience is Audience.ORGANIZATION:
            return [str(self.listener.organization_id)]
        parameters = {
            "organization_id": self.listener.organization_id,
            "after": None if after is None else after[1],
            "size": size,
        }
        return list(await connection.scalars(_PAGES[self.audience], parameters))

    async def _look_at(self, database: Database, ids: list[str]) -> SweepFindings:
        if not ids:
            return SweepFindings()
        try:
            async with database.transaction() as connection:
                found = await self._record(connection, await self._meant(connection, ids))
        except Exception as error:
            if not blames_the_data(error):
                raise
            if len(ids) == 1:
                return self._passed_over(ids[0], cause_of(error))
            half = len(ids) // 2
            first = await self._look_at(database, ids[:half])
            return first + await self._look_at(database, ids[half:])
        return SweepFindings(looked_at=len(ids), found=found)

    async def _meant(self, connection: AsyncConnection, ids: list[str]) -> list[str]:
        conditions = self.listener.conditions
        if conditions is None:
            return ids
        subjects = [self._subject(each) for each in ids]
        known = await load_facts(connection, subjects)
        return [
            subject.id
            for subject in subjects
            if subject in known and conditions.holds(known[subject].with_event(self._data))
        ]

    async def _record(self, connection: AsyncConnection, ids: list[str]) -> int:
        if not ids:
            return 0
        subject_type = AUDIENCES[self.audience].value
        recorded = await connection.execute(
            _RECORD,
            {
                "organization_id": self.listener.organization_id,
                "automation_id": self.listener.id,
                "event_type": EventType.SCHEDULED.value,
                "subject_type": subject_type,
                "ids": ids,
                "keys": [of_schedule(self.local, subject_type, each) for each in ids],
                "data": json.dumps(self._data),
            },
        )
        if found := len(recorded.all()):
            await connection.execute(NOTIFY)
        return found

    @property
    def _data(self) -> dict[str, str]:
        return {"local": self.local.isoformat(timespec="minutes")}

    def _subject(self, subject_id: str) -> Subject:
        return Subject(self.listener.organization_id, AUDIENCES[self.audience], subject_id)

    def _passed_over(self, subject_id: str, cause: str) -> SweepFindings:
        subject_type = AUDIENCES[self.audience].value
        _log.error(
            "A row cannot be swept; it is passed over.",
            automation_id=str(self.listener.id),
            subject_type=subject_type,
            subject_id=subject_id,
            error=cause,
        )
        problem = f"automation {self.listener.id}: {subject_type} {subject_id[:60]}: {cause}"
        return SweepFindings(looked_at=1, problems=(problem,))


def scheduled(
    listener: Listener, trigger: Scheduled, zone: str, at: datetime
) -> AudienceSearch | None:
    """Return the search for whom the clock struck last in *zone*; None where it never did."""
    occurrence = last_occurrence(trigger.timetable, zone, at)
    if occurrence is None:
        return None
    return AudienceSearch(listener, trigger.audience, occurrence.local)
