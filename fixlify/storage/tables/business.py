"""The business, as a reference schema; the engine reads only the columns named here."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from fixlify.storage.tables.base import NOW, RANDOM_ID, Table


class OrganizationRow(Table):
    """A company; everything else belongs to exactly one."""

    __tablename__ = "organizations"
    __table_args__ = (
        Index(
            "organizations_sms_number_idx",
            "sms_number",
            postgresql_where=text("sms_number IS NOT NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=RANDOM_ID)
    name: Mapped[str]
    email: Mapped[str | None]
    phone: Mapped[str | None]
    website: Mapped[str | None]
    time_zone: Mapped[str] = mapped_column(server_default="UTC")
    locale: Mapped[str] = mapped_column(server_default="en_US")
    currency: Mapped[str] = mapped_column(server_default="USD")
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    logo_url: Mapped[str | None]
    brand_color: Mapped[str | None]
    address: Mapped[str | None]
    links: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    sms_number: Mapped[str | None]


class ProfileRow(Table):
    """A member of staff."""

    __tablename__ = "profiles"
    __table_args__ = (UniqueConstraint("organization_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=RANDOM_ID)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"))
    first_name: Mapped[str | None]
    last_name: Mapped[str | None]
    email: Mapped[str | None]
    phone: Mapped[str | None]
    role: Mapped[str] = mapped_column(server_default="technician")
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class ClientRow(Table):
    """A person or company that is served."""

    __tablename__ = "clients"
    __table_args__ = (
        UniqueConstraint("organization_id", "id"),
        # Who else has an address: an email in any case, a phone by its last nine digits.
        Index("clients_email_idx", "organization_id", text("lower(email)")),
        Index(
            "clients_phone_idx",
            "organization_id",
            text("\"right\"(regexp_replace(phone, '[^0-9]'::text, ''::text, 'g'::text), 9)"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=RANDOM_ID)
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
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    locale: Mapped[str | None]


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
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


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

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=RANDOM_ID)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"))
    client_id: Mapped[UUID | None]
    job_id: Mapped[str | None]
    number: Mapped[str | None]
    status: Mapped[str | None]
    total: Mapped[Decimal | None]
    amount_paid: Mapped[Decimal] = mapped_column(server_default=text("0"))
    due_date: Mapped[date | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


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

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=RANDOM_ID)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"))
    client_id: Mapped[UUID | None]
    job_id: Mapped[str | None]
    number: Mapped[str | None]
    title: Mapped[str | None]
    status: Mapped[str | None]
    total: Mapped[Decimal | None]
    valid_until: Mapped[date | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


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

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=RANDOM_ID)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"))
    invoice_id: Mapped[UUID | None]
    client_id: Mapped[UUID | None]
    amount: Mapped[Decimal | None]
    method: Mapped[str | None]
    paid_at: Mapped[datetime] = mapped_column(server_default=NOW)
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


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

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=RANDOM_ID)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"))
    client_id: Mapped[UUID | None]
    job_id: Mapped[str | None]
    assignee_id: Mapped[UUID | None]
    title: Mapped[str | None]
    description: Mapped[str | None]
    status: Mapped[str | None]
    due_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class InboundMessageRow(Table):
    """A text message somebody sent to the company."""

    __tablename__ = "inbound_messages"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "client_id"], ["clients.organization_id", "clients.id"]
        ),
        UniqueConstraint("organization_id", "id"),
        Index(None, "organization_id", "client_id"),
        Index(
            "inbound_messages_provider_idx",
            "organization_id",
            "provider_id",
            unique=True,
            postgresql_where=text("provider_id IS NOT NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=RANDOM_ID)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"))
    client_id: Mapped[UUID | None]
    from_number: Mapped[str | None]
    to_number: Mapped[str | None]
    body: Mapped[str | None]
    received_at: Mapped[datetime] = mapped_column(server_default=NOW)
    provider_id: Mapped[str | None]
