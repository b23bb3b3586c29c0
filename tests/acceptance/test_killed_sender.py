"""``kill -9`` of the worker that sends, at each point of a message's way (P4, P11)."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from devstack.temporal_server import EmbeddedTemporal
from tests.acceptance.dying_worker import POINTS
from tests.engine import eventually
from tests.office import Office
from tests.processes import environment_without_ours

AUTOMATIONS = {
    "sms": """
name: Text
trigger: {type: job_completed}
steps: [{id: message, type: send_sms, text: "Done."}]
""",
    "email": """
name: Mail
trigger: {type: job_completed}
steps: [{id: message, type: send_email, subject: "Done", text: "Thank you!"}]
""",
}
# Temporal takes 10 s to notice that a worker died in a send.
RECOVERY = timedelta(seconds=60)


@asynccontextmanager
async def worker(
    channel: str, point: str, settings: Mapping[str, str], log: Path
) -> AsyncIterator[Process]:
    """Run a worker that dies at *point*, or at the end of the block."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.acceptance.dying_worker",
            channel,
            point,
            env={**environment_without_ours(), **settings},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("channel", list(AUTOMATIONS))
async def test_each_message_arrives_once(
    channel: str,
    point: str,
    office: Office,
    temporal_server: EmbeddedTemporal,
    mail: MailCatcher,
    phone: SmsCatcher,
    tmp_path: Path,
) -> None:
    """But for mail whose server had it when the worker died: nobody can ask, and it goes twice."""
    settings = {
        "FIXLIFY_DATABASE_URL": office.url,
        "TEMPORAL_ADDRESS": temporal_server.address,
        "FIXLIFY_SMTP_URL": f"smtp://127.0.0.1:{mail.port}",
        "FIXLIFY_MAIL_FROM": "automations@fixlify.example",
        "TWILIO_ACCOUNT_SID": phone.account_sid,
        "TWILIO_AUTH_TOKEN": phone.auth_token,
        "TWILIO_FROM_NUMBER": "+15005550006",
        "TWILIO_BASE_URL": f"http://127.0.0.1:{phone.port}",
    }
    await office.apply(AUTOMATIONS[channel])
    await office.write_status(await office.add_job(), "completed")

    async with worker(channel, point, settings, tmp_path / "first.log") as first:
        assert await asyncio.wait_for(first.wait(), RECOVERY.total_seconds()) == -signal.SIGKILL

    async def completed() -> bool:
        (execution,) = await office.executions()
        return bool(execution["status"] == "completed")

    async with worker(channel, "never", settings, tmp_path / "second.log"):
        await eventually(completed, RECOVERY)

    arrived = mail.messages if channel == "email" else phone.messages
    is_documented = (channel, point) == ("email", "after the call")
    assert len(arrived) == (2 if is_documented else 1)
    if is_documented:
        assert len({email.headers["Message-ID"] for email in mail.messages}) == 1
    assert [message["status"] for message in await office.messages()] == ["sent"]
