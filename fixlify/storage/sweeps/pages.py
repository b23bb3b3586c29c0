"""Going through rows a page at a time, and recording an event for each that fell due."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.events import EventType, SubjectType
from fixlify.domain.sweeps import MOST_PROBLEMS, SweepFindings
from fixlify.storage.database import Database
from fixlify.storage.events import CHANNEL
from fixlify.storage.failures import blames_the_data, cause_of

PAGE_SIZE: Final = 2000
"""Rows of one transaction: a fraction of a second of work, a fraction of a megabyte."""

Place = tuple[str, str]
"""Where a row stands: the date or time it is ordered by, and its id."""

# A plan made while the outbox was small would be kept, and be slow once it is large.
PLAN_EACH: Final = text("SELECT set_config('plan_cache_mode', 'force_custom_plan', true)")
NOTIFY: Final = text(f"SELECT pg_notify('{CHANNEL}', '')")

# Keys in one order, so that two sweeps with the same keys wait for, and never lock, each other.
_RECORD: Final = """
    WITH page AS MATERIALIZED ({page}),
    {found},
    recorded AS (
        INSERT INTO automation_events (
            organization_id, event_type, subject_type, subject_id, automation_id, occurrence_key,
            data
        )
        SELECT :organization_id, :event_type, :subject_type, found.subject_id, :automation_id,
               found.occurrence_key, found.data
        FROM found
        ORDER BY found.occurrence_key
        ON CONFLICT (automation_id, occurrence_key) WHERE automation_id IS NOT NULL DO NOTHING
        RETURNING 1
    )
    SELECT
        (SELECT count(*) FROM page) AS looked_at,
        (SELECT count(*) FROM recorded) AS found,
        (SELECT array_agg(CAST(id AS text)) FROM (SELECT id FROM unusable LIMIT :most) AS bad)
            AS unusable,
        last.at, last.id
    FROM (SELECT 1) AS one
    LEFT JOIN (
        SELECT CAST(page.at AS text) AS at, CAST(page.id AS text) AS id
        FROM page ORDER BY page.at DESC, page.id DESC LIMIT 1
    ) AS last ON true
"""
_PLACE: Final = "SELECT CAST(page.at AS text) AS at, CAST(page.id AS text) AS id FROM ({page}) page"

_log = structlog.get_logger(__name__)


class Page(NamedTuple):
    """What one page held, and the place of its last row; None after the last page."""

    findings: SweepFindings
    last: Place | None


class Search(Protocol):
    """What is looked for on behalf of one automation."""

    async def record_page(self, database: Database, after: Place | None, size: int) -> Page:
        """Look at up to *size* rows that come *after* a place, and record what fell due."""


class RowQuery:
    """The statements that read and record one page; made once, of these parts.

    Every look into another table is a subquery with one value: it goes through the index row by
    row. A join may be planned for the few events of this morning and meet a hundred thousand.

    Args:
        page: Selects ``at`` and ``id``, ordered by them, beyond ``(:after_at, :after_id)`` and
            up to ``:size`` rows; and the columns that *found* needs.
        found: Common table expressions over ``page``; ``found`` has ``subject_id``,
            ``occurrence_key`` and ``data``, and ``unusable`` the ids of rows that cannot be
            judged.
        endless: Selects the ids of up to ``:most`` rows whose date is infinite; None where
            such a date means that there is none.
    """

    def __init__(self, page: str, found: str, endless: str | None = None) -> None:
        self.record: Final = text(_RECORD.format(page=page, found=found))
        self.place: Final = text(_PLACE.format(page=page))
        self.endless: Final = None if endless is None else text(endless)


@dataclass(frozen=True, slots=True)
class RowSearch:
    """Looks through a table's rows, each called a ``row``, in SQL."""

    query: RowQuery
    automation_id: UUID
    organization_id: UUID
    event_type: EventType
    subject_type: SubjectType
    row: str
    parameters: Mapping[str, Any]
    why_unusable: str = "cannot be judged"

    async def record_page(self, database: Database, after: Place | None, size: int) -> Page:
        """Look at up to *size* rows that come *after* a place, and record what fell due.

        A row that Postgres cannot work with is looked for by halves, told of, and passed over.
        """
        try:
            return await self._record(database, after, size)
        except DBAPIError as error:
            if not blames_the_data(error):
                raise
            if size > 1:
                return await self.record_page(database, after, size // 2)
            return await self._pass_over(database, after, cause_of(error))

    async def _record(self, database: Database, after: Place | None, size: int) -> Page:
        async with database.transaction() as connection:
            await connection.execute(PLAN_EACH)
            result = await connection.execute(self.query.record, self._parameters(after, size))
            row = result.mappings().one()
            if row["found"]:
                await connection.execute(NOTIFY)
            endless = await self._endless(connection) if after is None else []
        problems = [
            *(self._problem(each, self.why_unusable) for each in row["unusable"] or ()),
            *(self._problem(each, "its date is infinite") for each in endless),
        ]
        findings = SweepFindings(
            looked_at=row["looked_at"], found=row["found"], problems=tuple(problems)
        )
        return Page(findings, (row["at"], row["id"]) if row["looked_at"] == size else None)

    async def _pass_over(self, database: Database, after: Place | None, cause: str) -> Page:
        async with database.statement() as connection:
            result = await connection.execute(self.query.place, self._parameters(after, 1))
            place = result.one_or_none()
        if place is None:
            return Page(SweepFindings(), None)
        _log.error(
            "A row cannot be swept; it is passed over.",
            automation_id=str(self.automation_id),
            row=self.row,
            row_id=place.id,
            error=cause,
        )
        problem = self._problem(place.id, f"cannot be recorded ({cause})")
        return Page(SweepFindings(looked_at=1, problems=(problem,)), (place.at, place.id))

    async def _endless(self, connection: AsyncConnection) -> list[str]:
        if self.query.endless is None:
            return []
        parameters = {"organization_id": self.organization_id, "most": MOST_PROBLEMS}
        return list(await connection.scalars(self.query.endless, parameters))

    def _parameters(self, after: Place | None, size: int) -> dict[str, Any]:
        after_at, after_id = after or ("-infinity", None)
        return {
            **self.parameters,
            "organization_id": self.organization_id,
            "automation_id": self.automation_id,
            "event_type": self.event_type.value,
            "subject_type": self.subject_type.value,
            "after_at": after_at,
            "after_id": after_id,
            "size": size,
            "most": MOST_PROBLEMS,
        }

    def _problem(self, row_id: str, reason: str) -> str:
        # Ids that people type have no bound; what is told of them does.
        return f"automation {self.automation_id}: {self.row} {row_id[:60]}: {reason}"
