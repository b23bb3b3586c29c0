"""Jobs whose visit is near, at the time it has now; and those nobody was reminded of, and why."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from fixlify.domain.durations import format_duration
from fixlify.domain.events import EventType, SubjectType
from fixlify.domain.lateness import visits_near
from fixlify.domain.triggers.due import AppointmentReminder
from fixlify.storage.sweeps.listeners import Listener
from fixlify.storage.sweeps.pages import RowQuery, RowSearch
from fixlify.storage.sweeps.statuses import CANCELLED_JOB, CLOSED_JOB, is_one_of

# Seconds, never days: a day of 24 hours is meant, also where the clocks change.
_LEAD: Final = "make_interval(secs => CAST(:before AS double precision))"

_PAGE: Final = """
    SELECT j.schedule_start AS at, j.id, j.status, j.created_at
    FROM jobs j
    WHERE j.organization_id = :organization_id
      AND j.schedule_start > CAST(:visits_after AS timestamptz)
      AND j.schedule_start <= CAST(:visits_until AS timestamptz)
      AND (j.schedule_start, j.id) > (CAST(:after_at AS timestamptz), CAST(:after_id AS text))
    ORDER BY j.schedule_start, j.id
    LIMIT :size
"""


def _newest(event_type: str) -> str:
    return f"""(
        SELECT max(e.occurred_at)
        FROM automation_events e
        WHERE e.organization_id = :organization_id
          AND e.subject_id = near.id AND e.event_type = '{event_type}'
    )"""  # noqa: S608 - constants


_STAMP: Final = "YYYY-MM-DD HH24:MI"

# Whoever books at ten hours' notice has just read the time, and is not reminded of it 24 hours
# before: a reminder is due only where the visit had its time before that. Once it is due the
# answer stays, so that it is recorded like any other, and not asked for again.
#
# After an outage there may be visits that are over: one that was done had its reminder missed
# like one still open, and one that was entered afterwards had none coming.
_FOUND: Final = f"""
    unusable AS (
        SELECT id FROM page WHERE false
    ), near AS (
        SELECT page.*,
               concat_ws('/', 'appointment_reminder', page.id,
                         CAST(floor(extract(epoch FROM page.at)) AS bigint),
                         CAST(:before AS bigint)) AS occurrence_key
        FROM page
        WHERE NOT CASE WHEN page.at > CAST(:now AS timestamptz)
                       THEN {is_one_of("page.status", CLOSED_JOB)}
                       ELSE {is_one_of("page.status", CANCELLED_JOB)} END
    ), new AS (
        SELECT near.*, near.at - {_LEAD} AS due_at,
               coalesce({_newest("job_scheduled")}, {_newest("job_created")}, near.created_at)
                   AS booked_at
        FROM near
        WHERE (
            SELECT true FROM automation_events e
            WHERE e.automation_id = :automation_id AND e.occurrence_key = near.occurrence_key
        ) IS NULL
    ), found AS (
        SELECT id AS subject_id, occurrence_key,
               jsonb_strip_nulls(jsonb_build_object(
                   'before', CAST(:before AS bigint),
                   'visit', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"+00:00"'),
                   'late', CASE
                       WHEN booked_at >= due_at THEN format(
                           'due at %s UTC, before the visit had its time (set at %s UTC)',
                           to_char(due_at AT TIME ZONE 'UTC', '{_STAMP}'),
                           to_char(booked_at AT TIME ZONE 'UTC', '{_STAMP}')
                       )
                       WHEN at <= CAST(:in_time_after AS timestamptz) THEN format(
                           'due at %s UTC: found %s minutes later; it is sent at most %s late',
                           to_char(due_at AT TIME ZONE 'UTC', '{_STAMP}'),
                           floor(extract(epoch FROM CAST(:now AS timestamptz) - due_at) / 60),
                           CAST(:tolerance AS text)
                       )
                   END
               )) AS data
        FROM new
        WHERE booked_at < at
    )
"""  # noqa: S608 - constants

_QUERY: Final = RowQuery(_PAGE, _FOUND)


def appointment_reminders(
    listener: Listener, trigger: AppointmentReminder, now: datetime, swept_until: datetime | None
) -> RowSearch:
    """Return the search for the visits whose reminder is due *now*, or was missed."""
    visits = visits_near(
        trigger.before, trigger.tolerance, now, swept_until, listener.listening_since
    )
    return RowSearch(
        _QUERY,
        listener.id,
        listener.organization_id,
        EventType.APPOINTMENT_REMINDER,
        SubjectType.JOB,
        "job",
        {
            "before": int(trigger.before.total_seconds()),
            "tolerance": format_duration(trigger.tolerance),
            "now": now,
            "visits_after": visits.after,
            "in_time_after": visits.in_time_after,
            "visits_until": visits.until,
        },
    )
