"""An invented company, its client and one record of each kind, to show what a template says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Final
from uuid import UUID

from fixlify.domain.events import SubjectType
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

SAMPLE_COMPANY: Final = Organization(
    id=UUID(int=1),
    name="Bluebird Home Services",
    email="office@bluebird.example",
    phone="(312) 555-0100",
    website="https://bluebird.example",
    time_zone="America/Chicago",
    address="400 W Lake Street, Chicago, IL 60606",
    brand_color="#1d5fa8",
)
SAMPLE_LINKS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "booking": "https://bluebird.example/book",
        "review": "https://bluebird.example/review",
        "payment": "https://pay.bluebird.example/{invoice.number}",
        "tracking": "https://bluebird.example/where/{job.id}",
        "approval": "https://bluebird.example/estimates/{estimate.number}",
    }
)

# What each kind of subject brings with it, as the engine finds it; people come with all of them.
_WITH: Final[Mapping[SubjectType, frozenset[str]]] = MappingProxyType(
    {
        SubjectType.ORGANIZATION: frozenset[str](),
        SubjectType.CLIENT: frozenset({"client"}),
        SubjectType.JOB: frozenset({"client", "technician", "job"}),
        SubjectType.ESTIMATE: frozenset({"client", "technician", "job", "estimate"}),
        SubjectType.INVOICE: frozenset({"client", "technician", "job", "invoice"}),
        SubjectType.PAYMENT: frozenset({"client", "technician", "job", "invoice", "payment"}),
        SubjectType.TASK: frozenset({"client", "technician", "job", "task"}),
        SubjectType.SMS: frozenset({"client", "sms"}),
    }
)


def sample_facts(
    subject: SubjectType | None = None,
    *,
    locale: str = "en_US",
    organization: Organization | None = None,
    links: object = SAMPLE_LINKS,
    now: datetime | None = None,
) -> Facts:
    """Return invented facts about a *subject*; with None one record of every kind.

    Args:
        subject: What the message is about.
        locale: The client's.
        organization: The company that writes; an invented one unless given.
        links: The company's link patterns.
        now: The moment they are about, this one unless given.
    """
    company = organization or SAMPLE_COMPANY.model_copy(update={"locale": locale})
    everything = _everything(company, locale, now or datetime.now(UTC))
    wanted = frozenset(everything) if subject is None else _WITH[subject]
    known = {name: record for name, record in everything.items() if name in wanted}
    return Facts.model_validate({"organization": company, **known}).with_links(links)


def _everything(company: Organization, locale: str, now: datetime) -> dict[str, object]:
    visit = (now + timedelta(days=2)).replace(hour=16, minute=0, second=0, microsecond=0)
    today = company.today(now)
    return {
        "client": Client(
            id=UUID(int=2),
            first_name="Maria",
            last_name="Lopez",
            company="Lopez Bakery",
            email="maria@example.com",
            phone="+13125550142",
            address="12 Oak Avenue, Chicago, IL 60611",
            tags=("vip", "maintenance plan"),
            locale=locale,
        ),
        "technician": Technician(
            id=UUID(int=3),
            first_name="Sam",
            last_name="Okafor",
            email="sam@bluebird.example",
            phone="+13125550177",
        ),
        "job": Job(
            id="J-2019",
            title="Kitchen faucet repair",
            description="The cold tap drips.",
            job_type="repair",
            status="scheduled",
            address="12 Oak Avenue, Chicago, IL 60611",
            schedule_start=visit,
            schedule_end=visit + timedelta(hours=2),
            total=Decimal("480.00"),
            tags=("warranty",),
            created_at=now - timedelta(days=3),
            completed_at=now,
        ),
        "estimate": Estimate(
            id=UUID(int=4),
            number="E-1031",
            title="New water heater",
            status="sent",
            total=Decimal("2150.00"),
            valid_until=today + timedelta(days=21),
        ),
        "invoice": Invoice(
            id=UUID(int=5),
            number="INV-2077",
            status="sent",
            total=Decimal("480.00"),
            amount_paid=Decimal("130.00"),
            due_date=today - timedelta(days=7),
            days_overdue=7,
        ),
        "payment": Payment(id=UUID(int=6), amount=Decimal("130.00"), method="card", paid_at=now),
        "task": Task(
            id=UUID(int=7),
            title="Call back about the quote",
            description="She would like to know about the guarantee.",
            status="open",
            due_at=now + timedelta(days=1),
        ),
        "sms": Sms(id=UUID(int=8), body="Yes please", from_number="+13125550142", received_at=now),
    }
