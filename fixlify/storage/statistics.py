"""What automations of one organization did lately, added up for people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.storage.analytics import FIGURES_OF_DAYS
from fixlify.storage.stops import OpenWork, Stop, count_open_work, standing_stops
from fixlify.storage.taken import TAKEN

LATENCY_PERIOD: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Figures:
    """Executions by outcome, and their messages; of a day, an automation, or both.

    ``average_duration`` is that of the completed ones, from the first step to the end.
    """

    executions: int = 0
    completed: int = 0
    failed: int = 0
    skipped: int = 0
    cancelled: int = 0
    open: int = 0
    emails_sent: int = 0
    sms_sent: int = 0
    messages_not_sent: int = 0
    average_duration: timedelta | None = None

    @property
    def success_rate(self) -> float | None:
        """Of those that completed or failed, the share that completed; None without any."""
        ended = self.completed + self.failed
        return self.completed / ended if ended else None

    @property
    def _took(self) -> timedelta:
        return (self.average_duration or timedelta()) * self.completed

    def __add__(self, other: Figures) -> Figures:
        completed = self.completed + other.completed
        took = sum((each._took for each in (self, other)), timedelta())
        return Figures(
            executions=self.executions + other.executions,
            completed=completed,
            failed=self.failed + other.failed,
            skipped=self.skipped + other.skipped,
            cancelled=self.cancelled + other.cancelled,
            open=self.open + other.open,
            emails_sent=self.emails_sent + other.emails_sent,
            sms_sent=self.sms_sent + other.sms_sent,
            messages_not_sent=self.messages_not_sent + other.messages_not_sent,
            average_duration=took / completed if completed else None,
        )


@dataclass(frozen=True, slots=True)
class DayFigures:
    """One UTC day; *live* when it was counted now, not by the hourly recomputation."""

    date: date
    live: bool
    figures: Figures


@dataclass(frozen=True, slots=True)
class AutomationFigures:
    """One automation over all the days."""

    id: UUID
    name: str
    figures: Figures


@dataclass(frozen=True, slots=True)
class Latency:
    """From what happened to a provider's acceptance, over ``LATENCY_PERIOD``.

    What comes after a wait is late on purpose, and left out.
    """

    channel: str
    messages: int
    p50: timedelta
    p95: timedelta


@dataclass(frozen=True, slots=True)
class Statistics:
    """What was done, what waits now, and what stands in the way.

    ``days`` are without gaps, oldest first, and end with today. ``counted_at`` is when past
    days were last counted; None when none of them has figures.
    """

    days: tuple[DayFigures, ...]
    automations: tuple[AutomationFigures, ...]
    latencies: tuple[Latency, ...]
    counted_at: datetime | None
    waiting: OpenWork
    stops: tuple[Stop, ...]

    @property
    def total(self) -> Figures:
        """All days together."""
        return sum((day.figures for day in self.days), Figures())


_NAMES: Final = (
    "executions, completed, failed, skipped, cancelled, open, emails_sent, sms_sent, "
    "messages_not_sent, average_duration"
)

# The first day is reckoned apart from the rows: what may fail on a value is, for people, not
# asked of an index before row security has had its say.
_FIGURES = text(f"""
    WITH today AS (
        SELECT date, date - CAST(:days AS integer) AS before_first
        FROM (SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date AS date) AS clock
    ),
    days AS (SELECT CAST(:organization_id AS uuid) AS organization_id, date FROM today),
    live AS ({FIGURES_OF_DAYS}),
    both_kinds AS (
        SELECT automation_id, date, true AS live, NULL::timestamptz AS computed_at, {_NAMES}
        FROM live
        UNION ALL
        SELECT automation_id, counted.date, false, computed_at, {_NAMES}
        FROM automation_analytics counted, today
        WHERE counted.organization_id = :organization_id
          AND counted.date < today.date
          AND counted.date > today.before_first
    )
    SELECT today.date AS today, both_kinds.*, automations.name
    FROM today
    LEFT JOIN both_kinds ON true
    LEFT JOIN automation_workflows automations ON automations.id = both_kinds.automation_id
""")  # noqa: S608 - constants of this module

# The statement's time, which stands still: with the clock's, no index would bound the messages.
_LATENCIES = text(f"""
    SELECT m.channel, count(*) AS messages,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY m.sent_at - e.occurred_at) AS p50,
           percentile_cont(0.95) WITHIN GROUP (ORDER BY m.sent_at - e.occurred_at) AS p95
    FROM messages m
    JOIN automation_execution_logs e ON e.id = m.execution_id
    JOIN automation_step_logs step ON step.execution_id = m.execution_id
                                  AND step.step_id = m.step_id
    WHERE m.organization_id = :organization_id
      AND m.created_at > statement_timestamp() - CAST(:period AS interval)
      AND m.status IN ({TAKEN})
      AND NOT EXISTS (
          SELECT FROM automation_step_logs wait
          WHERE wait.execution_id = m.execution_id
            AND wait.kind = 'wait' AND wait.position < step.position
      )
    GROUP BY m.channel
    ORDER BY m.channel
""")  # noqa: S608 - a constant


async def read_statistics(
    connection: AsyncConnection, organization_id: UUID, days: int
) -> Statistics:
    """Return the figures of the last *days* UTC days, of which today is one and counted now."""
    key = {"organization_id": organization_id}
    rows = (await connection.execute(_FIGURES, {**key, "days": days})).mappings().all()
    latencies = await connection.execute(_LATENCIES, {**key, "period": LATENCY_PERIOD})
    today: date = rows[0]["today"]
    by_day = {today - timedelta(days=ago): Figures() for ago in reversed(range(days))}
    by_automation: dict[tuple[str, UUID], Figures] = {}
    counted_at = None
    for row in rows:
        if row["automation_id"] is None:
            # Nothing was done, and the only row says what today is.
            continue
        figures = Figures(**{name: row[name] for name in Figures.__slots__})
        automation = (row["name"], row["automation_id"])
        by_day[row["date"]] += figures
        by_automation[automation] = by_automation.get(automation, Figures()) + figures
        if not row["live"]:
            counted_at = max(counted_at or row["computed_at"], row["computed_at"])
    return Statistics(
        days=tuple(DayFigures(day, day == today, figures) for day, figures in by_day.items()),
        automations=tuple(
            AutomationFigures(automation_id, name, figures)
            for (name, automation_id), figures in sorted(by_automation.items(), key=_name)
        ),
        latencies=tuple(Latency(**row) for row in latencies.mappings()),
        counted_at=counted_at,
        waiting=await count_open_work(connection, organization_id),
        stops=await standing_stops(connection, organization_id),
    )


def _name(item: tuple[tuple[str, UUID], Figures]) -> tuple[str, UUID]:
    return item[0]
