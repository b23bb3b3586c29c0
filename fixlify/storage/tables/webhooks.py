"""Webhooks: whom they go to, and what is to be told."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from fixlify.storage.tables.base import CLOCK, Table


class WebhookSettingsRow(Table):
    """What an organization's webhooks are signed with, and where it hears of failures."""

    __tablename__ = "webhook_settings"

    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    secret: Mapped[str]
    failure_url: Mapped[str | None]
    failing_since: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]
    disabled_reason: Mapped[str | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=CLOCK)


class WebhookDeliveryRow(Table):
    """A failed execution that an organization is to be told of."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        CheckConstraint("status IN ('pending', 'delivered', 'failed', 'cancelled')", name="status"),
        Index(
            "webhook_deliveries_pending_idx",
            "created_at",
            postgresql_where=text("status = 'pending'"),
        ),
        Index(None, "organization_id", "created_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"))
    execution_id: Mapped[UUID] = mapped_column(ForeignKey("automation_execution_logs.id"))
    status: Mapped[str] = mapped_column(server_default=text("'pending'"))
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    reason: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=CLOCK)
    launched_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
