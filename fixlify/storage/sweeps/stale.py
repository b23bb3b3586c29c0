"""Jobs that have stood in a status for some days.

Since when they stand there is known from the outbox: a job without a recorded status, entered
before its company used automations, is not looked at until its status changes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from fixlify.domain.events import EventType, SubjectType
from fixlify.domain.lateness import STALE_CATCH_UP, standing_for
from fixlify.domain.triggers.due import StaleJob
from fixlify.storage.sweeps.listeners import Listener
from fixlify.storage.sweeps.pages import RowQuery, RowSearch
from fixlify.storage.sweeps.statuses import is_wanted, normalized


def _began(event: str) -> str:
    """Return the SQL of whether a status began at *event*: the same one again is none."""
    before, after = (
        normalized(f"{event}.data ->> 'before'"),
        normalized(f"{event}.data ->> 'after'"),
    )
    return f"({event}.event_type = 'job_created' OR {before} IS DISTINCT FROM {after})"


# Driven by what happened so many days ago, which is little, and not by the jobs, which are many:
# this runs every minute.
_PAGE: Final = """
    SELECT e.occurred_at AS at, e.id, e.subject_id AS job_id, e.event_type, e.data
    FROM automation_events e
    WHERE e.organization_id = :organization_id
      AND e.event_type IN ('job_created', 'job_status_changed')
      AND e.occurred_at > CAST(:since_after AS timestamptz)
      AND e.occurred_at <= CAST(:since_until AS timestamptz)
      AND (e.occurred_at, e.id) > (CAST(:after_at AS timestamptz), CAST(:after_id AS bigint))
    ORDER BY e.occurred_at, e.id
    LIMIT :size
"""

# The job's own rows and then the newest of them: in the order of time, no plan would stop before
# it has gone through what happened to every other job since.
_FOUND: Final = f"""
    unusable AS (
        SELECT id FROM page WHERE false
    ), found AS (
        SELECT j.id AS subject_id,
               concat_ws('/', 'stale_job', j.id,
                         CAST(extract(epoch FROM page.at) * 1000000 AS bigint),
                         CAST(:days AS integer)) AS occurrence_key,
               jsonb_strip_nulls(jsonb_build_object(
                   'days', CAST(:days AS integer),
                   'status', j.status,
                   'since', to_char(page.at AT TIME ZONE 'UTC',
                                    'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'),
                   'late', CASE WHEN page.at <= CAST(:in_time_after AS timestamptz) THEN format(
                       'stale for %s hours when it was found; it is acted on at most %s hours late',
                       floor(extract(epoch FROM :since_until - page.at) / 3600),
                       CAST(:catch_up_hours AS integer)
                   ) END
               )) AS data
        FROM page
        JOIN jobs j ON j.organization_id = :organization_id AND j.id = page.job_id
        WHERE {_began("page")}
          AND {is_wanted("j.status", "statuses")}
          AND page.id = (
              SELECT newest.id
              FROM (
                  SELECT * FROM automation_events
                  WHERE organization_id = :organization_id AND subject_id = page.job_id
                  OFFSET 0
              ) AS newest
              WHERE newest.event_type IN ('job_created', 'job_status_changed')
                AND {_began("newest")}
              ORDER BY newest.occurred_at DESC, newest.id DESC
              LIMIT 1
          )
    )
"""  # noqa: S608 - constants

_QUERY: Final = RowQuery(_PAGE, _FOUND)


def stale_jobs(
    listener: Listener, trigger: StaleJob, now: datetime, swept_until: datetime | None
) -> RowSearch:
    """Return the search for the jobs that went stale by *now*; see ``standing_for``."""
    standing = standing_for(trigger.days, now, swept_until, listener.listening_since)
    return RowSearch(
        _QUERY,
        listener.id,
        listener.organization_id,
        EventType.STALE_JOB,
        SubjectType.JOB,
        "event",
        {
            "days": trigger.days,
            "statuses": trigger.status,
            "since_after": standing.after,
            "in_time_after": standing.in_time_after,
            "since_until": standing.until,
            "catch_up_hours": int(STALE_CATCH_UP.total_seconds()) // 3600,
        },
    )
