"""The relay and the workers may live in processes of their own, as many as one likes."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from devstack.temporal_server import EmbeddedTemporal
from tests.engine import eventually
from tests.office import Office
from tests.processes import fixlify

JOBS = 20
AT_MOST = timedelta(seconds=45)


async def test_two_relays_and_two_workers_do_what_one_does(
    office: Office,
    temporal_server: EmbeddedTemporal,
    mail: MailCatcher,
    phone: SmsCatcher,
    tmp_path: Path,
) -> None:
    await office.apply(
        "name: Text\ntrigger: {type: job_completed}\n"
        "steps: [{type: send_sms, text: '{{ job.id }} is done.'}]"
    )
    jobs = [await office.add_job(f"J-{number}") for number in range(JOBS)]
    settings = {
        "FIXLIFY_DATABASE_URL": office.url,
        "TEMPORAL_ADDRESS": temporal_server.address,
        "FIXLIFY_SMTP_URL": mail.url,
        "TWILIO_ACCOUNT_SID": phone.account_sid,
        "TWILIO_AUTH_TOKEN": phone.auth_token,
        "TWILIO_FROM_NUMBER": "+15005550006",
        "TWILIO_BASE_URL": phone.base_url,
    }

    async with AsyncExitStack() as stack:
        processes = [
            await stack.enter_async_context(
                fixlify(*command, settings=settings, log=tmp_path / f"{place}.log")
            )
            for place, command in enumerate(
                [["starter"], ["starter"], ["worker", "--no-relay"], ["worker", "--no-relay"]]
            )
        ]
        await asyncio.gather(*(office.write_status(job, "completed") for job in jobs))

        async def all_delivered() -> bool:
            executions = await office.executions()
            return [e["status"] for e in executions] == ["completed"] * JOBS

        await eventually(all_delivered, AT_MOST)
        for process in processes:
            process.terminate()
        assert [await process.wait() for process in processes] == [0, 0, 0, 0]

    assert sorted(text.body for text in phone.messages) == sorted(f"{job} is done." for job in jobs)
