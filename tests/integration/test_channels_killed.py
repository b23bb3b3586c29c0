"""A worker killed while a channel is paused loses nothing, and brings the rates back with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from devstack.temporal_server import EmbeddedTemporal
from fixlify import temporal
from fixlify.domain.limits import LimitedChannel
from starter.channels import Pace, apply_pace, read_queue
from tests.command_line import CommandLine
from tests.engine import eventually
from tests.office import Office
from tests.processes import fixlify, kill

TEXT = """
name: Thanks
trigger: {type: job_completed}
steps: [{id: text, type: send_sms, text: "{{ job.title }} is done."}]
"""
BURST = 30
# Temporal takes 10 s to notice that a worker died with a workflow task.
RECOVERY = timedelta(seconds=60)


@pytest.fixture
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedTemporal]:
    """A Temporal server of this test alone, whose rates the worker turns."""
    async with EmbeddedTemporal(tmp_path_factory.mktemp("killed"), ui=False) as server:
        yield server


async def test_every_text_arrives_once_though_the_worker_is_killed_during_the_pause(
    office: Office,
    server: EmbeddedTemporal,
    mail: MailCatcher,
    phone: SmsCatcher,
    tmp_path: Path,
) -> None:
    settings = {
        "FIXLIFY_DATABASE_URL": office.url,
        "TEMPORAL_ADDRESS": server.address,
        "FIXLIFY_SMTP_URL": mail.url,
        "TWILIO_ACCOUNT_SID": phone.account_sid,
        "TWILIO_AUTH_TOKEN": phone.auth_token,
        "TWILIO_FROM_NUMBER": "+15005550006",
        "TWILIO_BASE_URL": phone.base_url,
        "FIXLIFY_SMS_RATE": "200",
    }
    line = CommandLine(**settings)
    client = await temporal.connect(server.address, "default")
    await office.apply(TEXT)
    recipient = await office.add_client()
    for number in range(BURST):
        await office.add_job(f"J-{number}", client_id=recipient, title=f"Job {number}")

    async def has_its_rate() -> bool:
        return (await read_queue(client, LimitedChannel.SMS)).pace == Pace(200)

    async def all_wait_or_are_gone() -> bool:
        found = [message["status"] for message in await office.messages()]
        return len(found) == BURST and set(found) <= {"held", "sent"}

    async def is_over() -> bool:
        found = {execution["status"] for execution in await office.executions()}
        return found == {"completed"}

    async with fixlify("worker", settings=settings, log=tmp_path / "first.log") as worker:
        await eventually(has_its_rate, RECOVERY)
        await office.query("UPDATE jobs SET status = 'completed' WHERE id LIKE '%%1'")
        await phone.wait_for(timeout=RECOVERY)
        paused = await line.run("channels", "pause", "sms")
        assert paused.code == 0, paused.err
        await office.query("UPDATE jobs SET status = 'completed' WHERE status <> 'completed'")
        await eventually(all_wait_or_are_gone, RECOVERY)
        await kill(worker)
    gone = len(phone.messages)
    assert gone < BURST
    await apply_pace(client, LimitedChannel.SMS, Pace())

    async with fixlify("worker", settings=settings, log=tmp_path / "second.log"):
        await eventually(has_its_rate, RECOVERY)
        assert len(phone.messages) == gone
        resumed = await line.run("channels", "resume", "sms")
        assert resumed.code == 0, resumed.err
        await eventually(is_over, RECOVERY)

    assert sorted(message.body for message in phone.messages) == sorted(
        f"Job {number} is done." for number in range(BURST)
    )
    assert {message["status"] for message in await office.messages()} == {"sent"}
