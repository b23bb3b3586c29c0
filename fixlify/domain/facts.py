"""The facts an automation may speak of: one organization, client, job and technician.

Conditions and templates use the same names (``client.first_name``, ``job.status``); the
catalogue of valid names is derived from the models here and from nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import computed_field

from fixlify.domain.events import SubjectType
from fixlify.domain.models import Frozen


class Subject(NamedTuple):
    """What facts are asked about: one row of one organization."""

    organization_id: UUID
    type: SubjectType
    id: str


class Organization(Frozen):
    """The company that makes the promise."""

    id: UUID
    name: str
    email: str | None = None
    phone: str | None = None
    website: str | None = None
    time_zone: str = "UTC"
    locale: str = "en_US"
    currency: str = "USD"


class Client(Frozen):
    """The person the promise was made to. ``phone`` is as stored, not yet E.164."""

    id: UUID
    first_name: str | None = None
    last_name: str | None = None
    company: str | None = None
    email: str | None = None
    phone: str | None = None
    address: str | None = None
    time_zone: str | None = None
    lead_source: str | None = None
    tags: tuple[str, ...] = ()
    email_opted_out: bool = False
    sms_opted_out: bool = False

    @computed_field  # type: ignore[prop-decorator]
    @property
    def name(self) -> str | None:
        """First and last name, else the company; None when nobody wrote any."""
        person = " ".join(part for part in (self.first_name, self.last_name) if part)
        return person or self.company or None


class Technician(Frozen):
    """The member of staff who does the job."""

    id: UUID
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    phone: str | None = None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def name(self) -> str | None:
        """First and last name; None when nobody wrote either."""
        return " ".join(part for part in (self.first_name, self.last_name) if part) or None


class Job(Frozen):
    """One visit to one client. ``status`` is free-form; compare it normalized."""

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


class Facts(Frozen):
    """Everything known about one subject at one moment."""

    organization: Organization
    client: Client | None = None
    job: Job | None = None
    technician: Technician | None = None

    @property
    def time_zone(self) -> str:
        """The client's own zone, else the organization's."""
        return (self.client and self.client.time_zone) or self.organization.time_zone

    def lookup(self, field: str) -> Any:
        """Return the value of a dotted *field* (``job.total``), or None where it is empty."""
        part, _, name = field.partition(".")
        return getattr(getattr(self, part, None), name, None)


_PARTS: Mapping[str, type[Frozen]] = MappingProxyType(
    {"organization": Organization, "client": Client, "job": Job, "technician": Technician}
)


@cache
def fact_names() -> frozenset[str]:
    """Return every dotted name a condition or template may use."""
    return frozenset(
        f"{part}.{name}"
        for part, model in _PARTS.items()
        for name in (*model.model_fields, *model.model_computed_fields)
    )


ORIGIN_ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "client_name": "client.name",
        "client_first_name": "client.first_name",
        "client_last_name": "client.last_name",
        "client_email": "client.email",
        "client_phone": "client.phone",
        "client_address": "client.address",
        "client_company": "client.company",
        "client.firstName": "client.first_name",
        "client.lastName": "client.last_name",
        "client.fullName": "client.name",
        "client.companyName": "client.company",
        "job_id": "job.id",
        "job_number": "job.id",
        "job_title": "job.title",
        "job_description": "job.description",
        "job_status": "job.status",
        "job_type": "job.job_type",
        "job_address": "job.address",
        "job_total": "job.total",
        "job.number": "job.id",
        "job.type": "job.job_type",
        "job.jobType": "job.job_type",
        "job.scheduledDate": "job.schedule_start",
        "job.scheduleStart": "job.schedule_start",
        "job.scheduleEnd": "job.schedule_end",
        "job.totalAmount": "job.total",
        "scheduled_date": "job.schedule_start",
        "scheduled_time": "job.schedule_start",
        "technician_name": "technician.name",
        "technician_phone": "technician.phone",
        "technician.firstName": "technician.first_name",
        "technician.lastName": "technician.last_name",
        "company_name": "organization.name",
        "company_phone": "organization.phone",
        "company_email": "organization.email",
        "company_website": "organization.website",
        "company.name": "organization.name",
        "company.phone": "organization.phone",
        "company.email": "organization.email",
        "company.website": "organization.website",
    }
)
"""The names templates of the replaced system use, and what they mean here."""
