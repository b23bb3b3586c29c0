"""One company, one client, one technician and one record of each kind, to write about."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from fixlify.domain.facts import (
    Client,
    Estimate,
    Facts,
    Invoice,
    Job,
    Organization,
    Payment,
    Sms,
    Task,
    Technician,
)

ORGANIZATION = Organization(
    id=UUID(int=1),
    name="Lakeside Plumbing",
    email="office@lakeside.example",
    phone="(312) 555-0100",
    website="lakeside.example",
    time_zone="America/Chicago",
)
CLIENT = Client(
    id=UUID(int=2),
    first_name="Maria",
    last_name="Lopez",
    email="maria@example.com",
    phone="(312) 555-0142",
    address="12 Lake Street",
    tags=("vip", "maintenance plan"),
)
JOB = Job(
    id="J-2019",
    title="Kitchen faucet repair",
    status="completed",
    schedule_start=datetime(2026, 11, 26, 16, 0, tzinfo=UTC),
    total=Decimal("1250.5"),
)
TECHNICIAN = Technician(id=UUID(int=3), first_name="Sam", last_name="Okafor")

ESTIMATE = Estimate(
    id=UUID(int=4), number="E-31", total=Decimal(900), valid_until=date(2026, 12, 31)
)
INVOICE = Invoice(
    id=UUID(int=5),
    number="INV-77",
    status="sent",
    total=Decimal("1250.5"),
    amount_paid=Decimal("250.5"),
    due_date=date(2026, 11, 12),
    days_overdue=9,
)
PAYMENT = Payment(
    id=UUID(int=6),
    amount=Decimal("250.5"),
    method="card",
    paid_at=datetime(2026, 11, 20, 16, 0, tzinfo=UTC),
)
TASK = Task(id=UUID(int=7), title="Call back", due_at=datetime(2026, 11, 27, 16, 0, tzinfo=UTC))
SMS = Sms(id=UUID(int=8), body="Yes please", from_number="+13125550142")


def facts(
    *,
    organization: dict[str, Any] | None = None,
    client: dict[str, Any] | None = None,
    job: dict[str, Any] | None = None,
    technician: Technician | None = TECHNICIAN,
    invoice: dict[str, Any] | None = None,
    event: dict[str, Any] | None = None,
) -> Facts:
    """Return the sample with some fields changed."""
    return Facts(
        organization=ORGANIZATION.model_copy(update=organization or {}),
        client=CLIENT.model_copy(update=client or {}),
        job=JOB.model_copy(update=job or {}),
        technician=technician,
        estimate=ESTIMATE,
        invoice=INVOICE.model_copy(update=invoice or {}),
        payment=PAYMENT,
        task=TASK,
        sms=SMS,
        event=event or {},
    )
