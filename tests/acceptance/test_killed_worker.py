"""A worker killed at any moment loses nothing and repeats nothing (P3, P4, P11)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from devstack.mail import MailCatcher
from devstack.ports import any_free_port
from devstack.sms import SmsCatcher
from devstack.temporal_server import EmbeddedTemporal
from tests.engine import eventually
from tests.office import Office
from tests.processes import fixlify, kill

THANKS = """
name: Thanks
trigger: {type: job_completed}
steps:
  - {id: mail, type: send_email, subject: "Done", text: "Thank you!"}
  - {id: text, type: send_sms, text: "Done."}
"""
# Temporal takes 10 s to notice that a worker died with a workflow task, or in a send.
RECOVERY = timedelta(seconds=45)


def _settings(
    office: Office, server: EmbeddedTemporal, mail: MailCatcher, phone: SmsCatcher
) -> Mapping[str, str]:
    return {
        "FIXLIFY_DATABASE_URL": office.url,
        "TEMPORAL_ADDRESS": server.address,
        "FIXLIFY_SMTP_URL": f"smtp://127.0.0.1:{mail.port}",
        "FIXLIFY_MAIL_FROM": "automations@fixlify.example",
        "TWILIO_ACCOUNT_SID": phone.account_sid,
        "TWILIO_AUTH_TOKEN": phone.auth_token,
        "TWILIO_FROM_NUMBER": "+15005550006",
        "TWILIO_BASE_URL": f"http://127.0.0.1:{phone.port}",
    }


async def _settled(office: Office) -> bool:
    executions = await office.executions()
    return bool(executions) and all(
        execution["status"] not in ("pending", "running", "waiting") for execution in executions
    )


async def test_killed_between_the_commit_and_the_send_it_still_sends_once(
    office: Office, temporal_server: EmbeddedTemporal, tmp_path: Path
) -> None:
    """The providers are down, so the first worker can get no further than the send."""
    mail_port, phone_port = any_free_port(), any_free_port()
    mail, phone = MailCatcher(mail_port), SmsCatcher(phone_port)
    settings = {
        **_settings(office, temporal_server, mail, phone),
        "FIXLIFY_SMTP_URL": f"smtp://127.0.0.1:{mail_port}",
        "TWILIO_BASE_URL": f"http://127.0.0.1:{phone_port}",
    }
    await office.apply(THANKS)
    job = await office.add_job()

    async with fixlify("worker", settings=settings, log=tmp_path / "first.log") as worker:
        await office.write_status(job, "completed")

        async def both_refused() -> bool:
            messages = await office.messages()
            return [(m["status"], m["attempts"] > 0) for m in messages] == [("queued", True)] * 2

        await eventually(both_refused, RECOVERY)
        await kill(worker)

    async with (
        mail,
        phone,
        fixlify("worker", settings=settings, log=tmp_path / "second.log"),
    ):
        await eventually(lambda: _settled(office), RECOVERY)

        assert (len(mail.messages), len(phone.messages)) == (1, 1)
    (execution,) = await office.executions()
    assert execution["status"] == "completed"


@pytest.mark.parametrize("seen", ["event", "execution", "running", "message"])
async def test_killed_as_soon_as_something_is_seen_the_ledger_tells_the_truth(
    seen: str,
    office: Office,
    temporal_server: EmbeddedTemporal,
    mail: MailCatcher,
    phone: SmsCatcher,
    tmp_path: Path,
) -> None:
    """Where exactly the kill lands is chance; what must hold afterwards is not."""
    settings = _settings(office, temporal_server, mail, phone)
    await office.apply(THANKS)
    job = await office.add_job()
    conditions = {
        "event": "SELECT 1 FROM automation_events WHERE event_type = 'job_status_changed'",
        "execution": "SELECT 1 FROM automation_execution_logs",
        "running": "SELECT 1 FROM automation_execution_logs WHERE status = 'running'",
        "message": "SELECT 1 FROM messages",
    }

    async with fixlify("worker", settings=settings, log=tmp_path / "first.log") as worker:

        async def relay_listens() -> object:
            return await office.query(
                "SELECT 1 FROM pg_stat_activity WHERE application_name = 'fixlify listen'"
                " AND datname = current_database()"
            )

        await eventually(relay_listens)
        await office.write_status(job, "completed")
        await eventually(lambda: office.query(conditions[seen]))
        await kill(worker)

    async with fixlify("worker", settings=settings, log=tmp_path / "second.log"):
        await eventually(lambda: _settled(office), RECOVERY)

    captured = {"email": len(mail.messages), "sms": len(phone.messages)}
    messages = await office.messages()
    assert {message["channel"] for message in messages} == {"email", "sms"}
    for message in messages:
        assert message["status"] in ("sent", "unknown")
        if message["status"] == "sent":
            assert captured[message["channel"]] == 1
        else:
            assert captured[message["channel"]] <= 1
    (execution,) = await office.executions()
    sent = {message["status"] for message in messages} == {"sent"}
    assert execution["status"] == ("completed" if sent else "failed")


async def test_killed_in_the_middle_of_a_call_it_says_unknown_and_never_resends(
    office: Office,
    temporal_server: EmbeddedTemporal,
    mail: MailCatcher,
    phone: SmsCatcher,
    tmp_path: Path,
) -> None:
    """The mail server has the message and stays silent; then the worker dies."""
    settings = {
        **_settings(office, temporal_server, mail, phone),
        "FIXLIFY_EMAIL_AT_MOST_ONCE": "transactional",
    }
    await office.apply(THANKS)
    client = await office.add_client(email="hang@example.com")
    job = await office.add_job(client_id=client)

    async with fixlify("worker", settings=settings, log=tmp_path / "first.log") as worker:
        await office.write_status(job, "completed")

        async def in_the_call() -> object:
            return await office.query(
                "SELECT 1 FROM messages m JOIN messages text USING (execution_id)"
                " WHERE m.channel = 'email' AND m.status = 'sending'"
                " AND text.channel = 'sms' AND text.status = 'sent'"
            )

        await eventually(in_the_call, RECOVERY)
        await kill(worker)

    async with fixlify("worker", settings=settings, log=tmp_path / "second.log"):
        await eventually(lambda: _settled(office), RECOVERY)

    (execution,) = await office.executions()
    assert execution["status"] == "failed"
    email, text = await office.messages()
    assert (email["status"], email["attempts"]) == ("unknown", 1)
    assert "during the provider call" in email["reason"]
    assert text["status"] == "sent"
    assert (len(mail.messages), len(phone.messages)) == (0, 1)


async def test_sigterm_lets_a_send_under_way_finish(
    office: Office,
    temporal_server: EmbeddedTemporal,
    mail: MailCatcher,
    phone: SmsCatcher,
    tmp_path: Path,
) -> None:
    settings = _settings(office, temporal_server, mail, phone)
    await office.apply(THANKS)
    client = await office.add_client(email="slow@example.com")
    job = await office.add_job(client_id=client)

    async with fixlify("worker", settings=settings, log=tmp_path / "worker.log") as worker:
        await office.write_status(job, "completed")

        async def in_the_call() -> object:
            return await office.query(
                "SELECT 1 FROM messages WHERE channel = 'email' AND status = 'sending'"
            )

        await eventually(in_the_call, RECOVERY)
        worker.terminate()
        assert await worker.wait() == 0

    (email, _) = await office.messages()
    assert email["status"] == "sent"
    assert len(mail.messages) == 1
