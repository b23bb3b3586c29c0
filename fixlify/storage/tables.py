"""The tables, as SQLAlchemy knows them; migrations create them, a test compares the two.

Business tables are a reference schema; the engine reads only the columns named here.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
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
        Index("jobs_organization_id_schedule_start_idx", "organization_id", "schedule_start", "id"),
        # When a job was done, as well as anybody knows.
        Index(
            "jobs_service_idx",
            "organization_id",
            text("COALESCE(completed_at, schedule_end, schedule_start, created_at)"),
            "id",
        ),
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
    completed_at: Mapped[datetime | None]
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
        Index(None, "organization_id", "due_date", "id"),
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


class EstimateRow(Table):
    """An offer to a client."""

    __tablename__ = "estimates"
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
    title: Mapped[str | None]
    status: Mapped[str | None]
    total: Mapped[Decimal | None]
    valid_until: Mapped[date | None]
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class PaymentRow(Table):
    """Money that came in."""

    __tablename__ = "payments"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "invoice_id"], ["invoices.organization_id", "invoices.id"]
        ),
        ForeignKeyConstraint(
            ["organization_id", "client_id"], ["clients.organization_id", "clients.id"]
        ),
        UniqueConstraint("organization_id", "id"),
        Index(None, "organization_id", "invoice_id"),
        Index(None, "organization_id", "client_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=_RANDOM_ID)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"))
    invoice_id: Mapped[UUID | None]
    client_id: Mapped[UUID | None]
    amount: Mapped[Decimal | None]
    method: Mapped[str | None]
    paid_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class TaskRow(Table):
    """Something a member of staff is to do."""

    __tablename__ = "tasks"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "client_id"], ["clients.organization_id", "clients.id"]
        ),
        ForeignKeyConstraint(["organization_id", "job_id"], ["jobs.organization_id", "jobs.id"]),
        ForeignKeyConstraint(
            ["organization_id", "assignee_id"], ["profiles.organization_id", "profiles.id"]
        ),
        UniqueConstraint("organization_id", "id"),
        Index(None, "organization_id", "client_id"),
        Index(None, "organization_id", "job_id"),
        Index(None, "organization_id", "assignee_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=_RANDOM_ID)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"))
    client_id: Mapped[UUID | None]
    job_id: Mapped[str | None]
    assignee_id: Mapped[UUID | None]
    title: Mapped[str | None]
    description: Mapped[str | None]
    status: Mapped[str | None]
    due_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class InboundMessageRow(Table):
    """A text message somebody sent to the company."""

    __tablename__ = "inbound_messages"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "client_id"], ["clients.organization_id", "clients.id"]
        ),
        UniqueConstraint("organization_id", "id"),
        Index(None, "organization_id", "client_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=_RANDOM_ID)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"))
    client_id: Mapped[UUID | None]
    from_number: Mapped[str | None]
    to_number: Mapped[str | None]
    body: Mapped[str | None]
    received_at: Mapped[datetime] = mapped_column(server_default=_NOW)


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
        # Sweeps ask who waits for their kind, in all organizations.
        Index(None, "trigger_type", postgresql_where=text("status IN ('active', 'paused')")),
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
    activated_at: Mapped[datetime | None]


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
    """The outbox. No foreign key and no check: recording must never fail a business write.

    ``automation_id`` and ``occurrence_key`` are set by sweeps, ``source_key`` by callers.
    """

    __tablename__ = "automation_events"
    __table_args__ = (
        Index(
            "automation_events_unprocessed_idx",
            "id",
            postgresql_where=text("processed_at IS NULL AND automation_id IS NULL"),
        ),
        Index(
            "automation_events_swept_idx",
            "id",
            postgresql_where=text("processed_at IS NULL AND automation_id IS NOT NULL"),
        ),
        Index(None, "organization_id", "id"),
        Index(
            "automation_events_occurrence_idx",
            "automation_id",
            "occurrence_key",
            unique=True,
            postgresql_where=text("automation_id IS NOT NULL"),
        ),
        Index(
            "automation_events_source_idx",
            "organization_id",
            "source_key",
            unique=True,
            postgresql_where=text("source_key IS NOT NULL"),
        ),
        Index(
            "automation_events_job_history_idx",
            "organization_id",
            "subject_id",
            "occurred_at",
            postgresql_where=text(
                "event_type IN ('job_created', 'job_status_changed', 'job_scheduled')"
            ),
        ),
        Index(
            "automation_events_job_status_idx",
            "organization_id",
            "occurred_at",
            postgresql_where=text("event_type IN ('job_created', 'job_status_changed')"),
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
    automation_id: Mapped[UUID | None]
    # Byte order: sweeps ask for all occurrences of one subject, by their beginning.
    occurrence_key: Mapped[str | None] = mapped_column(Text(collation="C"))
    source_key: Mapped[str | None]


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
        # Analytics are recomputed for the days whose executions ended lately.
        Index(None, "completed_at"),
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
    good_until: Mapped[datetime | None]


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
            postgresql_where=text("status IN ('queued', 'held', 'sending', 'unknown')"),
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
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)


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
    started_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
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
    computed_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class StopRow(Table):
    """The emergency stop of one organization, or of all where ``organization_id`` is None."""

    __tablename__ = "automation_stops"
    __table_args__ = (UniqueConstraint("organization_id", postgresql_nulls_not_distinct=True),)

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=_RANDOM_ID)
    organization_id: Mapped[UUID | None] = mapped_column(ForeignKey("organizations.id"))
    reason: Mapped[str | None]
    stopped_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class ApiKeyRow(Table):
    """A key of the HTTP API; the key itself is kept nowhere."""

    __tablename__ = "api_keys"
    __table_args__ = (UniqueConstraint("organization_id", "name"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"))
    name: Mapped[str]
    prefix: Mapped[str]
    key_hash: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class ApiRequestRow(Table):
    """The answer to a request with an ``Idempotency-Key``, for when it comes again."""

    __tablename__ = "api_requests"
    __table_args__ = (Index(None, "created_at"),)

    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    idempotency_key: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[str]
    response: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
