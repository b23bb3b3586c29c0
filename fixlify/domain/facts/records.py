"""The records of the business: what is visited, offered, billed, paid, to be done and said.

Every ``status`` is free-form; compare it normalized. Amounts are in the organization's
currency.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from pydantic import computed_field

from fixlify.domain.models import Frozen


class Job(Frozen):
    """One visit to one client."""

    id: str
    title: str | None = None
    description: str | None = None
    job_type: str | None = None
    status: str | None = None
    address: str | None = None
    schedule_start: datetime | None = None
    schedule_end: datetime | None = None
    total: Decimal | None = None
    lead_source: str | None = None
    tags: tuple[str, ...] = ()
    created_at: datetime | None = None
    completed_at: datetime | None = None


class Estimate(Frozen):
    """What a job would cost; ``valid_until`` is its last day."""

    id: UUID
    number: str | None = None
    title: str | None = None
    status: str | None = None
    total: Decimal | None = None
    valid_until: date | None = None


class Invoice(Frozen):
    """What a job cost.

    ``days_overdue`` counts from the due date to the organization's own today; None where that
    has not passed or the invoice is paid in full.
    """

    id: UUID
    number: str | None = None
    status: str | None = None
    total: Decimal | None = None
    amount_paid: Decimal | None = Decimal(0)
    due_date: date | None = None
    days_overdue: int | None = None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def balance(self) -> Decimal | None:
        """What is still to be paid; None where either amount is unknown."""
        if self.total is None or self.amount_paid is None:
            return None
        return self.total - self.amount_paid

    def overdue_on(self, today: date) -> int | None:
        """Return what ``days_overdue`` is on the day *today*."""
        if self.due_date is None or self.due_date >= today:
            return None
        if self.balance is not None and self.balance <= 0:
            return None
        return (today - self.due_date).days


class Payment(Frozen):
    """Money that came in."""

    id: UUID
    amount: Decimal | None = None
    method: str | None = None
    paid_at: datetime | None = None


class Task(Frozen):
    """Something the office is to do."""

    id: UUID
    title: str | None = None
    description: str | None = None
    status: str | None = None
    due_at: datetime | None = None


class Sms(Frozen):
    """A text message that came in. ``from_number`` is as the provider wrote it."""

    id: UUID
    body: str | None = None
    from_number: str | None = None
    received_at: datetime | None = None
