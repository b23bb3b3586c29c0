"""Running a schedule by hand, however often and by however many people, does its work once."""

from __future__ import annotations

import asyncio

from temporalio.client import Client

from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from fixlify import temporal
from fixlify.storage.database import Database
from starter.schedules import steering, sync
from tests.engine import running_engine
from tests.office import Office
from tests.scheduling import new_namespace

DIGEST = """
name: Morning digest
trigger: {type: scheduled, frequency: daily, hour: 7}
steps: [{type: send_sms, text: Good morning}]
"""


async def test_five_triggers_at_once_find_what_one_would(
    office: Office,
    temporal_client: Client,
    engine_database: Database,
    mail: MailCatcher,
    phone: SmsCatcher,
) -> None:
    address = temporal_client.service_client.config.target_host
    client = await temporal.connect(address, await new_namespace(temporal_client))
    schedule_id = f"scheduled/{(await office.apply(DIGEST)).automation.id}"
    await office.query(
        "UPDATE automation_workflows SET activated_at = activated_at - interval '40 days'"
    )
    await sync(client, engine_database)

    async with running_engine(office, client, mail, phone):
        handles = await asyncio.gather(*(steering.trigger(client, schedule_id) for _ in range(5)))
        findings = [await handle.result() for handle in handles]

    # An attempt that wrote and was then cut off is made again, and finds what it wrote.
    assert sum(each.found for each in findings) <= 1
    swept = [event for event in await office.events() if event["automation_id"] is not None]
    assert len(swept) == 1
