"""One business write becomes an email and a text message, once, and says what happened."""

from __future__ import annotations

import pytest

from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from tests.engine import Engine
from tests.office import Office

THANKS = """
name: Thanks
trigger: {type: job_completed}
steps:
  - {id: mail, type: send_email, subject: "Done: {{ job.title }}",
     text: "Thank you, {{ client.first_name }}!", html: "<p>Thanks, {{ client.first_name }}!</p>"}
  - {id: text, type: send_sms, text: "{{ job.title }} is done."}
"""


async def test_a_completed_job_becomes_one_email_and_one_text(
    office: Office, engine: Engine, mail: MailCatcher, phone: SmsCatcher
) -> None:
    await office.apply(THANKS)
    job = await office.add_job()

    await office.write_status(job, "completed")
    (execution,) = await engine.settled()

    (email,) = mail.messages
    assert email.recipients == ("ada@example.com",)
    assert email.subject == "Done: Boiler repair"
    assert email.text.strip() == "Thank you, Ada!"
    assert email.headers["Reply-To"] == "office@example.com"
    (text,) = phone.messages
    assert (text.to, text.body) == ("+12125550123", "Boiler repair is done.")
    assert execution["status"] == "completed"
    assert {m["status"] for m in await office.messages()} == {"sent"}
    steps = await office.query("SELECT step_id, status FROM automation_step_logs ORDER BY position")
    assert [(s["step_id"], s["status"]) for s in steps] == [
        ("mail", "completed"),
        ("text", "completed"),
    ]


async def test_what_people_read_of_a_run_comes_in_the_order_it_happened(
    office: Office, engine: Engine
) -> None:
    """The run's own clock stands still within a task; a message is not older than its run."""
    await office.apply(THANKS)
    await office.write_status(await office.add_job(), "completed")
    (execution,) = await engine.settled()

    for message in await office.messages():
        moments = [
            execution["created_at"],
            execution["started_at"],
            message["created_at"],
            message["sent_at"],
            execution["completed_at"],
        ]
        assert moments == sorted(moments)


async def test_the_same_status_twice_sends_once_and_says_duplicate(
    office: Office, engine: Engine, mail: MailCatcher, phone: SmsCatcher
) -> None:
    await office.apply(THANKS)
    job = await office.add_job()

    await office.write_status(job, "completed")
    await office.write_status(job, "Completed")
    await office.write_status(job, "in_progress")
    await office.write_status(job, "completed")
    executions = await engine.settled()

    assert [(e["status"], e["reason"]) for e in executions] == [
        ("completed", None),
        ("skipped", "duplicate"),
        ("skipped", "duplicate"),
    ]
    assert (len(mail.messages), len(phone.messages)) == (1, 1)


@pytest.mark.parametrize(
    ("client", "step", "reason"),
    [
        ({"email": None}, "mail", "no email address"),
        ({"email": "not an address"}, "mail", "not valid"),
        ({"phone": None}, "text", "no phone number"),
        ({"phone": "12"}, "text", "not valid"),
        ({"first_name": None}, "mail", "client.first_name"),
        ({"email": "fail-550@example.com"}, "mail", "550"),
        ({"phone": "+15005550001"}, "text", "21211"),
    ],
)
async def test_a_failing_step_fails_the_run_and_leaves_the_other_alone(
    office: Office,
    engine: Engine,
    mail: MailCatcher,
    phone: SmsCatcher,
    client: dict[str, str | None],
    step: str,
    reason: str,
) -> None:
    await office.apply(THANKS)
    job = await office.add_job(client_id=await office.add_client(**client))

    await office.write_status(job, "completed")
    (execution,) = await engine.settled()

    assert execution["status"] == "failed"
    assert execution["error_message"].startswith(f"{step}: ")
    messages = {message["step_id"]: message for message in await office.messages()}
    assert messages.pop(step)["status"] == "failed"
    (other,) = messages.values()
    assert other["status"] == "sent"
    whole = f"{execution['error_message']} {messages} {await office.messages()}"
    assert reason in whole
    assert len(mail.messages) + len(phone.messages) == 1


async def test_a_temporary_refusal_is_tried_again(
    office: Office, engine: Engine, mail: MailCatcher, phone: SmsCatcher
) -> None:
    await office.apply(THANKS)
    job = await office.add_job(client_id=await office.add_client(email="once-451@example.com"))

    await office.write_status(job, "completed")
    (execution,) = await engine.settled()

    assert execution["status"] == "completed"
    assert len(mail.messages) == 1
    assert [m["attempts"] for m in await office.messages()] == [2, 1]


async def test_an_opt_out_is_kept_and_recorded(
    office: Office, engine: Engine, mail: MailCatcher, phone: SmsCatcher
) -> None:
    await office.apply(THANKS)
    client = await office.add_client(sms_opted_out=True)
    job = await office.add_job(client_id=client)

    await office.write_status(job, "completed")
    (execution,) = await engine.settled()

    assert execution["status"] == "completed"
    assert [m["status"] for m in await office.messages()] == ["sent", "suppressed"]
    assert "opted out" in (await office.messages())[1]["reason"]
    assert not phone.messages


async def test_staff_messages_go_to_staff(
    office: Office, engine: Engine, mail: MailCatcher, phone: SmsCatcher
) -> None:
    """The configured recipient was once ignored: messages for staff went to the client."""
    await office.apply(
        "name: Tell the technician\ntrigger: {type: job_status_changed, to: scheduled}\n"
        "steps: [{type: send_sms, to: technician, text: 'New job {{ job.id }}'}]"
    )
    profile = await office.insert(
        "profiles", organization_id=office.organization_id, phone="+12125550177"
    )
    job = await office.add_job(status=None, technician_id=profile["id"])

    await office.write_status(job, "scheduled")
    await engine.settled()

    assert [(text.to, text.body) for text in phone.messages] == [("+12125550177", "New job J-2019")]


async def test_hostile_data_cannot_become_markup_or_a_header(
    office: Office, engine: Engine, mail: MailCatcher
) -> None:
    await office.apply(THANKS)
    client = await office.add_client(first_name="<script>alert(1)</script>")
    job = await office.add_job(client_id=client, title="Leak\r\nBcc: everyone@example.com")

    await office.write_status(job, "completed")
    await engine.settled()

    (email,) = mail.messages
    assert email.recipients == ("ada@example.com",)
    assert "Bcc" not in email.headers
    assert "\n" not in email.subject
    assert "<script>" not in (email.html or "")
    assert "&lt;script&gt;" in (email.html or "")


async def test_one_company_never_sets_off_another(
    office: Office, engine: Engine, mail: MailCatcher, phone: SmsCatcher
) -> None:
    await office.apply(THANKS)
    async with await Office.open(office.url, "Somebody Else") as other:
        job = await other.add_job()
        await other.write_status(job, "completed")
        await engine.settled()

        assert await other.executions() == []
        assert {event["outcome"] for event in await other.events()} == {"nothing matched"}
    assert not mail.messages
    assert not phone.messages


async def test_a_version_nobody_can_read_fails_its_run(office: Office, engine: Engine) -> None:
    """Asked for again and again, it would keep the run open for ever."""
    await office.apply(THANKS)
    await office.query("""UPDATE automation_workflow_versions SET pinned = '{"broken": 1}'""")

    await office.write_status(await office.add_job(), "completed")
    (execution,) = await engine.settled()

    assert execution["status"] == "failed"
    assert "stored data cannot be used" in execution["error_message"]
