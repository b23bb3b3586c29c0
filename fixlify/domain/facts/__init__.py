"""The facts an automation may speak of: people, records, and what set it off.

Conditions and templates use the same names (``client.first_name``, ``invoice.balance``); the
catalogue of valid names is derived from the models here and from nothing else. Only what
follows ``event.`` is for each event to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple, Self
from uuid import UUID

from pydantic import Field

from fixlify.domain.events import SubjectType
from fixlify.domain.facts.aliases import ORIGIN_ALIASES
from fixlify.domain.facts.links import Links, links_of
from fixlify.domain.facts.occasion import EventValue, event_values, is_event_field
from fixlify.domain.facts.people import Client, Organization, Technician
from fixlify.domain.facts.records import Estimate, Invoice, Job, Payment, Sms, Task
from fixlify.domain.models import Frozen

__all__ = [
    "ORIGIN_ALIASES",
    "PARTS",
    "Client",
    "Estimate",
    "Facts",
    "Invoice",
    "Job",
    "Links",
    "Organization",
    "Payment",
    "Sms",
    "Subject",
    "Task",
    "Technician",
    "fact_names",
    "is_event_field",
]


class Subject(NamedTuple):
    """What facts are asked about: one row of one organization."""

    organization_id: UUID
    type: SubjectType
    id: str


class Facts(Frozen):
    """Everything known about one subject at one moment.

    Beside the subject itself stand the records it belongs to: with a payment its invoice, with
    an invoice, an estimate or a task its job.
    """

    organization: Organization
    client: Client | None = None
    technician: Technician | None = None
    job: Job | None = None
    estimate: Estimate | None = None
    invoice: Invoice | None = None
    payment: Payment | None = None
    task: Task | None = None
    sms: Sms | None = None
    links: Links = Links()
    event: Mapping[str, EventValue] = Field(default_factory=dict)

    def with_event(self, data: Mapping[str, Any]) -> Self:
        """Return these facts with what set the automation off.

        Args:
            data: The event's own, or the ``trigger_data`` of an execution.
        """
        return self.model_copy(update={"event": event_values(data)})

    def with_links(self, patterns: object) -> Self:
        """Return these facts with the links that the organization's *patterns* make of them."""
        return self.model_copy(update={"links": links_of(patterns, self.lookup)})

    @property
    def locale(self) -> str:
        """The client's own language, else the organization's: ``es_MX``."""
        return (self.client and self.client.locale) or self.organization.locale

    @property
    def time_zone(self) -> str:
        """The client's own zone, else the organization's."""
        return (self.client and self.client.time_zone) or self.organization.time_zone

    def lookup(self, field: str) -> Any:
        """Return the value of a dotted *field* (``job.total``), or None where it is empty."""
        part, _, name = field.partition(".")
        if part == "event":
            return self.event.get(name)
        return getattr(getattr(self, part, None), name, None)


PARTS: Mapping[str, type[Frozen]] = MappingProxyType(
    {
        "organization": Organization,
        "client": Client,
        "technician": Technician,
        "job": Job,
        "estimate": Estimate,
        "invoice": Invoice,
        "payment": Payment,
        "task": Task,
        "sms": Sms,
        "links": Links,
    }
)
"""What stands before the dot, and the model whose fields may follow it."""


@cache
def fact_names() -> frozenset[str]:
    """Return every dotted name a condition or template may use, but for those of events."""
    return frozenset(
        f"{part}.{name}"
        for part, model in PARTS.items()
        for name in (*model.model_fields, *model.model_computed_fields)
    )
