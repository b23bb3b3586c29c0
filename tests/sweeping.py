"""Sweeps without Temporal: one call, at any moment, with everything they record in Postgres."""

from __future__ import annotations

from base64 import b85encode
from datetime import date, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

from temporalio.testing import ActivityEnvironment

from activities.sweeps import SweepActivities
from fixlify.domain.sweeps import Sweep, SweepFindings, SweepKind, SweepRun
from fixlify.storage.database import Database
from tests.office import Office

NEW_YORK = "America/New_York"


def run_of(
    kind: SweepKind,
    at: datetime,
    *,
    zone: str | None = None,
    automation_id: UUID | None = None,
    run_id: str | None = None,
    schedule_id: str | None = None,
) -> SweepRun:
    """Return a new run of *kind* that was due *at* a moment."""
    return SweepRun(
        run_id=run_id or str(uuid4()),
        sweep=Sweep(
            schedule_id=schedule_id or f"{kind.value}/{automation_id or zone or ''}",
            kind=kind,
            time_zone=zone,
            automation_id=automation_id,
        ),
        scheduled_at=at,
    )


async def sweep_once(
    database: Database, run: SweepRun, *, page_size: int = 2000, now: datetime | None = None
) -> SweepFindings:
    """Do what the worker does for one run; *now* is when it was due unless given."""
    activities = SweepActivities(
        database, clock=lambda: now or run.scheduled_at, page_size=page_size
    )
    findings: SweepFindings = await ActivityEnvironment().run(activities.run_sweep, run)
    return findings


async def swept_events(office: Office) -> list[dict[str, Any]]:
    """Return what sweeps recorded for the company, by key."""
    return await office.query(
        "SELECT * FROM automation_events WHERE organization_id = %s AND automation_id IS NOT NULL"
        " ORDER BY occurrence_key",
        office.organization_id,
    )


async def keys(office: Office) -> list[str]:
    """Return the occurrence keys of what sweeps recorded, in order."""
    return [event["occurrence_key"] for event in await swept_events(office)]


async def add_invoice(office: Office, due: date | str | None, **columns: Any) -> str:
    """Enter an open invoice of 100 and return its id."""
    row = await office.insert(
        "invoices",
        **({"organization_id": office.organization_id, "status": "sent", "total": 100} | columns),
    )
    # Postgres knows dates that Python does not, and never shows it the row again.
    await office.query("UPDATE invoices SET due_date = %s WHERE id = %s", due, row["id"])
    return str(row["id"])


async def listen_since(office: Office, moment: datetime) -> None:
    """Have every automation of the company be active, and its versions written, since then."""
    await office.query(
        "UPDATE automation_workflows SET activated_at = %s WHERE organization_id = %s",
        moment,
        office.organization_id,
    )
    await office.query(
        "UPDATE automation_workflow_versions SET created_at = %s WHERE organization_id = %s",
        moment,
        office.organization_id,
    )


def too_long_an_id() -> str:
    """Return an id that a job may have, and that makes its occurrences too long for their index.

    It holds noise, because Postgres compresses.
    """
    noise = b"".join(sha256(bytes([number])).digest() for number in range(80))
    return b85encode(noise).decode()[:2655]
