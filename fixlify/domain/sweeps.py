"""Sweeps: what a schedule starts, and what came of it; nothing personal."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from fixlify.domain.models import Message

SWEEP_PREFIX = "sweep/"


class SweepKind(StrEnum):
    """What a sweep looks for; the names people know from the replaced system."""

    AUTOMATION_TRIGGERS = "check-automation-triggers"
    OVERDUE_INVOICES = "check-overdue-invoices"
    MAINTENANCE_REMINDERS = "check-maintenance-reminders"
    ANALYTICS = "update-automation-analytics"
    USER_SCHEDULE = "scheduled"


class Sweep(Message):
    """Input of the sweep workflow.

    ``time_zone`` is set where the sweep serves the organizations of one zone, and
    ``automation_id`` where it serves one automation.
    """

    schedule_id: str
    kind: SweepKind
    time_zone: str | None = None
    automation_id: UUID | None = None


class SweepRun(Message):
    """One run of a sweep: ``scheduled_at`` is when it was due, not when it began."""

    run_id: str
    sweep: Sweep
    scheduled_at: datetime


class SweepFindings(Message):
    """How many rows were looked at, and how many new events were recorded for them.

    ``problems`` tells what could not be looked at, by ids and reasons; the rest was.
    """

    looked_at: int = 0
    found: int = 0
    problems: tuple[str, ...] = ()
