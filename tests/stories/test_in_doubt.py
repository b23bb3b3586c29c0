"""Whatever a provider does to an answer, a message goes out once, and the ledger knows (P4)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from temporalio.client import Client

from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from devstack.sms_fates import Refusal
from fixlify.domain.delivery import InDoubt
from fixlify.domain.rules import MessageClass
from tests.engine import IN_DOUBT, Engine, eventually, running_engine
from tests.office import Office

TEXT = """
name: Text
trigger: {type: job_completed}
steps: [{id: text, type: send_sms, text: "Done."}]
"""
MAIL = """
name: Mail
trigger: {type: job_completed}
steps: [{id: mail, type: send_email, subject: "Done", text: "Thank you!"}]
"""
LANDLINE = """
name: Landline
trigger: {type: job_completed}
steps:
  - {id: text, type: send_sms, template: job-completed, if_landline: email}
"""
# Shorter than it takes the slow one to answer.
IMPATIENT = timedelta(milliseconds=500)


async def complete(office: Office, job_id: str = "J-2019", **client: str) -> None:
    """Complete a job of a client of such addresses."""
    job = await office.add_job(job_id, client_id=await office.add_client(**client))
    await office.write_status(job, "completed")


async def changes(office: Office) -> list[str]:
    """Return what the messages became, one after another."""
    rows = await office.query("SELECT to_status FROM message_transitions ORDER BY id")
    return [row["to_status"] for row in rows]


@pytest.mark.parametrize(
    ("number", "became"),
    [
        ("+15005550021", ["sending", "unknown", "sent"]),
        ("+15005550023", ["sending", "unknown", "sent"]),
        ("+15005550024", ["sending", "unknown", "sent"]),
        ("+15005550025", ["sending", "unknown", "sent"]),
        ("+15005554291", ["sending", "queued", "sending", "sent"]),
        ("+15005555031", ["sending", "queued", "sending", "sent"]),
    ],
    ids=["never answers", "hangs up", "answers too late", "lists it late", "429 once", "503 once"],
)
async def test_a_text_arrives_once(
    office: Office,
    temporal_client: Client,
    mail: MailCatcher,
    phone: SmsCatcher,
    number: str,
    became: list[str],
) -> None:
    phone.listing_delay = timedelta(seconds=1)
    await office.apply(TEXT)
    async with running_engine(
        office, temporal_client, mail, phone, answer_patience=IMPATIENT
    ) as engine:
        await complete(office, phone=number)
        (execution,) = await engine.settled()

    assert [text.to for text in phone.messages] == [number]
    assert await changes(office) == became
    assert execution["status"] == "completed"
    (message,) = await office.messages()
    assert message["provider_id"] == phone.messages[0].sid


async def test_a_text_that_was_lost_on_the_way_is_sent_when_that_is_certain(
    office: Office, temporal_client: Client, mail: MailCatcher, phone: SmsCatcher
) -> None:
    """The connection is cut before Twilio has it: the list never shows it."""
    await office.apply(TEXT)
    async with running_engine(office, temporal_client, mail, phone) as engine:
        await complete(office, phone="+15005550022")
        await engine.relay_everything()

        async def is_tried_again() -> bool:
            return (await changes(office))[:4] == ["sending", "unknown", "queued", "sending"]

        await eventually(is_tried_again)
        assert not phone.messages
        (execution,) = await office.executions()
        await engine.handle(execution["id"]).terminate()


async def test_two_texts_with_the_same_words_are_told_apart(
    office: Office, temporal_client: Client, mail: MailCatcher, phone: SmsCatcher
) -> None:
    """Both in doubt at once: each finds one of the two in the list."""
    await office.apply(TEXT)
    async with running_engine(office, temporal_client, mail, phone) as engine:
        client = await office.add_client(phone="+15005550023")
        for job in ("J-1", "J-2"):
            await office.write_status(await office.add_job(job, client_id=client), "completed")
        executions = await engine.settled()

    assert len(phone.messages) == 2
    assert {execution["status"] for execution in executions} == {"completed"}
    found = {message["provider_id"] for message in await office.messages()}
    assert found == {text.sid for text in phone.messages}


async def test_an_outage_of_a_while_costs_nothing_but_time(
    office: Office, temporal_client: Client, mail: MailCatcher, phone: SmsCatcher
) -> None:
    phone.outage = Refusal(500, 20500, "An internal server error has occurred")
    mail.outage = 451
    await office.apply(TEXT)
    await office.apply(MAIL)
    async with running_engine(office, temporal_client, mail, phone) as engine:
        await complete(office)
        await engine.relay_everything()

        async def both_refused() -> bool:
            return [m["attempts"] > 1 for m in await office.messages()] == [True, True]

        await eventually(both_refused)
        phone.outage = mail.outage = None
        executions = await engine.settled()

    assert (len(mail.messages), len(phone.messages)) == (1, 1)
    assert {execution["status"] for execution in executions} == {"completed"}


async def test_mail_in_doubt_is_sent_again_once_under_the_same_id(
    office: Office, temporal_client: Client, mail: MailCatcher, phone: SmsCatcher
) -> None:
    """The documented case: the server has it, and hangs up every time."""
    await office.apply(MAIL)
    async with running_engine(office, temporal_client, mail, phone) as engine:
        await complete(office, email="drop-after-data@example.com")
        (execution,) = await engine.settled()

    first, second = (email.headers["Message-ID"] for email in mail.messages)
    assert first == second
    assert (await changes(office))[-1] == "unknown"
    assert execution["status"] == "failed"


async def test_mail_of_a_class_that_goes_at_most_once_stays_unknown(
    office: Office, temporal_client: Client, mail: MailCatcher, phone: SmsCatcher
) -> None:
    at_most_once = InDoubt(
        send_again_after=IN_DOUBT.send_again_after,
        at_most_once=frozenset({MessageClass.TRANSACTIONAL}),
    )
    await office.apply(MAIL)
    async with running_engine(
        office, temporal_client, mail, phone, in_doubt=at_most_once
    ) as engine:
        await complete(office, email="drop-after-data@example.com")
        (execution,) = await engine.settled()

    assert len(mail.messages) == 1
    assert await changes(office) == ["sending", "unknown"]
    assert execution["status"] == "failed"


async def test_a_landline_is_written_to_by_email_where_the_automation_says_so(
    office: Office, engine: Engine, mail: MailCatcher, phone: SmsCatcher
) -> None:
    await office.apply(LANDLINE)
    await complete(office, phone="+15005550009", email="ada@example.com")
    (execution,) = await engine.settled()

    assert [email.recipients for email in mail.messages] == [("ada@example.com",)]
    assert execution["status"] == "completed"
    steps = await office.query("SELECT step_id, status FROM automation_step_logs ORDER BY step_id")
    assert [tuple(step.values()) for step in steps] == [
        ("text", "skipped"),
        ("text.email", "completed"),
    ]


async def test_a_no_that_the_provider_knew_of_counts_from_then_on(
    office: Office, engine: Engine, phone: SmsCatcher
) -> None:
    """Error 21610: the number is suppressed, and the next message is not even tried."""
    await office.apply(TEXT)
    for job in ("J-1", "J-2"):
        await complete(office, job, phone="+15005550004")
        await engine.settled()

    messages = await office.messages()
    assert {m["status"] for m in messages} == {"suppressed"}
    assert sorted(m["attempts"] for m in messages) == [0, 1]
    assert not phone.messages
    assert {e["status"] for e in await office.executions()} == {"skipped"}
    (record,) = await office.query("SELECT wants, source FROM consent_records")
    assert record["wants"] is False
