"""The tables, as SQLAlchemy knows them; migrations create them, a test compares the two.

Business tables are a reference schema; the engine reads only the columns named here.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    MetaData,
    Numeric,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from fixlify.domain.automation import AutomationStatus
from fixlify.domain.runs import ExecutionStatus, MessageStatus

_NOW = text("now()")
_RANDOM_ID = text("gen_random_uuid()")


def _one_of(statuses: type[StrEnum]) -> CheckConstraint:
    names = ", ".join(f"'{status}'" for status in statuses)
    return CheckConstraint(f"status IN ({names})", name="status")


class Table(DeclarativeBase):
    """The base of every table."""

    metadata = MetaData(
        naming_convention={
            "pk": "%(table_name)s_pkey",
            "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
            "uq": "%(table_name)s_%(column_0_N_name)s_key",
            "ix": "%(table_name)s_%(column_0_N_name)s_idx",
            "ck": "%(table_name)s_%(constraint_name)s_check",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text,
        datetime: DateTime(timezone=True),
        Decimal: Numeric(12, 2),
        dict[str, Any]: JSONB,
        list[str]: ARRAY(Text),
    }


class OrganizationRow(Table):
    """A company; everything else belongs to exactly one."""

    __tablename__ = "organizations"

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=_RANDOM_ID)
    name: Mapped[str]
    email: Mapped[str | None]
    phone: Mapped[str | None]
    website: Mapped[str | None]
    time_zone: Mapped[str] = mapped_column(server_default="UTC")
    locale: Mapped[str] = mapped_column(server_default="en_US")
    currency: Mapped[str] = mapped_column(server_default="USD")
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class ProfileRow(Table):
    """A member of staff."""

    __tablename__ = "profiles"
    __table_args__ = (UniqueConstraint("organization_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=_RANDOM_ID)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"))
    first_name: Mapped[str | None]
    last_name: Mapped[str | None]
    email: Mapped[str | None]
    phone: Mapped[str | None]
    role: Mapped[str] = mapped_column(server_default="technician")
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class ClientRow(Table):
    """A person or company that is served."""

    __tablename__ = "clients"
    __table_args__ = (UniqueConstraint("organization_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=_RANDOM_ID)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"))
    first_name: Mapped[str | None]
    last_name: Mapped[str | None]
    company: Mapped[str | None]
    email: Mapped[str | None]
    phone: Mapped[str | None]
    address: Mapped[str | None]
    time_zone: Mapped[str | None]
    lead_source: Mapped[str | None]
    tags: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    email_opted_out: Mapped[bool] = mapped_column(server_default=text("false"))
    sms_opted_out: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class JobRow(Table):
    """One visit; its text id (``J-2019``) is unique within its organization only."""

    __tablename__ = "jobs"
    __table_args__ = (
        # Both keys of a reference carry the organization, so that a row of one company can
        # never point at a person of another.
        ForeignKeyConstraint(
            ["organization_id", "client_id"], ["clients.organization_id", "clients.id"]
        ),
        ForeignKeyConstraint(
            ["organization_id", "technician_id"], ["profiles.organization_id", "profiles.id"]
        ),
        Index(None, "organization_id", "client_id"),
        Index(None, "organization_id", "technician_id"),
    )

    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    client_id: Mapped[UUID | None]
    technician_id: Mapped[UUID | None]
    title: Mapped[str | None]
    description: Mapped[str | None]
    job_type: Mapped[str | None]
    status: Mapped[str | None]
    address: Mapped[str | None]
    schedule_start: Mapped[datetime | None]
    schedule_end: Mapped[datetime | None]
    total: Mapped[Decimal | None]
    lead_source: Mapped[str | None]
    tags: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class InvoiceRow(Table):
    """A bill for a job or a client."""

    __tablename__ = "invoices"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "client_id"], ["clients.organization_id", "clients.id"]
        ),
        ForeignKeyConstraint(["organization_id", "job_id"], ["jobs.organization_id", "jobs.id"]),
        UniqueConstraint("organization_id", "id"),
        Index(None, "organization_id", "client_id"),
        Index(None, "organization_id", "job_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=_RANDOM_ID)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"))
    client_id: Mapped[UUID | None]
    job_id: Mapped[str | None]
    number: Mapped[str | None]
    status: Mapped[str | None]
    total: Mapped[Decimal | None]
    amount_paid: Mapped[Decimal] = mapped_column(server_default=text("0"))
    due_date: Mapped[date | None]
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class AutomationRow(Table):
    """An automation as it stands now; ``automation_workflow_versions`` keeps each version."""

    __tablename__ = "automation_workflows"
    __table_args__ = (
        UniqueConstraint("organization_id", "id"),
        UniqueConstraint("organization_id", "name"),
        _one_of(AutomationStatus),
        CheckConstraint("status <> 'active' OR steps <> '[]'::jsonb", name="active_has_steps"),
        # The relay asks for an organization's listening automations at every batch.
        Index(
            "automation_workflows_listening_idx",
            "organization_id",
            "trigger_type",
            postgresql_where=text("status = 'active'"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"))
    name: Mapped[str]
    description: Mapped[str | None]
    status: Mapped[str]
    trigger_type: Mapped[str]
    trigger_config: Mapped[dict[str, Any]]
    conditions: Mapped[dict[str, Any] | None]
    steps: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class AutomationVersionRow(Table):
    """One version of an automation, with the text of its templates; never changed."""

    __tablename__ = "automation_workflow_versions"
    __table_args__ = (
        # Or one company could write the versions that another is about to run.
        ForeignKeyConstraint(
            ["organization_id", "automation_id"],
            ["automation_workflows.organization_id", "automation_workflows.id"],
        ),
    )

    automation_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID]
    pinned: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class EventRow(Table):
    """The outbox. No foreign key and no check: recording must never fail a business write."""

    __tablename__ = "automation_events"
    __table_args__ = (
        Index(
            "automation_events_unprocessed_idx", "id", postgresql_where=text("processed_at IS NULL")
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    organization_id: Mapped[UUID | None]
    event_type: Mapped[str]
    subject_type: Mapped[str]
    subject_id: Mapped[str | None]
    data: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    occurred_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    processed_at: Mapped[datetime | None]
    outcome: Mapped[str | None]


class ExecutionRow(Table):
    """One match of an event by an automation: what was done, or why nothing was."""

    __tablename__ = "automation_execution_logs"
    __table_args__ = (
        UniqueConstraint("automation_id", "occurrence_key"),
        _one_of(ExecutionStatus),
        ForeignKeyConstraint(
            ["organization_id", "automation_id"],
            ["automation_workflows.organization_id", "automation_workflows.id"],
        ),
        # A run without its version could never begin, and would stay pending for ever.
        ForeignKeyConstraint(
            ["automation_id", "automation_version"],
            ["automation_workflow_versions.automation_id", "automation_workflow_versions.version"],
        ),
        # The duplicate window asks what the same automation did for the same subject.
        Index(
            "automation_execution_logs_window_idx",
            "automation_id",
            "subject_id",
            "trigger_value",
            "occurred_at",
        ),
        Index(
            "automation_execution_logs_pending_idx",
            "created_at",
            postgresql_where=text("status = 'pending'"),
        ),
        Index(
            "automation_execution_logs_open_idx",
            "started_at",
            postgresql_where=text("status IN ('running', 'waiting')"),
        ),
        Index(None, "created_at"),
        Index(None, "organization_id", "created_at"),
        # automation_analytics asks for one day.
        Index("automation_execution_logs_day_idx", text("((created_at AT TIME ZONE 'UTC')::date)")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID]
    automation_id: Mapped[UUID]
    automation_version: Mapped[int]
    occurrence_key: Mapped[str]
    subject_type: Mapped[str]
    subject_id: Mapped[str]
    trigger_type: Mapped[str]
    trigger_value: Mapped[str]
    trigger_data: Mapped[dict[str, Any]]
    occurred_at: Mapped[datetime]
    status: Mapped[str]
    reason: Mapped[str | None]
    error_message: Mapped[str | None]
    waiting_for: Mapped[str | None]
    workflow_id: Mapped[str | None]
    run_id: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    launched_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]


class StepRow(Table):
    """One executed step and its outcome."""

    __tablename__ = "automation_step_logs"

    execution_id: Mapped[UUID] = mapped_column(
        ForeignKey("automation_execution_logs.id"), primary_key=True
    )
    step_id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID]
    position: Mapped[int]
    kind: Mapped[str]
    status: Mapped[str]
    reason: Mapped[str | None]
    message_id: Mapped[UUID | None]
    completed_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class MessageRow(Table):
    """The delivery ledger: one row per execution and step, written before any provider call."""

    __tablename__ = "messages"
    __table_args__ = (
        UniqueConstraint("execution_id", "step_id"),
        _one_of(MessageStatus),
        Index(None, "organization_id", "created_at"),
        Index(
            "messages_open_idx",
            "created_at",
            postgresql_where=text("status IN ('queued', 'sending', 'unknown')"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"))
    execution_id: Mapped[UUID] = mapped_column(ForeignKey("automation_execution_logs.id"))
    step_id: Mapped[str]
    channel: Mapped[str]
    recipient_kind: Mapped[str]
    recipient_id: Mapped[UUID | None]
    recipient: Mapped[str | None]
    sender_name: Mapped[str | None]
    reply_to: Mapped[str | None]
    subject: Mapped[str | None]
    body_text: Mapped[str | None]
    body_html: Mapped[str | None]
    status: Mapped[str]
    reason: Mapped[str | None]
    error_code: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    provider: Mapped[str | None]
    provider_id: Mapped[str | None]
    segments: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    sending_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]


class ScheduleRow(Table):
    """A schedule that should exist; the schedules commands reconcile Temporal to it."""

    __tablename__ = "automation_schedules"
    __table_args__ = (Index(None, "organization_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=_RANDOM_ID)
    organization_id: Mapped[UUID | None] = mapped_column(ForeignKey("organizations.id"))
    name: Mapped[str] = mapped_column(unique=True)
    schedule: Mapped[str]
    time_zone: Mapped[str] = mapped_column(server_default="UTC")
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    last_run_at: Mapped[datetime | None]
    last_status: Mapped[str | None]
    next_run_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)
