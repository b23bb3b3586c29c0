"""Occurrence keys: what makes one thing happen once per automation, for ever.

A key names the occurrence, not the moment somebody noticed it: however often a sweep runs,
whatever is edited meanwhile and on whichever side of a restart, the same occurrence has the
same key, and ``UNIQUE (automation_id, occurrence_key)`` refuses the second. Sweeps build these
texts in SQL; each function says the exact format, and how Postgres writes it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def of_event(event_id: int) -> str:
    """Return ``event/{event_id}``.

    What the row triggers and callers report happens once per row of ``automation_events``.
    In SQL: ``'event/' || id``.
    """
    return f"event/{event_id}"


def of_schedule(local: datetime, subject_type: str, subject_id: str) -> str:
    """Return ``scheduled/{local}/{subject_type}/{subject_id}``, ``local`` as 2026-11-21T09:00.

    The time on the wall and not the instant: an autumn hour that comes twice is one
    occurrence, and one that was moved out of a spring gap keeps the time it was meant for. In
    SQL: ``to_char(local, 'YYYY-MM-DD"T"HH24:MI')``.

    Args:
        local: The timetable's own time, without a zone; anything below the minute is dropped.
        subject_type: Whom the run is for: ``organization``, ``client``, ``job``, ``invoice``.
        subject_id: The subject's id within its type.
    """
    if local.tzinfo is not None:
        raise ValueError("the key of a schedule holds a wall-clock time; pass it without a zone")
    return f"scheduled/{local.isoformat(timespec='minutes')}/{subject_type}/{subject_id}"


def of_overdue_invoice(invoice_id: UUID | str, days: int) -> str:
    """Return ``invoice_overdue/{invoice_id}/{days}``.

    Without the due date: an invoice whose due date is edited ten times is still reminded of
    once at each number of days. In SQL: ``invoice_id::text``, lower-case with hyphens.
    """
    return f"invoice_overdue/{invoice_id}/{days}"


def of_maintenance(last_job_id: str, months: int) -> str:
    """Return ``maintenance_due/{last_job_id}/{months}``.

    With the service it follows: the next completed one makes maintenance due anew, while an
    edit of the old one's dates does not. Without the client: where two entries of one person
    are merged, the service is still the one that was followed.
    """
    return f"maintenance_due/{last_job_id}/{months}"


def of_stale_job(job_id: str, since: datetime, days: int) -> str:
    """Return ``stale_job/{job_id}/{since}/{days}``, ``since`` as microseconds since 1970 UTC.

    With the moment the status began: a job that leaves it and comes back can go stale again.
    The microseconds are exact, as Postgres keeps them; in SQL:
    ``(extract(epoch from since) * 1000000)::bigint``.
    """
    return f"stale_job/{job_id}/{_since_epoch(since, timedelta(microseconds=1))}/{days}"


def of_reminder(job_id: str, visit: datetime, before: timedelta) -> str:
    """Return ``appointment_reminder/{job_id}/{visit}/{before}``, both in whole seconds.

    With the visit's time (since 1970 UTC): a visit that moves is reminded of anew, and one that
    moves back to a time it was reminded of is not. A fraction is dropped, never rounded up; in
    SQL: ``floor(extract(epoch from visit))::bigint``.
    """
    second = timedelta(seconds=1)
    return f"appointment_reminder/{job_id}/{_since_epoch(visit, second)}/{before // second}"


def _since_epoch(instant: datetime, unit: timedelta) -> int:
    if instant.tzinfo is None:
        raise ValueError("an occurrence happens at an instant; pass an aware datetime")
    return (instant - _EPOCH) // unit
