"""Triggers of estimates, invoices and payments."""

from __future__ import annotations

from typing import ClassVar, Literal

from fixlify.domain.events import Event, EventType
from fixlify.domain.triggers.changes import Happened, StatusChanged, StatusReached
from fixlify.domain.triggers.filters import AmountRange, Words, one_of


class EstimateStatusChanged(StatusChanged):
    """An estimate moved to a status, or was entered with one."""

    type: Literal["estimate_status_changed"] = "estimate_status_changed"
    event_type: ClassVar = EventType.ESTIMATE_STATUS_CHANGED


class EstimateSent(StatusReached):
    """An estimate went to its client."""

    type: Literal["estimate_sent"] = "estimate_sent"
    event_type: ClassVar = EventType.ESTIMATE_STATUS_CHANGED
    words: ClassVar = ("sent",)


class EstimateAccepted(StatusReached):
    """A client accepted an estimate; some applications write ``approved``."""

    type: Literal["estimate_accepted"] = "estimate_accepted"
    event_type: ClassVar = EventType.ESTIMATE_STATUS_CHANGED
    words: ClassVar = ("accepted", "approved")


class EstimateDeclined(StatusReached):
    """A client declined an estimate; some applications write ``rejected``."""

    type: Literal["estimate_declined"] = "estimate_declined"
    event_type: ClassVar = EventType.ESTIMATE_STATUS_CHANGED
    words: ClassVar = ("declined", "rejected")


class InvoiceSent(StatusReached):
    """An invoice went to its client."""

    type: Literal["invoice_sent"] = "invoice_sent"
    event_type: ClassVar = EventType.INVOICE_STATUS_CHANGED
    words: ClassVar = ("sent",)


class InvoicePaid(StatusReached):
    """An invoice's status became ``paid``; ``payment_received`` tells of each payment."""

    type: Literal["invoice_paid"] = "invoice_paid"
    event_type: ClassVar = EventType.INVOICE_STATUS_CHANGED
    words: ClassVar = ("paid", "paid_in_full")


class PaymentReceived(Happened):
    """A payment was entered."""

    type: Literal["payment_received"] = "payment_received"
    event_type: ClassVar = EventType.PAYMENT_RECEIVED
    amount: AmountRange | None = None
    method: Words | None = None

    def matches(self, event: Event) -> bool:
        """Whether *event* sets this off."""
        if event.type is not self.event_type:
            return False
        enough = self.amount is None or self.amount.includes(event.data.get("amount"))
        method = event.data.get("method")
        return enough and one_of(method if isinstance(method, str) else None, self.method)
