"""Schedules and their runs, analytics, and the emergency stop."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from fixlify.storage.tables.base import CLOCK, NOW, RANDOM_ID, Table


class ScheduleRow(Table):
    """A schedule that should exist; the schedules commands reconcile Temporal to it.

    ``id`` is the schedule's id in Temporal. ``organization_id`` is None for the sweeps that
    serve all organizations of a time zone. ``problem`` says why Temporal did not take it.
    """

    __tablename__ = "automation_schedules"
    __table_args__ = (Index(None, "organization_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID | None] = mapped_column(ForeignKey("organizations.id"))
    automation_id: Mapped[UUID | None]
    name: Mapped[str]
    schedule: Mapped[str]
    time_zone: Mapped[str]
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    paused_reason: Mapped[str | None]
    catch_up: Mapped[str]
    specification: Mapped[dict[str, Any]]
    content_hash: Mapped[str]
    synced_hash: Mapped[str | None]
    synced_at: Mapped[datetime | None]
    problem: Mapped[str | None]
    next_run_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class ScheduleRunRow(Table):
    """One run of a schedule; ``id`` is its workflow run's. Outlives the schedule."""

    __tablename__ = "automation_schedule_runs"
    __table_args__ = (
        CheckConstraint("status IN ('running', 'completed', 'failed')", name="status"),
        Index(None, "schedule_id", "started_at"),
        Index(
            "automation_schedule_runs_running_idx",
            "schedule_id",
            postgresql_where=text("status = 'running'"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    schedule_id: Mapped[str]
    organization_id: Mapped[UUID | None] = mapped_column(ForeignKey("organizations.id"))
    scheduled_at: Mapped[datetime]
    started_at: Mapped[datetime] = mapped_column(server_default=CLOCK)
    finished_at: Mapped[datetime | None]
    status: Mapped[str]
    looked_at: Mapped[int | None]
    found: Mapped[int | None]
    error_message: Mapped[str | None]


class AnalyticsRow(Table):
    """What one automation did on one UTC day; recomputed, never incremented."""

    __tablename__ = "automation_analytics"
    __table_args__ = (Index(None, "organization_id", "date"), Index(None, "date"))

    organization_id: Mapped[UUID]
    automation_id: Mapped[UUID] = mapped_column(primary_key=True)
    date: Mapped[date] = mapped_column(primary_key=True)
    executions: Mapped[int]
    completed: Mapped[int]
    failed: Mapped[int]
    skipped: Mapped[int]
    cancelled: Mapped[int]
    open: Mapped[int]
    emails_sent: Mapped[int]
    sms_sent: Mapped[int]
    messages_not_sent: Mapped[int]
    average_duration: Mapped[timedelta | None]
    computed_at: Mapped[datetime] = mapped_column(server_default=CLOCK)


class StopRow(Table):
    """The emergency stop of one organization, or of all where ``organization_id`` is None."""

    __tablename__ = "automation_stops"
    __table_args__ = (UniqueConstraint("organization_id", postgresql_nulls_not_distinct=True),)

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=RANDOM_ID)
    organization_id: Mapped[UUID | None] = mapped_column(ForeignKey("organizations.id"))
    reason: Mapped[str | None]
    stopped_at: Mapped[datetime] = mapped_column(server_default=CLOCK)
