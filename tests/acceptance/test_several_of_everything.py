"""Two workers, two relays and five sweeps at once do what one of each would (P2, P3)."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Final
from uuid import uuid4

from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from devstack.temporal_server import EmbeddedTemporal
from fixlify import temporal
from fixlify.domain import queues
from fixlify.domain.sweeps import Sweep, SweepKind
from tests.engine import eventually
from tests.office import Office
from tests.processes import fixlify
from workflows.sweep import SweepWorkflow

ZONE: Final = "America/New_York"
SCHEDULE: Final = f"check-overdue-invoices/{ZONE}"
COUNT: Final = 20
DUNNING: Final = """
name: Dunning
trigger: {type: invoice_overdue, days: [3, 7]}
steps: [{type: send_sms, text: "Invoice {{ invoice.number }} is {{ event.days }} days late."}]
"""
THANKS: Final = """
name: Thanks
trigger: {type: job_completed}
steps: [{type: send_sms, text: "Job {{ job.id }} is done."}]
"""
LONG: Final = timedelta(seconds=90)


async def test_the_same_executions_as_one(
    office: Office, mail: MailCatcher, phone: SmsCatcher, tmp_path: Path
) -> None:
    client = await office.add_client()
    for number in range(COUNT):
        await office.add_job(f"J-{number}", client_id=client)
        await office.add_invoice(client_id=client, number=f"I-{number}", status="sent", total=10)
    await office.query(f"UPDATE invoices SET due_date = (now() AT TIME ZONE '{ZONE}')::date - 8")
    await office.apply(DUNNING)
    await office.apply(THANKS)

    async with EmbeddedTemporal(tmp_path / "temporal", ui=False) as server, AsyncExitStack() as up:
        settings = {
            "FIXLIFY_DATABASE_URL": office.url,
            "TEMPORAL_ADDRESS": server.address,
            "FIXLIFY_SMTP_URL": mail.url,
            "TWILIO_ACCOUNT_SID": phone.account_sid,
            "TWILIO_AUTH_TOKEN": phone.auth_token,
            "TWILIO_FROM_NUMBER": "+15005550006",
            "TWILIO_BASE_URL": phone.base_url,
        }
        for place, part in enumerate(("worker", "worker", "starter", "starter")):
            log = tmp_path / f"{part}-{place}.log"
            await up.enter_async_context(fixlify(part, settings=settings, log=log))

        async def scheduled() -> object:
            return await office.query(
                "SELECT 1 FROM automation_schedules WHERE id = %s AND synced_hash = content_hash",
                SCHEDULE,
            )

        await eventually(scheduled, LONG)
        temporal_client = await temporal.connect(server.address, "default")
        schedule = temporal_client.get_schedule_handle(SCHEDULE)
        sweep = Sweep(schedule_id=SCHEDULE, kind=SweepKind.OVERDUE_INVOICES, time_zone=ZONE)
        await asyncio.gather(
            office.query("UPDATE jobs SET status = 'completed'"),
            *(schedule.trigger() for _ in range(5)),
            *(
                temporal_client.execute_workflow(
                    SweepWorkflow.run, sweep, id=f"sweep/{uuid4()}", task_queue=queues.AUTOMATIONS
                )
                for _ in range(5)
            ),
        )

        async def settled() -> bool:
            return [e["status"] for e in await office.executions()] == ["completed"] * (2 * COUNT)

        await eventually(settled, LONG)

        events = Counter(e["event_type"] for e in await office.events())
        assert events["invoice_overdue"] == COUNT
        assert Counter(message.body for message in phone.messages) == Counter(
            [f"Invoice I-{number} is 7 days late." for number in range(COUNT)]
            + [f"Job J-{number} is done." for number in range(COUNT)]
        )
        runs = await office.query(
            "SELECT status, found FROM automation_schedule_runs WHERE schedule_id = %s", SCHEDULE
        )
        assert len(runs) >= 6
        assert {run["status"] for run in runs} == {"completed"}
        assert sum(run["found"] for run in runs) == COUNT
