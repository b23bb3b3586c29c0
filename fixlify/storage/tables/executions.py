"""Executions, their steps, what they decided and did, and whom they wrote to."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Numeric,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from fixlify.domain.rules import MessageClass
from fixlify.domain.runs import ExecutionStatus, MessageStatus
from fixlify.storage.tables.base import CLOCK, Table, one_of


class ExecutionRow(Table):
    """One match of an event by an automation: what was done, or why nothing was."""

    __tablename__ = "automation_execution_logs"
    __table_args__ = (
        UniqueConstraint("automation_id", "occurrence_key"),
        one_of(ExecutionStatus),
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
        # Who is next of each organization.
        Index(
            "automation_execution_logs_pending_idx",
            "organization_id",
            "swept",
            "created_at",
            postgresql_where=text("status = 'pending'"),
        ),
        Index(
            "automation_execution_logs_late_idx",
            "good_until",
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
        # What came of all that happened to a subject.
        Index("automation_execution_logs_about_idx", "organization_id", "subject_id", "created_at"),
        # Who is to be told of an event.
        Index(
            "automation_execution_logs_subject_idx",
            "organization_id",
            "subject_id",
            postgresql_where=text("status IN ('running', 'waiting')"),
        ),
        Index(
            "automation_execution_logs_client_idx",
            "organization_id",
            "client_id",
            postgresql_where=text("status IN ('running', 'waiting')"),
        ),
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
    created_at: Mapped[datetime] = mapped_column(server_default=CLOCK)
    launched_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    good_until: Mapped[datetime | None]
    chain: Mapped[list[UUID] | None]
    client_id: Mapped[UUID | None]
    redrives: Mapped[int] = mapped_column(server_default=text("0"))
    swept: Mapped[bool] = mapped_column(server_default=text("false"))
    taken_at: Mapped[datetime | None]


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
    completed_at: Mapped[datetime] = mapped_column(server_default=CLOCK)
    result: Mapped[str | None]


class MessageRow(Table):
    """The delivery ledger: one row per execution and step, written before any provider call."""

    __tablename__ = "messages"
    __table_args__ = (
        UniqueConstraint("execution_id", "step_id"),
        one_of(MessageStatus),
        one_of(MessageClass, "message_class"),
        # How many messages a client got lately.
        Index(
            "messages_recipient_idx",
            "organization_id",
            "recipient_id",
            "sending_at",
            postgresql_where=text("recipient_kind = 'client' AND sending_at IS NOT NULL"),
        ),
        Index(None, "organization_id", "created_at"),
        Index(
            "messages_open_idx",
            "created_at",
            postgresql_where=text("status IN ('queued', 'held', 'sending', 'unknown')"),
        ),
        # By block: what was sent lately stands at the end of the table.
        Index("messages_sent_idx", "sent_at", postgresql_using="brin"),
        Index(
            "messages_provider_idx",
            "provider",
            "provider_id",
            unique=True,
            postgresql_where=text("provider_id IS NOT NULL"),
        ),
        Index(
            "messages_address_idx",
            "recipient",
            "sending_at",
            postgresql_where=text("sending_at IS NOT NULL"),
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
    created_at: Mapped[datetime] = mapped_column(server_default=CLOCK)
    sending_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    message_class: Mapped[str] = mapped_column(server_default=text("'transactional'"))
    good_until: Mapped[datetime | None]
    held_until: Mapped[datetime | None]
    sender: Mapped[str | None]
    delivered_at: Mapped[datetime | None]
    price: Mapped[Decimal | None] = mapped_column(Numeric(12, 5))
    price_currency: Mapped[str | None]


class SignalRow(Table):
    """An event that a waiting run is to be told of; delivered once."""

    __tablename__ = "automation_signals"
    __table_args__ = (
        Index(
            "automation_signals_undelivered_idx",
            "created_at",
            postgresql_where=text("delivered_at IS NULL"),
        ),
    )

    execution_id: Mapped[UUID] = mapped_column(
        ForeignKey("automation_execution_logs.id"), primary_key=True
    )
    event_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    organization_id: Mapped[UUID]
    created_at: Mapped[datetime] = mapped_column(server_default=CLOCK)
    delivered_at: Mapped[datetime | None]


class DecisionRow(Table):
    """What a run decided on its way, in the words people read; never changed."""

    __tablename__ = "automation_decisions"
    __table_args__ = (Index(None, "execution_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    organization_id: Mapped[UUID]
    execution_id: Mapped[UUID] = mapped_column(ForeignKey("automation_execution_logs.id"))
    step_id: Mapped[str | None]
    kind: Mapped[str]
    detail: Mapped[str]
    decided_at: Mapped[datetime] = mapped_column(server_default=CLOCK)


class ActionRow(Table):
    """What one step did to another system or to the business's records; once per step."""

    __tablename__ = "automation_actions"

    execution_id: Mapped[UUID] = mapped_column(
        ForeignKey("automation_execution_logs.id"), primary_key=True
    )
    step_id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID]
    kind: Mapped[str]
    status: Mapped[str]
    reason: Mapped[str | None]
    detail: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    created_at: Mapped[datetime] = mapped_column(server_default=CLOCK)
    finished_at: Mapped[datetime | None]
