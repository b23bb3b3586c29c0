"""Automations, their versions, and the events that set them off."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from fixlify.domain.automation import AutomationStatus
from fixlify.storage.tables.base import CLOCK, NOW, Table, one_of


class AutomationRow(Table):
    """An automation as it stands now; ``automation_workflow_versions`` keeps each version."""

    __tablename__ = "automation_workflows"
    __table_args__ = (
        UniqueConstraint("organization_id", "id"),
        UniqueConstraint("organization_id", "name"),
        one_of(AutomationStatus),
        CheckConstraint("paused_runs IN ('finish', 'hold', 'cancel')", name="paused_runs"),
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
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)
    activated_at: Mapped[datetime | None]
    exit_when: Mapped[dict[str, Any] | None]
    options: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    paused_runs: Mapped[str] = mapped_column(server_default=text("'hold'"))


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
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    listens: Mapped[bool] = mapped_column(server_default=text("false"))


OWNER = "coalesce(organization_id, '00000000-0000-0000-0000-000000000000')"
"""Whose turn an event takes; those of nobody have one of their own."""


class EventRow(Table):
    """The outbox. No foreign key and no check: recording must never fail a business write.

    ``automation_id`` and ``occurrence_key`` are set by sweeps, ``source_key`` by callers.
    """

    __tablename__ = "automation_events"
    __table_args__ = (
        Index(
            "automation_events_unprocessed_idx",
            text(OWNER),
            "id",
            postgresql_where=text("processed_at IS NULL AND automation_id IS NULL"),
        ),
        Index(
            "automation_events_swept_idx",
            text(OWNER),
            "id",
            postgresql_where=text("processed_at IS NULL AND automation_id IS NOT NULL"),
        ),
        Index(None, "organization_id", "id"),
        Index("automation_events_subject_idx", "organization_id", "subject_id", "id"),
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
    occurred_at: Mapped[datetime] = mapped_column(server_default=CLOCK)
    processed_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
    automation_id: Mapped[UUID | None]
    # Byte order: sweeps ask for all occurrences of one subject, by their beginning.
    occurrence_key: Mapped[str | None] = mapped_column(Text(collation="C"))
    source_key: Mapped[str | None]
    chain: Mapped[list[UUID] | None] = mapped_column(server_default=text("fixlify_current_chain()"))
    caused_by: Mapped[UUID | None] = mapped_column(server_default=text("fixlify_current_cause()"))
