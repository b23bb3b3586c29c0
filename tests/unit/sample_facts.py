"""One company, one client, one job and one technician, to write about."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from fixlify.domain.facts import Client, Facts, Job, Organization, Technician

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


def facts(
    *,
    organization: dict[str, Any] | None = None,
    client: dict[str, Any] | None = None,
    job: dict[str, Any] | None = None,
    technician: Technician | None = TECHNICIAN,
) -> Facts:
    """Return the sample with some fields changed."""
    return Facts(
        organization=ORGANIZATION.model_copy(update=organization or {}),
        client=CLIENT.model_copy(update=client or {}),
        job=JOB.model_copy(update=job or {}),
        technician=technician,
    )
