"""The rules that protect clients, and what they do not want."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from fixlify.domain.rules import MessageClass
from fixlify.storage.tables.base import CLOCK, RANDOM_ID, Table, one_of


class RulesRow(Table):
    """An organization's rules for messages to its clients."""

    __tablename__ = "automation_rules"

    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    rules: Mapped[dict[str, Any]]
    updated_at: Mapped[datetime] = mapped_column(server_default=CLOCK)


class OptOutRow(Table):
    """What a client does not want: one channel, all of it or one class."""

    __tablename__ = "client_opt_outs"
    __table_args__ = (
        CheckConstraint("channel IN ('email', 'sms')", name="channel"),
        one_of(MessageClass, "message_class"),
        UniqueConstraint(
            "organization_id",
            "client_id",
            "channel",
            "message_class",
            name="client_opt_outs_once_key",
            postgresql_nulls_not_distinct=True,
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=RANDOM_ID)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"))
    client_id: Mapped[UUID]
    channel: Mapped[str]
    message_class: Mapped[str | None]
    source: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=CLOCK)


class SuppressionRow(Table):
    """An address that gets nothing, whoever it belongs to."""

    __tablename__ = "suppressions"
    __table_args__ = (
        CheckConstraint("channel IN ('email', 'sms')", name="channel"),
        # One that is written otherwise would suppress nothing, and nobody would know.
        CheckConstraint("address = lower(address)", name="address"),
    )

    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    address: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str]
    source: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=CLOCK)
