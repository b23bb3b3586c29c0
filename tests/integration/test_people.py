"""Whom a subject concerns is asked of the database, whatever the subject is."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from tests.office import Office


async def people(office: Office, subject_type: str, subject_id: object) -> list[tuple[Any, Any]]:
    rows = await office.query(
        "SELECT * FROM fixlify_people_of(%s, %s, %s)",
        office.organization_id,
        subject_type,
        str(subject_id),
    )
    return [(row["client_id"], row["technician_id"]) for row in rows]


@pytest.fixture
async def technician(office: Office) -> UUID:
    row = await office.insert(
        "profiles", organization_id=office.organization_id, first_name="Sam", phone="+12125550177"
    )
    technician_id: UUID = row["id"]
    return technician_id


async def test_each_subject_has_its_own_people(office: Office, technician: UUID) -> None:
    client = await office.add_client()
    job = await office.add_job(client_id=client, technician_id=technician)
    invoice = await office.add_invoice(client_id=None, job_id=job)
    assert await people(office, "job", job) == [(client, technician)]
    assert await people(office, "client", client) == [(client, None)]
    assert await people(office, "invoice", invoice) == [(client, technician)]
    for subject, row_id in (
        ("estimate", await office.add_estimate(client_id=None, job_id=job)),
        ("payment", await office.add_payment(client_id=None, invoice_id=invoice)),
        ("task", await office.add_task(client_id=None, job_id=job)),
    ):
        assert await people(office, subject, row_id) == [(client, technician)], subject
    text = await office.add_inbound_message(client_id=client)
    assert await people(office, "sms", text) == [(client, None)]
    assert await people(office, "organization", office.organization_id) == [(None, None)]


async def test_a_task_goes_to_whom_it_is_assigned(office: Office, technician: UUID) -> None:
    job = await office.add_job(technician_id=None)
    task = await office.add_task(job_id=job, assignee_id=technician)
    assert await people(office, "task", task) == [(office.newest_client_id, technician)]


@pytest.mark.parametrize(
    "subject", ["job", "client", "estimate", "invoice", "payment", "task", "sms"]
)
@pytest.mark.parametrize("subject_id", [str(UUID(int=7)), "J-2019", "", "'", "x" * 10_000])
async def test_a_subject_that_is_not_there_is_no_row_and_no_error(
    office: Office, subject: str, subject_id: str
) -> None:
    """A text cast to a uuid once stopped everything beside it."""
    assert await people(office, subject, subject_id) == []


async def test_another_companys_subject_is_not_there(office: Office) -> None:
    async with await Office.open(office.url, "Harbor Plumbing") as other:
        client = await other.add_client()
        assert await people(office, "client", client) == []
        assert await people(other, "client", client) == [(client, None)]
