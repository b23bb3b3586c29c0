"""Sweeps: what a schedule starts, how far it is, and what came of it; nothing personal."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from fixlify.domain.models import Message

SWEEP_PREFIX = "sweep/"

MOST_PROBLEMS: Final = 50
"""How many problems a run tells of; whoever has put these right is told of the next."""


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
    ``automation_id`` where it serves one automation. ``catch_up`` is set where a run that no
    worker took for longer is to be left out; of what older schedules started it is None, and
    such a run looks for what is due however late it is.
    """

    schedule_id: str
    kind: SweepKind
    time_zone: str | None = None
    automation_id: UUID | None = None
    catch_up: timedelta | None = None


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

    def __add__(self, other: SweepFindings) -> SweepFindings:
        """Return both together; of the problems, each once and ``MOST_PROBLEMS`` at most."""
        problems = dict.fromkeys((*self.problems, *other.problems))
        return SweepFindings(
            looked_at=self.looked_at + other.looked_at,
            found=self.found + other.found,
            problems=tuple(problems)[:MOST_PROBLEMS],
        )


class SweepProgress(Message):
    """How far a sweep is; another attempt goes on from here.

    Automations are served in the order of their ids. ``automation_id`` is the last one begun,
    and ``after`` the place (a date or time, and an id) of the last row looked at for it; None
    when the sweep is done with it. ``served`` counts those that could be looked at.
    """

    automation_id: UUID | None = None
    after: tuple[str, str] | None = None
    served: int = 0
    findings: SweepFindings = SweepFindings()


class FailedSweep(Message):
    """A run that came to nothing, and why."""

    run: SweepRun
    reason: str
