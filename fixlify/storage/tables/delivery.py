"""What became of messages and how channels may send: transitions, evidence, limits, templates."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Double, ForeignKey, Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from fixlify.domain.rules import MessageClass
from fixlify.storage.tables.base import CLOCK, Table, one_of


class TransitionRow(Table):
    """One change of a message's status; written by the trigger ``fixlify_message_moved`` alone."""

    __tablename__ = "message_transitions"
    __table_args__ = (Index(None, "message_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    organization_id: Mapped[UUID]
    message_id: Mapped[UUID] = mapped_column(ForeignKey("messages.id"))
    from_status: Mapped[str]
    to_status: Mapped[str]
    at: Mapped[datetime] = mapped_column(server_default=CLOCK)
    cause: Mapped[str]
    attempt: Mapped[int]
    provider: Mapped[str | None]
    provider_id: Mapped[str | None]
    sender: Mapped[str | None]
    error_code: Mapped[str | None]


class ConsentRecordRow(Table):
    """What somebody said about messages, with the evidence; never changed."""

    __tablename__ = "consent_records"
    __table_args__ = (
        CheckConstraint("channel IN ('email', 'sms')", name="channel"),
        one_of(MessageClass, "message_class"),
        Index(None, "organization_id", "client_id", "id"),
        Index(None, "organization_id", "address", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"))
    client_id: Mapped[UUID | None]
    channel: Mapped[str]
    message_class: Mapped[str | None]
    address: Mapped[str | None]
    wants: Mapped[bool]
    source: Mapped[str]
    evidence: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    said_at: Mapped[datetime]
    recorded_at: Mapped[datetime] = mapped_column(server_default=CLOCK)


class ChannelSettingsRow(Table):
    """How fast a channel may send, and whether it may at all."""

    __tablename__ = "channel_settings"
    __table_args__ = (
        CheckConstraint("channel IN ('email', 'sms', 'webhook')", name="channel"),
        CheckConstraint("per_second > 0", name="per_second"),
        CheckConstraint("organization_per_second > 0", name="organization_per_second"),
    )

    channel: Mapped[str] = mapped_column(primary_key=True)
    per_second: Mapped[float | None] = mapped_column(Double())
    organization_per_second: Mapped[float | None] = mapped_column(Double())
    paused_at: Mapped[datetime | None]
    paused_reason: Mapped[str | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=CLOCK)


class TemplateRow(Table):
    """One version of a company's own template, in one language; never changed."""

    __tablename__ = "message_templates"

    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    locale: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    is_default: Mapped[bool]
    source: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=CLOCK)
