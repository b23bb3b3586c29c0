"""One run of a sweep: every automation it serves, one after the other, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final
from uuid import UUID

import structlog

from fixlify.domain.sweeps import (
    MOST_PROBLEMS,
    SweepFindings,
    SweepKind,
    SweepProgress,
    SweepRun,
)
from fixlify.domain.timetable import zone_problem
from fixlify.domain.triggers.due import (
    AppointmentReminder,
    InvoiceOverdue,
    MaintenanceDue,
    StaleJob,
)
from fixlify.domain.triggers.scheduled import Scheduled
from fixlify.storage.database import Database
from fixlify.storage.failures import blames_the_data, cause_of
from fixlify.storage.sweeps.audiences import scheduled
from fixlify.storage.sweeps.listeners import Listener, Unreadable, Wanted, listeners
from fixlify.storage.sweeps.maintenance import maintenance_due
from fixlify.storage.sweeps.overdue import overdue_invoices
from fixlify.storage.sweeps.pages import PAGE_SIZE, Search
from fixlify.storage.sweeps.reminders import appointment_reminders
from fixlify.storage.sweeps.stale import stale_jobs

_TRIGGERS: Final[Mapping[SweepKind, tuple[str, ...]]] = MappingProxyType(
    {
        SweepKind.AUTOMATION_TRIGGERS: ("stale_job", "appointment_reminder"),
        SweepKind.OVERDUE_INVOICES: ("invoice_overdue",),
        SweepKind.MAINTENANCE_REMINDERS: ("maintenance_due",),
        SweepKind.USER_SCHEDULE: ("scheduled",),
    }
)

_log = structlog.get_logger(__name__)


class _CannotBeServedError(Exception):
    """What keeps one automation from being served."""


async def sweep(
    database: Database,
    run: SweepRun,
    *,
    as_of: datetime,
    swept_until: datetime | None = None,
    progress: SweepProgress | None = None,
    page_size: int = PAGE_SIZE,
) -> AsyncIterator[SweepProgress]:
    """Record what fell due, and yield how far the sweep is after every page and automation.

    What is recorded stays: each page is a transaction, and what was recorded once is never
    recorded again. An automation or a row that cannot be handled is told of, and the others are.

    Args:
        database: Acting as the engine role.
        run: What to look for, and when that was due.
        as_of: The moment that decides what is due; aware.
        swept_until: As of when the schedule's last completed run looked; None without one.
        progress: Where an earlier attempt stopped; None begins at the beginning.
        page_size: How many rows to look at in one transaction.
    """
    progress = progress or SweepProgress()
    wanted = Wanted(
        _TRIGGERS[run.sweep.kind], time_zone=run.sweep.time_zone, only=run.sweep.automation_id
    )
    async for listener in listeners(database, wanted, _before_next(progress)):
        after = progress.after if listener.id == progress.automation_id else None
        try:
            search = _search(listener, run, as_of, swept_until)
            while search is not None:
                page = await search.record_page(database, after, page_size)
                after = page.last
                progress = _further(progress, listener.id, after, page.findings)
                if after is None:
                    break
                yield progress
        except Exception as error:
            if not blames_the_data(error):
                raise
            progress = _not_served(progress, listener.id, error)
        else:
            progress = progress.model_copy(update={"served": progress.served + 1})
        progress = progress.model_copy(update={"automation_id": listener.id, "after": None})
        yield progress


def _before_next(progress: SweepProgress) -> UUID | None:
    """Return the id after which the next automation comes: the one begun, unless it is done."""
    if progress.automation_id is None or progress.after is None:
        return progress.automation_id
    return UUID(int=progress.automation_id.int - 1)


def _search(
    listener: Listener | Unreadable, run: SweepRun, as_of: datetime, swept_until: datetime | None
) -> Search | None:
    """Return what to look for; None where there is nothing yet."""
    if isinstance(listener, Unreadable):
        raise _CannotBeServedError(listener.problem)
    match listener.trigger:
        case InvoiceOverdue() as trigger:
            _check_zone(listener, listener.time_zone)
            return overdue_invoices(listener, trigger, as_of)
        case MaintenanceDue() as trigger:
            _check_zone(listener, listener.time_zone)
            return maintenance_due(listener, trigger, as_of)
        case StaleJob() as trigger:
            return stale_jobs(listener, trigger, as_of, swept_until)
        case AppointmentReminder() as trigger:
            return appointment_reminders(listener, trigger, as_of, swept_until)
        case Scheduled() as trigger:
            zone = trigger.time_zone or listener.time_zone
            _check_zone(listener, zone)
            # A clock that struck while nobody was there struck all the same: how late its run
            # may come is for its schedule to say.
            return scheduled(listener, trigger, zone, run.scheduled_at)
        case trigger:
            raise _CannotBeServedError(f"automation {listener.id}: no sweep serves {trigger.type}")


def _check_zone(listener: Listener, zone: str) -> None:
    if (problem := zone_problem(zone)) is not None:
        raise _CannotBeServedError(f"automation {listener.id}: {problem}")


def _further(
    progress: SweepProgress, automation_id: UUID, after: tuple[str, str] | None, page: SweepFindings
) -> SweepProgress:
    for problem in page.problems:
        _log.warning("A sweep found a row it cannot use.", problem=problem)
    findings = progress.findings + page
    if len(page.problems) and len(findings.problems) >= MOST_PROBLEMS:
        _log.warning("A sweep tells of no more problems than these.", most=MOST_PROBLEMS)
    return progress.model_copy(
        update={"automation_id": automation_id, "after": after, "findings": findings}
    )


def _not_served(progress: SweepProgress, automation_id: UUID, error: Exception) -> SweepProgress:
    if isinstance(error, _CannotBeServedError):
        problem = str(error)
    else:
        problem = f"automation {automation_id}: cannot be served ({cause_of(error)})"
    _log.error("A sweep cannot serve an automation; it serves the others.", problem=problem)
    told = progress.findings + SweepFindings(problems=(problem,))
    return progress.model_copy(update={"findings": told})
