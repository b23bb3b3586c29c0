"""Facts are read for every kind of subject, and one bad row costs no other its own."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event

from fixlify.domain.events import SubjectType
from fixlify.domain.facts import Facts, Subject, Technician
from fixlify.storage.database import Database
from fixlify.storage.facts import load_facts, load_trigger_data
from tests.office import Office
from tests.runs import add_execution

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
TABLES = {
    SubjectType.CLIENT: "clients",
    SubjectType.ESTIMATE: "estimates",
    SubjectType.INVOICE: "invoices",
    SubjectType.PAYMENT: "payments",
    SubjectType.TASK: "tasks",
    SubjectType.SMS: "inbound_messages",
}


class Business:
    """An office, and what the engine knows about its records."""

    def __init__(self, office: Office, database: Database) -> None:
        self.office = office
        self.database = database

    async def add(self, type_: SubjectType, **columns: Any) -> Subject:
        """Insert a record of the office and return it as a subject."""
        row = await self.office.insert(
            TABLES[type_], **{"organization_id": self.office.organization_id} | columns
        )
        return self.subject(type_, str(row["id"]))

    async def add_staff(self, name: str) -> UUID:
        row = await self.office.insert(
            "profiles", organization_id=self.office.organization_id, first_name=name
        )
        id_: UUID = row["id"]
        return id_

    def subject(self, type_: SubjectType, id_: str) -> Subject:
        return Subject(self.office.organization_id, type_, id_)

    async def facts(self, *subjects: Subject, now: datetime | None = NOON) -> dict[Subject, Facts]:
        async with self.database.statement() as connection:
            return dict(await load_facts(connection, subjects, now))

    async def about(self, subject: Subject, now: datetime | None = NOON) -> Facts:
        return (await self.facts(subject, now=now))[subject]


@pytest.fixture
async def business(office: Office, engine_database: Database) -> Business:
    return Business(office, engine_database)


class TestRecords:
    """Each kind of subject comes with what it belongs to."""

    async def test_a_job(self, business: Business) -> None:
        done = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
        staff = await business.add_staff("Daniel")
        await business.office.add_job("J-1", technician_id=staff, completed_at=done)
        known = await business.about(business.subject(SubjectType.JOB, "J-1"))
        assert known.organization.name == "Northwind Heating"
        assert known.lookup("job.completed_at") == done
        assert known.lookup("client.name") == "Ada Byron"
        assert known.technician == Technician(id=staff, first_name="Daniel")
        assert (known.invoice, known.estimate, dict(known.event)) == (None, None, {})

    async def test_a_client(self, business: Business) -> None:
        client = await business.office.add_client(tags=["vip"])
        known = await business.about(business.subject(SubjectType.CLIENT, str(client)))
        assert known.lookup("client.tags") == ("vip",)
        assert (known.job, known.technician) == (None, None)

    async def test_an_estimate(self, business: Business) -> None:
        await business.office.add_job("J-1")
        subject = await business.add(
            SubjectType.ESTIMATE,
            job_id="J-1",
            number="E-31",
            title="New boiler",
            status="sent",
            total=900,
            valid_until=date(2026, 12, 31),
        )
        known = await business.about(subject)
        assert known.estimate is not None
        assert known.estimate.model_dump(exclude={"id"}) == {
            "number": "E-31",
            "title": "New boiler",
            "status": "sent",
            "total": Decimal(900),
            "valid_until": date(2026, 12, 31),
        }
        assert known.lookup("job.id") == "J-1"
        assert known.lookup("client.name") == "Ada Byron"

    async def test_an_invoice(self, business: Business) -> None:
        subject = await business.add(
            SubjectType.INVOICE,
            client_id=await business.office.add_client(),
            number="INV-77",
            status="sent",
            total=Decimal("250.50"),
            amount_paid=Decimal("50.50"),
            due_date=date(2026, 11, 14),
        )
        known = await business.about(subject)
        assert known.lookup("invoice.balance") == Decimal(200)
        assert known.lookup("invoice.days_overdue") == 7
        assert known.lookup("invoice.due_date") == date(2026, 11, 14)
        assert known.job is None

    async def test_a_payment_with_its_invoice_and_that_invoices_job(
        self, business: Business
    ) -> None:
        await business.office.add_job("J-1", technician_id=await business.add_staff("Daniel"))
        invoice = await business.add(SubjectType.INVOICE, job_id="J-1", number="INV-77", total=90)
        subject = await business.add(
            SubjectType.PAYMENT, invoice_id=invoice.id, amount=90, method="card", paid_at=NOON
        )
        known = await business.about(subject)
        assert known.payment is not None
        assert known.payment.model_dump(exclude={"id"}) == {
            "amount": Decimal(90),
            "method": "card",
            "paid_at": NOON,
        }
        assert known.lookup("invoice.number") == "INV-77"
        assert known.lookup("job.id") == "J-1"
        assert known.lookup("client.name") == "Ada Byron"
        assert known.lookup("technician.name") == "Daniel"

    async def test_a_task(self, business: Business) -> None:
        subject = await business.add(
            SubjectType.TASK, title="Call back", description="Today", status="open", due_at=NOON
        )
        known = await business.about(subject)
        assert known.task is not None
        assert known.task.model_dump(exclude={"id"}) == {
            "title": "Call back",
            "description": "Today",
            "status": "open",
            "due_at": NOON,
        }
        assert (known.client, known.technician, known.job) == (None, None, None)

    async def test_a_text_message_that_came_in(self, business: Business) -> None:
        client = await business.office.add_client()
        subject = await business.add(
            SubjectType.SMS, client_id=client, body="Yes", from_number="+1", received_at=NOON
        )
        known = await business.about(subject)
        assert known.sms is not None
        assert known.sms.model_dump(exclude={"id"}) == {
            "body": "Yes",
            "from_number": "+1",
            "received_at": NOON,
        }
        assert known.lookup("client.id") == client

    async def test_the_organization_itself(self, business: Business) -> None:
        id_ = str(business.office.organization_id)
        known = await business.about(business.subject(SubjectType.ORGANIZATION, id_))
        assert known.organization.id == business.office.organization_id
        assert known.client is None


class TestWhomItConcerns:
    """Whoever is written to when rendering is who is looked for right before sending."""

    async def test_both_answers_are_the_same(self, business: Business) -> None:
        own, of_invoice, of_job = [await business.office.add_client() for _ in range(3)]
        assignee, technician = [await business.add_staff(name) for name in ("Eve", "Daniel")]
        await business.office.add_job("J-1", client_id=of_job, technician_id=technician)
        await business.office.add_job("J-2", client_id=None)
        people: list[dict[str, Any]] = [{}, {"client_id": own}]
        jobs: list[dict[str, Any]] = [{}, {"job_id": "J-1"}, {"job_id": "J-2"}]

        subjects = [business.subject(SubjectType.JOB, job) for job in ("J-1", "J-2")]
        subjects.append(business.subject(SubjectType.CLIENT, str(own)))
        subjects.append(
            business.subject(SubjectType.ORGANIZATION, str(business.office.organization_id))
        )
        for person in people:
            subjects.append(await business.add(SubjectType.SMS, **person))
            for job in jobs:
                subjects.append(await business.add(SubjectType.ESTIMATE, **person, **job))
                for assigned in ({}, {"assignee_id": assignee}):
                    task = await business.add(SubjectType.TASK, **person, **job, **assigned)
                    subjects.append(task)
                for billed in ({}, {"client_id": of_invoice}):
                    invoice = await business.add(SubjectType.INVOICE, **billed, **job)
                    subjects.append(invoice)
                    subjects.append(
                        await business.add(SubjectType.PAYMENT, invoice_id=invoice.id, **person)
                    )

        known = await business.facts(*subjects)
        assert set(known) == set(subjects)
        answers = set()
        for subject, facts in known.items():
            (people_of,) = await business.office.query(
                "SELECT * FROM fixlify_people_of(%s, %s, %s)", *subject
            )
            found = (facts.lookup("client.id"), facts.lookup("technician.id"))
            assert found == (people_of["client_id"], people_of["technician_id"]), subject
            answers.add(found)
        assert {client for client, _ in answers} == {None, own, of_invoice, of_job}
        assert {staff for _, staff in answers} == {None, assignee, technician}

    @pytest.mark.parametrize("type_", sorted(SubjectType))
    async def test_what_is_gone_is_missing_from_both(
        self, business: Business, type_: SubjectType
    ) -> None:
        gone = Subject(uuid4(), type_, str(uuid4()))
        assert await business.facts(gone) == {}
        assert (
            await business.office.query("SELECT * FROM fixlify_people_of(%s, %s, %s)", *gone) == []
        )

    @pytest.mark.parametrize("type_", sorted(SubjectType))
    async def test_nothing_of_another_company(
        self, business: Business, database_url: str, type_: SubjectType
    ) -> None:
        async with await Office.open(database_url, "Harbor Plumbing") as other:
            theirs = Business(other, business.database)
            await other.add_job("J-1")
            if type_ is SubjectType.JOB:
                subject = theirs.subject(type_, "J-1")
            elif type_ is SubjectType.ORGANIZATION:
                subject = theirs.subject(type_, str(other.organization_id))
            else:
                subject = await theirs.add(type_)
            asked = Subject(business.office.organization_id, type_, subject.id)
            known = await business.facts(subject, asked)
            assert known[subject].organization.name == "Harbor Plumbing"
            if type_ is not SubjectType.ORGANIZATION:
                assert asked not in known

    async def test_a_view_that_mixes_companies_lends_nobody_elses_people(
        self, business: Business, database_url: str
    ) -> None:
        """The reference schema refuses such rows; a company's own views may not."""
        async with await Office.open(database_url, "Harbor Plumbing") as other:
            client = await other.add_client()
            await other.add_job("J-9", client_id=client)
            await business.office.query("SET session_replication_role = replica")
            subjects = [
                await business.add(SubjectType.ESTIMATE, client_id=client, job_id="J-9"),
                await business.add(SubjectType.INVOICE, client_id=client, job_id="J-9"),
                await business.add(SubjectType.PAYMENT, client_id=client),
                await business.add(SubjectType.TASK, client_id=client, job_id="J-9"),
                await business.add(SubjectType.SMS, client_id=client),
            ]
            for known in (await business.facts(*subjects)).values():
                assert (known.client, known.job) == (None, None)


class TestUnreadable:
    """What Python cannot hold is empty; what cannot be an id is gone."""

    async def test_ids_that_are_none(self, business: Business) -> None:
        good = await business.add(SubjectType.INVOICE, number="INV-1")
        bad = ["", "INV-1", "7", f"urn:uuid:{good.id}", f"{{{good.id}}}", good.id.replace("-", "")]
        asked = [business.subject(SubjectType.INVOICE, id_) for id_ in bad]
        assert set(await business.facts(*asked, good)) == {good}

    async def test_an_id_in_capitals_is_the_same_row(self, business: Business) -> None:
        good = await business.add(SubjectType.INVOICE, number="INV-1")
        shouted = business.subject(SubjectType.INVOICE, good.id.upper())
        known = await business.facts(shouted, good)
        assert known[shouted] == known[good]

    @pytest.mark.parametrize("day", ["infinity", "-infinity", "0044-03-15 BC", "12000-01-01"])
    async def test_days_and_moments(self, business: Business, day: str) -> None:
        columns = {
            SubjectType.INVOICE: "due_date",
            SubjectType.ESTIMATE: "valid_until",
            SubjectType.TASK: "due_at",
            SubjectType.PAYMENT: "paid_at",
            SubjectType.SMS: "received_at",
        }
        unreadable = [await business.add(type_) for type_ in columns]
        await business.office.add_job("J-1")
        for type_, column in columns.items():
            await business.office.query(f"UPDATE {TABLES[type_]} SET {column} = %s", day)
        await business.office.query(
            "UPDATE jobs SET (completed_at, schedule_start, created_at) = (d, d, d)"
            " FROM CAST(%s AS timestamptz) AS d",
            day,
        )
        good = await business.add(SubjectType.INVOICE, due_date=date(2026, 11, 14))
        job = business.subject(SubjectType.JOB, "J-1")
        known = await business.facts(*unreadable, good, job)
        for subject in unreadable:
            assert known[subject].lookup(f"{subject.type}.{columns[subject.type]}") is None
        assert known[unreadable[0]].lookup("invoice.days_overdue") is None
        assert known[good].lookup("invoice.days_overdue") == 7
        for field in ("completed_at", "schedule_start", "created_at"):
            assert known[job].lookup(f"job.{field}") is None

    async def test_amounts(self, business: Business) -> None:
        unknown = await business.add(SubjectType.INVOICE, total="NaN")
        unclear = await business.add(SubjectType.INVOICE, total=10, amount_paid="NaN")
        payment = await business.add(SubjectType.PAYMENT, amount="NaN")
        known = await business.facts(unknown, unclear, payment)
        assert known[unknown].lookup("invoice.total") is None
        assert known[unclear].lookup("invoice.amount_paid") is None
        assert known[unclear].lookup("invoice.balance") is None
        assert known[payment].lookup("payment.amount") is None

    async def test_a_view_that_is_silent_about_what_was_paid(self, business: Business) -> None:
        await business.office.query("ALTER TABLE invoices ALTER amount_paid DROP NOT NULL")
        subject = await business.add(SubjectType.INVOICE, total=10, amount_paid=None)
        assert (await business.about(subject)).lookup("invoice.balance") == Decimal(10)

    async def test_tags(self, business: Business) -> None:
        client = await business.office.add_client(tags=[["a", None], ["b", "c"]])
        known = await business.about(business.subject(SubjectType.CLIENT, str(client)))
        assert known.lookup("client.tags") == ("a", "b", "c")


class TestOverdue:
    """Overdue is what the calendar on the company's own wall says."""

    @pytest.mark.parametrize(
        ("zone", "days"),
        [("America/New_York", None), ("UTC", 1), ("Asia/Tokyo", 1), ("Mars/Base", 1)],
    )
    async def test_the_day_begins_at_the_companys_midnight(
        self, business: Business, zone: str, days: int | None
    ) -> None:
        await business.office.query("UPDATE organizations SET time_zone = %s", zone)
        subject = await business.add(SubjectType.INVOICE, due_date=date(2026, 11, 20))
        three_in_utc = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
        known = await business.about(subject, now=three_in_utc)
        assert known.lookup("invoice.days_overdue") == days

    async def test_now_is_now_unless_said(self, business: Business) -> None:
        subject = await business.add(SubjectType.INVOICE, due_date=date(2000, 1, 1))
        known = await business.about(subject, now=None)
        assert known.lookup("invoice.days_overdue") > 9_000


async def test_each_kind_of_subject_costs_one_statement(business: Business) -> None:
    subjects = [await business.add(SubjectType.INVOICE) for _ in range(5)]
    subjects += [await business.add(SubjectType.TASK) for _ in range(5)]
    statements: list[str] = []
    async with business.database.statement() as connection:
        event.listen(
            connection.sync_connection,
            "before_cursor_execute",
            lambda _connection, _cursor, statement, *_: statements.append(statement),
        )
        assert len(await load_facts(connection, subjects * 2)) == 10
        assert len(statements) == 2
        assert await load_facts(connection, []) == {}
        assert len(statements) == 2


async def test_what_set_an_execution_off_is_kept_with_it(
    office: Office, engine_database: Database
) -> None:
    execution = await add_execution(office, trigger_data='{"after": "paid", "event_id": 7}')
    async with engine_database.statement() as connection:
        data = await load_trigger_data(connection, execution, office.organization_id)
        assert data == {"after": "paid", "event_id": 7}
        assert await load_trigger_data(connection, execution, uuid4()) == {}
