"""Marketing email says how to get no more of it, and other email does not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from temporalio.testing import ActivityEnvironment

from activities.email import EmailActivities
from activities.rendering import RenderingActivities
from activities.writing import MessageWriter
from devstack.captured_email import CapturedEmail
from devstack.mail import MailCatcher
from fixlify.channels.email import SmtpChannel, SmtpServer
from fixlify.domain.events import SubjectType
from fixlify.domain.runs import MessageStatus, RenderRequest, SendRequest
from fixlify.domain.unsubscribing import UnsubscribeLinks
from fixlify.storage.database import Database
from tests.engine import SENDER
from tests.mailed import PUBLIC, SECRET
from tests.office import Office
from tests.runs import add_execution

LINKS = UnsubscribeLinks(PUBLIC, SECRET)
AUTOMATION = """
    name: Offers
    trigger: {type: job_completed}
    message_class: %s
    steps: [{id: mail, type: send_email, subject: Offers, text: "Come back, {{ client_name }}."}]
"""


class Desk:
    """Renders and sends one email of a company, to a real mail server."""

    def __init__(
        self, office: Office, database: Database, channel: SmtpChannel, catcher: MailCatcher
    ) -> None:
        self.office = office
        self._database = database
        self._channel = channel
        self._catcher = catcher

    async def begin(self, message_class: str = "marketing") -> RenderRequest:
        automation = (await self.office.apply(AUTOMATION % message_class)).automation
        execution = await add_execution(
            self.office, automation_id=automation.id, automation_version=automation.version
        )
        return RenderRequest(
            execution_id=execution,
            organization_id=self.office.organization_id,
            automation_id=automation.id,
            version=automation.version,
            subject_type=SubjectType.JOB,
            subject_id="J-2019",
            step_ids=("mail",),
        )

    async def write(self, request: RenderRequest, links: UnsubscribeLinks) -> dict[str, Any]:
        """Render the email, and return its row of the ledger."""
        activities = RenderingActivities(self._database, MessageWriter(links))
        await ActivityEnvironment().run(activities.render_messages, request)
        (row,) = await self.office.query(
            "SELECT * FROM messages WHERE execution_id = %s", request.execution_id
        )
        return row

    async def send(self, message_id: UUID, links: UnsubscribeLinks | None) -> CapturedEmail:
        activities = EmailActivities(self._database, self._channel, SENDER, unsubscribe=links)
        request = SendRequest(message_id=message_id, organization_id=self.office.organization_id)
        receipt = await ActivityEnvironment().run(activities.send_email, request)
        assert receipt.status is MessageStatus.SENT, receipt
        (mail,) = self._catcher.messages
        return mail


@pytest.fixture
async def desk(office: Office, engine_database: Database, mail: MailCatcher) -> AsyncIterator[Desk]:
    channel = SmtpChannel(SmtpServer.from_url(mail.url))
    yield Desk(office, engine_database, channel, mail)
    await channel.aclose()


async def test_the_link_in_the_text_and_in_the_header_is_that_of_the_ledgers_message(
    desk: Desk,
) -> None:
    row = await desk.write(await desk.begin(), LINKS)
    link = LINKS.url_for(row["id"])
    assert link is not None
    assert row["body_text"].splitlines()[-1] == f"To stop these emails: {link}"
    mail = await desk.send(row["id"], LINKS)
    assert mail.headers["List-Unsubscribe"] == f"<{link}>"
    assert mail.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert link in mail.text


async def test_a_held_message_that_is_written_anew_keeps_its_link(desk: Desk) -> None:
    request = await desk.begin()
    first = await desk.write(request, LINKS)
    await desk.office.query("UPDATE messages SET status = 'held', reason = 'the night'")
    await desk.office.query("UPDATE clients SET first_name = 'Grace'")
    second = await desk.write(request, LINKS)
    assert second["id"] == first["id"]
    assert second["status"] == "held"
    assert "Grace" in second["body_text"]
    assert str(LINKS.url_for(first["id"])) in second["body_text"]


async def test_other_email_has_no_such_link(desk: Desk) -> None:
    row = await desk.write(await desk.begin("transactional"), LINKS)
    assert PUBLIC not in row["body_text"]
    mail = await desk.send(row["id"], LINKS)
    assert "List-Unsubscribe" not in mail.headers


@pytest.mark.parametrize("links", [UnsubscribeLinks(), UnsubscribeLinks(PUBLIC, None)])
async def test_where_links_cannot_be_made_the_company_is_written_to(
    desk: Desk, links: UnsubscribeLinks
) -> None:
    row = await desk.write(await desk.begin(), links)
    assert row["body_text"].splitlines()[-1] == (
        'To stop these emails, answer with the word "unsubscribe", or write it to '
        "office@example.com"
    )
    mail = await desk.send(row["id"], links)
    assert mail.headers["List-Unsubscribe"] == "<mailto:office@example.com?subject=unsubscribe>"
    assert "List-Unsubscribe-Post" not in mail.headers


async def test_marketing_that_nobody_can_get_out_of_is_not_sent(desk: Desk) -> None:
    for email in (None, "", "nobody", "two @words"):
        await desk.office.query("UPDATE organizations SET email = %s", email)
        row = await desk.write(await desk.begin(), UnsubscribeLinks())
        assert row["status"] == "failed"
        assert "FIXLIFY_PUBLIC_URL and FIXLIFY_LINK_SECRET" in row["reason"]
    row = await desk.write(await desk.begin("transactional"), UnsubscribeLinks())
    assert row["status"] == "queued"
