"""Clients whose last completed service is some months ago, with nothing booked since."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from fixlify.domain.events import EventType, SubjectType
from fixlify.domain.lateness import MAINTENANCE_CATCH_UP, first_sweep_day, services_due
from fixlify.domain.triggers.due import MaintenanceDue
from fixlify.storage.sweeps.listeners import Listener
from fixlify.storage.sweeps.pages import RowQuery, RowSearch
from fixlify.storage.sweeps.statuses import CLOSED_JOB, is_one_of, is_wanted


def _service(job: str) -> str:
    """Return the SQL of when *job* was done, as the index jobs_service_idx has it."""
    columns = ("completed_at", "schedule_end", "schedule_start", "created_at")
    return f"coalesce({', '.join(f'{job}.{column}' for column in columns)})"


def _counts(job_type: str) -> str:
    return f"(CAST(:job_types AS text[]) IS NULL OR {is_wanted(job_type, 'job_types')})"


_COMPLETED: Final = ("completed",)

_PAGE: Final = f"""
    SELECT {_service("j")} AS at, j.id, j.client_id, j.status, j.job_type
    FROM jobs j
    WHERE j.organization_id = :organization_id
      AND {_service("j")} >= CAST(:missed_from AS timestamptz)
      AND {_service("j")} < CAST(:until AS timestamptz)
      AND ({_service("j")}, j.id) > (CAST(:after_at AS timestamptz), CAST(:after_id AS text))
    ORDER BY {_service("j")}, j.id
    LIMIT :size
"""  # noqa: S608 - constants

# Booked since: whatever is open, whenever it is, and a completed job after this one. What was
# booked and cancelled is not booked.
_FOUND: Final = f"""
    due AS (
        SELECT page.client_id, page.id AS job_id, page.at < :in_time_from AS missed,
               CAST(page.at AT TIME ZONE :time_zone AS date) AS last_service
        FROM page
        WHERE page.client_id IS NOT NULL
          AND {is_one_of("page.status", _COMPLETED)}
          AND {_counts("page.job_type")}
          AND (
              SELECT true FROM jobs other
              WHERE other.organization_id = :organization_id
                AND other.client_id = page.client_id
                AND other.id <> page.id
                AND {_counts("other.job_type")}
                AND (
                    NOT {is_one_of("other.status", CLOSED_JOB)}
                    OR ({is_one_of("other.status", _COMPLETED)}
                        AND ({_service("other")}, other.id) > (page.at, page.id))
                )
              LIMIT 1
          ) IS NULL
    ), unusable AS (
        SELECT job_id AS id FROM due WHERE false
    ), found AS (
        SELECT CAST(client_id AS text) AS subject_id,
               concat_ws('/', 'maintenance_due', job_id, CAST(:months AS integer))
                   AS occurrence_key,
               jsonb_strip_nulls(jsonb_build_object(
                   'months', CAST(:months AS integer),
                   'last_job_id', job_id,
                   'last_service', to_char(last_service, 'YYYY-MM-DD'),
                   'late', CASE WHEN missed THEN format(
                       'due since %s, found on %s; it is sent at most %s days late',
                       to_char(last_service + make_interval(months => :months), 'YYYY-MM-DD'),
                       to_char(CAST(:today AS date), 'YYYY-MM-DD'), CAST(:catch_up AS integer)
                   ) END
               )) AS data
        FROM due
    )
"""  # noqa: S608 - constants

_ENDLESS: Final = f"""
    SELECT j.id
    FROM jobs j
    WHERE j.organization_id = :organization_id
      AND {_service("j")} IN ('-infinity', 'infinity')
      AND {is_one_of("j.status", _COMPLETED)}
    ORDER BY j.id
    LIMIT :most
"""  # noqa: S608 - constants

_QUERY: Final = RowQuery(_PAGE, _FOUND, _ENDLESS)


def maintenance_due(listener: Listener, trigger: MaintenanceDue, as_of: datetime) -> RowSearch:
    """Return the search for the clients whose maintenance is due on the local date of *as_of*."""
    zone = listener.time_zone
    today = as_of.astimezone(ZoneInfo(zone)).date()
    listening_from = first_sweep_day(listener.listening_since, as_of, zone)
    services = services_due(trigger.months, today, zone, listening_from)
    return RowSearch(
        _QUERY,
        listener.id,
        listener.organization_id,
        EventType.MAINTENANCE_DUE,
        SubjectType.CLIENT,
        "job",
        {
            "months": trigger.months,
            "job_types": trigger.job_types,
            "time_zone": zone,
            "today": today,
            "missed_from": services.missed_from,
            "in_time_from": services.in_time_from,
            "until": services.until,
            "catch_up": MAINTENANCE_CATCH_UP.days,
        },
    )
