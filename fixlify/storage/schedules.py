"""Schedules: what they are made from, what was told to Temporal, and how their runs went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.storage.tables import ScheduleRow, ScheduleRunRow


@dataclass(frozen=True, slots=True)
class ScheduledAutomation:
    """An active or paused automation that a clock sets off; its trigger is not validated."""

    id: UUID
    organization_id: UUID
    name: str
    paused: bool
    trigger_config: Any
    organization_zone: str


@dataclass(frozen=True, slots=True)
class UsedZone:
    """A time zone that organizations name, which need not exist, and how many do."""

    name: str
    organizations: int


@dataclass(frozen=True, slots=True)
class StoredSchedule:
    """One row of ``automation_schedules``."""

    id: str
    organization_id: UUID | None
    automation_id: UUID | None
    name: str
    schedule: str
    time_zone: str
    active: bool
    paused_reason: str | None
    catch_up: str
    specification: dict[str, Any]
    content_hash: str
    synced_hash: str | None
    synced_at: datetime | None
    problem: str | None
    next_run_at: datetime | None


@dataclass(frozen=True, slots=True)
class ScheduleHistory:
    """How a schedule's runs went: the newest, and the last seven days; rates are percentages."""

    last_run: datetime | None = None
    last_result: str | None = None
    runs: int = 0
    success_rate: float | None = None
    average_duration: timedelta | None = None


@dataclass(frozen=True, slots=True)
class PastRun:
    """One run of a schedule; ``finished_at`` is None while it runs."""

    id: str
    scheduled_at: datetime
    started_at: datetime
    finished_at: datetime | None
    status: str
    looked_at: int | None
    found: int | None
    error_message: str | None


# What schedules are made from: cheap enough to be asked every few seconds.
_FINGERPRINT = text("""
    SELECT md5(
        coalesce((
            SELECT string_agg(
                concat_ws('|', a.id, a.name, a.status, a.trigger_config, o.time_zone), E'\\n'
                ORDER BY a.id
            )
            FROM automation_workflows a
            JOIN organizations o ON o.id = a.organization_id
            WHERE a.trigger_type = 'scheduled' AND a.status IN ('active', 'paused')
        ), '')
        || E'\\n\\n' ||
        coalesce((
            SELECT string_agg(DISTINCT o.time_zone, '|' ORDER BY o.time_zone) FROM organizations o
        ), '')
    )
""")

_AUTOMATIONS = text("""
    SELECT a.id, a.organization_id, a.name, a.status = 'paused' AS paused, a.trigger_config,
           o.time_zone AS organization_zone
    FROM automation_workflows a
    JOIN organizations o ON o.id = a.organization_id
    WHERE a.trigger_type = 'scheduled' AND a.status IN ('active', 'paused')
    ORDER BY a.id
""")

_ZONES = text("""
    SELECT time_zone AS name, count(*) AS organizations
    FROM organizations
    GROUP BY time_zone
    ORDER BY time_zone
""")

_PROBLEMS = text("""
    UPDATE automation_schedules s
    SET problem = p.message
    FROM unnest(CAST(:ids AS text[]), CAST(:messages AS text[])) AS p (id, message)
    WHERE s.id = p.id
""")

_HISTORIES = text("""
    SELECT schedule_id, last_run, last_result, runs, success_rate, average_duration
    FROM automation_cron_status
    WHERE schedule_id = ANY(:ids)
""")


async def source_fingerprint(connection: AsyncConnection) -> str:
    """Return a text that changes whenever what schedules are made from does."""
    return str(await connection.scalar(_FINGERPRINT))


async def scheduled_automations(connection: AsyncConnection) -> list[ScheduledAutomation]:
    """Return the automations that want a schedule, of all organizations."""
    return [
        ScheduledAutomation(**row) for row in (await connection.execute(_AUTOMATIONS)).mappings()
    ]


async def used_zones(connection: AsyncConnection) -> list[UsedZone]:
    """Return the time zones that organizations have, by name."""
    return [UsedZone(**row) for row in (await connection.execute(_ZONES)).mappings()]


async def stored_schedules(
    connection: AsyncConnection, organization_id: UUID | None = None
) -> list[StoredSchedule]:
    """Return every schedule, or those that concern one organization: its own and the shared."""
    table = ScheduleRow.__table__
    columns = [table.c[name] for name in _names(StoredSchedule)]
    query = select(*columns).order_by(table.c.id)
    if organization_id is not None:
        query = query.where(
            table.c.organization_id.is_(None) | (table.c.organization_id == organization_id)
        )
    return [StoredSchedule(**row) for row in (await connection.execute(query)).mappings()]


async def store_schedules(connection: AsyncConnection, schedules: Sequence[StoredSchedule]) -> None:
    """Insert or replace these rows."""
    if not schedules:
        return
    names = _names(StoredSchedule)
    statement = insert(ScheduleRow)
    replaced = {name: statement.excluded[name] for name in names if name != "id"}
    await connection.execute(
        statement.on_conflict_do_update(index_elements=[ScheduleRow.id], set_=replaced),
        [{name: getattr(each, name) for name in names} for each in schedules],
    )


async def store_problems(connection: AsyncConnection, problems: Mapping[str, str]) -> None:
    """Note on the rows there are, by schedule id, why these schedules were left as they are."""
    if problems:
        await connection.execute(
            _PROBLEMS, {"ids": list(problems), "messages": list(problems.values())}
        )


async def store_pause(
    connection: AsyncConnection, schedule_id: str, *, active: bool, reason: str | None
) -> None:
    """Note whether a schedule runs, and if not why."""
    await connection.execute(
        update(ScheduleRow)
        .where(ScheduleRow.id == schedule_id)
        .values(active=active, paused_reason=reason)
    )


async def delete_schedules(connection: AsyncConnection, ids: Sequence[str]) -> None:
    """Delete these rows; the runs of the schedules stay."""
    if not ids:
        return
    await connection.execute(delete(ScheduleRow).where(ScheduleRow.id.in_(ids)))


async def schedule_histories(
    connection: AsyncConnection, ids: Sequence[str]
) -> dict[str, ScheduleHistory]:
    """Return how these schedules' runs went, by schedule id."""
    rows = (await connection.execute(_HISTORIES, {"ids": list(ids)})).mappings()
    return {
        row["schedule_id"]: ScheduleHistory(
            last_run=row["last_run"],
            last_result=row["last_result"],
            runs=row["runs"],
            success_rate=None if row["success_rate"] is None else float(row["success_rate"]),
            average_duration=row["average_duration"],
        )
        for row in rows
    }


async def past_runs(connection: AsyncConnection, schedule_id: str, limit: int) -> list[PastRun]:
    """Return the newest runs of a schedule, newest first."""
    table = ScheduleRunRow.__table__
    rows = await connection.execute(
        select(*(table.c[name] for name in _names(PastRun)))
        .where(table.c.schedule_id == schedule_id)
        .order_by(table.c.started_at.desc())
        .limit(limit)
    )
    return [PastRun(**row) for row in rows.mappings()]


async def find_run(connection: AsyncConnection, run_id: str) -> PastRun | None:
    """Return one run by the id of its workflow run."""
    table = ScheduleRunRow.__table__
    rows = await connection.execute(
        select(*(table.c[name] for name in _names(PastRun))).where(table.c.id == run_id)
    )
    row = rows.mappings().one_or_none()
    return None if row is None else PastRun(**row)


async def database_now(connection: AsyncConnection) -> datetime:
    """Return the database's clock, by which everything recorded is stamped."""
    now: datetime = (await connection.scalars(select(func.clock_timestamp()))).one()
    return now


def _names(record: type[Any]) -> list[str]:
    return [each.name for each in fields(record)]
