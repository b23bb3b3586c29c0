"""A run whose exit condition holds writes nothing more, and sends nothing it has written."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from temporalio.testing import ActivityEnvironment

from activities.rendering import RenderingActivities
from activities.writing import MessageWriter
from fixlify.domain.runs import (
    Ending,
    ExecutionStatus,
    MessageStatus,
    RenderedMessages,
    RenderRequest,
    SendReceipt,
)
from fixlify.storage.database import Database
from fixlify.storage.messages import ClaimedMessage
from tests.ledger_book import Book
from tests.office import Office
from tests.runs import add_execution

LEAVES = """
    name: Leaves
    trigger: {type: job_completed}
    exit_when: {any: [{field: job.status, operator: equals, value: cancelled}]}
    steps: [{id: text, type: send_sms, text: Thank you.}]
"""
REASON = "exit_when: job.status equals 'cancelled' (it is 'cancelled')"
OVER = Ending(status=ExecutionStatus.COMPLETED, reason=REASON)


@pytest.fixture
async def book(engine_database: Database, office: Office) -> Book:
    automation = (await office.apply(LEAVES)).automation
    return Book(
        engine_database,
        office,
        await add_execution(office, automation_id=automation.id, automation_version=1),
    )


async def _render(book: Book) -> RenderedMessages:
    (execution,) = await book.office.executions()
    rendered: RenderedMessages = await ActivityEnvironment().run(
        RenderingActivities(book.database, MessageWriter()).render_messages,
        RenderRequest(
            execution_id=book.execution_id,
            organization_id=book.office.organization_id,
            automation_id=execution["automation_id"],
            version=1,
            subject_id="J-2019",
            step_ids=("text",),
            now=datetime.now(UTC),
        ),
    )
    return rendered


async def _journal(book: Book) -> list[tuple[str, str, str]]:
    rows = await book.office.query("SELECT step_id, kind, detail FROM automation_decisions")
    return [(row["step_id"], row["kind"], row["detail"]) for row in rows]


async def test_nothing_is_written_for_a_run_that_is_over(book: Book) -> None:
    await book.office.write_status("J-2019", "cancelled")
    assert await _render(book) == RenderedMessages(ending=OVER)
    assert await _render(book) == RenderedMessages(ending=OVER)
    assert await book.office.messages() == []
    assert await _journal(book) == [("text", "exited", REASON)]


async def test_what_was_written_before_does_not_go(book: Book) -> None:
    """Also for whoever asks again, because the first answer was lost."""
    message = await book.enter()
    await book.office.write_status("J-2019", "cancelled")
    over = SendReceipt(status=MessageStatus.CANCELLED, reason=REASON, ending=OVER)
    assert await book.claim(message) == over
    await book.office.write_status("J-2019", "completed")
    assert await book.claim(message) == over
    assert await _journal(book) == [("text", "exited", REASON)]


async def test_what_does_not_hold_stops_nothing(book: Book) -> None:
    (rendered,) = (await _render(book)).messages
    assert rendered.status is MessageStatus.QUEUED
    assert isinstance(await book.claim(rendered.message_id), ClaimedMessage)
    assert await _journal(book) == []


async def test_a_later_version_does_not_decide_about_an_earlier_run(book: Book) -> None:
    await book.office.apply(LEAVES.replace("cancelled", "completed"))
    await book.office.write_status("J-2019", "completed")
    message = await book.enter()
    assert isinstance(await book.claim(message), ClaimedMessage)
