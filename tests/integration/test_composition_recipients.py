"""Messages go to whom the step names, to nobody else; who is missing is a failure with a remedy."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

import pytest
from temporalio.testing import ActivityEnvironment

from activities.rendering import RenderingActivities
from activities.writing import MessageWriter
from fixlify.domain.errors import DefinitionError
from fixlify.domain.runs import RenderedMessage, RenderRequest
from fixlify.storage.database import Database
from tests.office import Office
from tests.runs import add_execution

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Desk:
    """Renders one step of one execution, as often as it is asked to."""

    def __init__(self, office: Office, database: Database) -> None:
        self.office = office
        self.database = database
        self.request: RenderRequest

    async def begin(self, step: dict[str, Any], **trigger_data: Any) -> None:
        """Begin a run about the job J-2019 with this one step."""
        definition = {
            "name": "Note",
            "trigger": {"type": "job_completed"},
            "message_class": "marketing",
            "steps": [{"id": "note"} | step],
        }
        automation = (await self.office.apply(json.dumps(definition))).automation
        execution = await add_execution(
            self.office,
            automation_id=automation.id,
            automation_version=automation.version,
            trigger_data=json.dumps(trigger_data),
        )
        self.request = RenderRequest(
            execution_id=execution,
            organization_id=self.office.organization_id,
            automation_id=automation.id,
            version=automation.version,
            subject_id="J-2019",
            step_ids=("note",),
            now=NOON,
        )

    async def render(self, **asked: Any) -> RenderedMessage:
        rendered = await ActivityEnvironment().run(
            RenderingActivities(self.database, MessageWriter()).render_messages,
            self.request.model_copy(update=asked),
        )
        (message,) = rendered.messages
        assert isinstance(message, RenderedMessage)
        return message

    async def row(self) -> dict[str, Any]:
        (row,) = await self.office.messages()
        return row

    async def write(self, to: Any, kind: str = "send_sms", **trigger_data: Any) -> dict[str, Any]:
        """Render one step to that recipient; return its row of the ledger."""
        step = {"type": kind, "to": to, "text": "Hello"}
        if kind == "send_email":
            step["subject"] = "Hello"
        await self.begin(step, **trigger_data)
        await self.render()
        return await self.row()


@pytest.fixture
async def desk(office: Office, engine_database: Database) -> Desk:
    await office.add_job()
    return Desk(office, engine_database)


async def _add_profile(desk: Desk, role: str, phone: str, age: int) -> UUID:
    row = await desk.office.insert(
        "profiles",
        organization_id=desk.office.organization_id,
        role=role,
        phone=phone,
        email=f"{age}@example.com",
        created_at=NOON - timedelta(days=age),
    )
    found: UUID = row["id"]
    return found


async def test_the_owner_is_the_oldest_profile_of_that_role(desk: Desk) -> None:
    await _add_profile(desk, "technician", "+13125550101", 900)
    owner = await _add_profile(desk, " OWNER ", "+13125550102", 800)
    await _add_profile(desk, "owner", "+13125550103", 700)
    row = await desk.write("owner")
    assert (row["status"], row["recipient_kind"]) == ("queued", "owner")
    assert (row["recipient_id"], row["recipient"]) == (owner, "+13125550102")


async def test_a_company_without_an_owner_is_told_so(desk: Desk) -> None:
    row = await desk.write("owner")
    assert (row["status"], row["reason"]) == (
        "failed",
        "the company has no owner; give a profile the role 'owner', or choose another recipient",
    )


async def test_an_address_out_of_what_happened(desk: Desk) -> None:
    row = await desk.write({"field": "event.contact"}, contact="(312) 555-0144")
    assert (row["status"], row["recipient_kind"], row["recipient_id"]) == ("queued", "field", None)
    assert row["recipient"] == "+13125550144"


async def test_an_address_of_the_client_is_the_client(desk: Desk) -> None:
    """The same consent, and the same hours."""
    row = await desk.write({"field": "client.email"}, "send_email")
    assert (row["recipient_kind"], row["recipient"]) == ("client", "ada@example.com")
    assert row["recipient_id"] == desk.office.newest_client_id


async def test_an_address_of_a_client_who_opted_out(desk: Desk) -> None:
    await desk.office.query("UPDATE clients SET email_opted_out = true")
    row = await desk.write({"field": "client.email"}, "send_email")
    assert (row["status"], row["reason"]) == ("suppressed", "the client opted out of email")


@pytest.mark.parametrize("contact", [None, " "])
async def test_a_field_that_is_empty_is_a_failure(desk: Desk, contact: str | None) -> None:
    row = await desk.write({"field": "event.contact"}, contact=contact)
    assert (row["status"], row["recipient"], row["reason"]) == (
        "failed",
        None,
        "'event.contact' is empty; fill it in, or choose another recipient",
    )


async def test_a_field_that_holds_no_address_says_where_it_stands(desk: Desk) -> None:
    row = await desk.write({"field": "event.contact"}, contact="at the door")
    assert (row["status"], row["reason"]) == (
        "failed",
        "the phone number is not valid; correct it at 'event.contact'",
    )


async def test_a_fixed_address(desk: Desk) -> None:
    row = await desk.write({"address": "Office@Example.com"}, "send_email")
    assert (row["status"], row["recipient_kind"]) == ("queued", "address")
    assert row["recipient"].lower() == "office@example.com"


@pytest.mark.parametrize(
    ("kind", "address", "says"),
    [
        ("send_sms", "office@example.com", "write a phone number, or send_email"),
        ("send_email", "+13125550144", "write an email address, or send_sms"),
    ],
)
async def test_an_address_of_another_channel_is_refused_with_its_place(
    desk: Desk, kind: str, address: str, says: str
) -> None:
    with pytest.raises(DefinitionError, match=says) as caught:
        await desk.write({"address": address}, kind)
    assert caught.value.problems[0].path.startswith("steps[0].to")


class TestWritingAnew:
    """What is held is written from the facts of the day it goes out; the rest stands."""

    STEP: ClassVar = {"type": "send_sms", "text": "Visit of {{ job.title }}", "good_for": "2h"}

    async def hold(self, desk: Desk) -> None:
        await desk.office.query(
            "UPDATE messages SET status = 'held', reason = 'held until noon', held_until = %s", NOON
        )

    async def test_it_says_what_is_true_now(self, desk: Desk) -> None:
        await desk.begin(self.STEP)
        first = await desk.render(good_until=NOON + timedelta(days=9))
        await self.hold(desk)
        await desk.office.query("UPDATE jobs SET title = 'Tap repair'")
        await desk.office.query("UPDATE clients SET phone = '+13125550155'")
        later = NOON + timedelta(hours=1)
        for _ in range(2):
            again = await desk.render(now=later, good_until=NOON + timedelta(days=9))
            assert (again.message_id, again.status) == (first.message_id, "held")
            row = await desk.row()
            assert (row["body_text"], row["recipient"]) == ("Visit of Tap repair", "+13125550155")
            assert (row["reason"], row["held_until"]) == ("held until noon", NOON)
            # It is not good for longer because it was written again.
            assert (row["created_at"], row["good_until"]) == (NOON, NOON + timedelta(hours=2))

    async def test_it_may_be_impossible_now(self, desk: Desk) -> None:
        await desk.begin(self.STEP)
        await desk.render()
        await self.hold(desk)
        await desk.office.query("UPDATE clients SET phone = NULL")
        again = await desk.render()
        row = await desk.row()
        assert (again.status, row["status"], row["held_until"]) == ("failed", "failed", None)
        assert row["reason"] == "there is no phone number; add one to the person"

    async def test_what_it_hangs_on_may_come_sooner(self, desk: Desk) -> None:
        await desk.begin(self.STEP)
        await desk.render()
        await self.hold(desk)
        await desk.render(good_until=NOON + timedelta(minutes=30))
        assert (await desk.row())["good_until"] == NOON + timedelta(minutes=30)

    @pytest.mark.parametrize("status", ["queued", "sending", "sent", "unknown", "cancelled"])
    async def test_what_is_not_held_stands(self, desk: Desk, status: str) -> None:
        await desk.begin(self.STEP)
        await desk.render()
        await desk.office.query(
            "UPDATE messages SET status = 'sending' WHERE %s = 'unknown'", status
        )
        await desk.office.query("UPDATE messages SET status = %s", status)
        before = await desk.row()
        await desk.office.query("UPDATE jobs SET title = 'Tap repair'")
        assert (await desk.render()).status == status
        assert await desk.row() == before


async def test_a_message_has_the_class_of_its_step_or_its_automation(desk: Desk) -> None:
    await desk.begin({"type": "send_sms", "text": "Hello"})
    await desk.render()
    assert (await desk.row())["message_class"] == "marketing"
    await desk.office.query("DELETE FROM messages")
    await desk.begin({"type": "send_sms", "text": "Hello", "message_class": "urgent"})
    await desk.render()
    assert (await desk.row())["message_class"] == "urgent"
