"""A channel is paused in the middle of things; afterwards everybody has every message once."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from fixlify.domain.limits import LimitedChannel
from fixlify.storage.channels import ChannelResumption, pause_channel, resume_channel
from fixlify.storage.database import Database
from starter.release import release_runs
from tests.engine import Engine, eventually, running_engine
from tests.office import Office
from tests.receiving import Receiver

SMS, WEBHOOK = LimitedChannel.SMS, LimitedChannel.WEBHOOK
BURST = 120
BOTH = """
name: Thanks
trigger: {type: job_completed}
steps:
  - {id: mail, type: send_email, subject: Done, text: "{{ job.title }} is done."}
  - {id: text, type: send_sms, text: "{{ job.title }} is done."}
"""
TEXT = "".join(line for line in BOTH.splitlines(keepends=True) if "id: mail" not in line)
SLOW = TEXT.replace("steps:", "steps:\n  - {id: wait, type: wait, for: 1h}")
TELL = """
name: Tell the books
trigger: {type: job_completed}
steps:
  - {id: tell, type: call_webhook, url: "https://books.example.com/jobs"}
  - {id: text, type: send_sms, text: Thank you.}
"""
HELD = "the sms channel is paused: wrong number"


async def pause(database: Database, channel: LimitedChannel = SMS) -> None:
    async with database.transaction() as connection:
        await pause_channel(connection, channel, "wrong number")


async def resume(
    database: Database, channel: LimitedChannel = SMS, *, send_everything: bool = False
) -> ChannelResumption:
    """Lift the pause, waking nobody."""
    async with database.transaction() as connection:
        return await resume_channel(connection, channel, send_everything=send_everything)


async def complete_jobs(office: Office, count: int) -> None:
    client = await office.add_client()
    for number in range(count):
        await office.add_job(f"J-{number}", client_id=client, title=f"Job {number}")
    await office.query(
        "UPDATE jobs SET status = 'completed' WHERE organization_id = %s", office.organization_id
    )


async def statuses(office: Office) -> Counter[str]:
    """Return how many messages there are of each status."""
    return Counter(message["status"] for message in await office.messages())


async def test_a_burst_that_is_paused_in_the_middle_reaches_everybody_once(
    office: Office,
    temporal_client: Client,
    engine_database: Database,
    mail: MailCatcher,
    phone: SmsCatcher,
) -> None:
    await office.apply(TEXT)
    await complete_jobs(office, BURST)
    async with running_engine(office, temporal_client, mail, phone) as engine:
        await engine.relay_everything()
        await phone.wait_for()
        await pause(engine_database)

        async def all_wait_or_are_gone() -> bool:
            # What there was no room for is launched as others begin.
            await engine.relay.launch_waiting()
            found = await statuses(office)
            return found["sent"] + found["held"] == BURST

        await eventually(all_wait_or_are_gone)
        found = await statuses(office)
        assert found["held"] > 0
        assert len(phone.messages) == found["sent"]

        resumption = await resume(engine_database)
        assert resumption.messages == found["held"]
        await release_runs(engine.client, resumption.runs)
        executions = await engine.settled()

    assert {each["status"] for each in executions} == {"completed"}
    assert sorted(message.body for message in phone.messages) == sorted(
        f"Job {number} is done." for number in range(BURST)
    )
    assert {message["attempts"] for message in await office.messages()} == {1}


async def test_the_other_channel_goes_on_and_the_run_says_what_it_waits_for(
    office: Office,
    engine: Engine,
    engine_database: Database,
    mail: MailCatcher,
    phone: SmsCatcher,
) -> None:
    await pause(engine_database)
    await office.apply(BOTH)
    await complete_jobs(office, 1)
    await engine.relay_everything()

    async def says_so() -> bool:
        (execution,) = await office.executions()
        return str(execution["waiting_for"]) == f"text: held, {HELD}"

    await eventually(says_so)
    await mail.wait_for()
    assert not phone.messages

    resumption = await resume(engine_database)
    assert await release_runs(engine.client, resumption.runs) == 1
    (execution,) = await engine.settled()
    assert execution["status"] == "completed"
    assert (len(mail.messages), len(phone.messages)) == (1, 1)


async def test_a_release_while_the_pause_stands_sends_nothing(
    office: Office, engine: Engine, engine_database: Database, phone: SmsCatcher
) -> None:
    await pause(engine_database)
    await office.apply(TEXT)
    await complete_jobs(office, 1)
    await engine.relay_everything()

    async def is_held() -> bool:
        (execution,) = await office.executions()
        return execution["status"] == "waiting" and HELD in execution["waiting_for"]

    await eventually(is_held)
    # As a resume leaves it that is followed at once by another pause.
    resumption = await resume(engine_database)
    await pause(engine_database)
    await release_runs(engine.client, resumption.runs)
    await eventually(is_held)
    assert not phone.messages

    await release_runs(engine.client, (await resume(engine_database)).runs)
    await engine.settled()
    assert len(phone.messages) == 1


async def test_nothing_counts_towards_the_delivery_deadline_meanwhile(
    office: Office,
    patient_engine: Engine,
    time_machine: WorkflowEnvironment,
    engine_database: Database,
    phone: SmsCatcher,
) -> None:
    await office.apply(SLOW)
    await complete_jobs(office, 1)
    await patient_engine.relay_everything()
    await pause(engine_database)
    await time_machine.sleep(timedelta(days=3))
    (message,) = await office.messages()
    assert (message["status"], message["reason"], message["attempts"]) == ("held", HELD, 0)

    resumption = await resume(engine_database, send_everything=True)
    await release_runs(patient_engine.client, resumption.runs)
    (execution,) = await patient_engine.settled()

    assert execution["status"] == "completed"
    assert len(phone.messages) == 1


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as server:
        yield server


async def test_a_paused_webhook_channel_holds_the_call_until_it_goes_on(
    office: Office,
    temporal_client: Client,
    engine_database: Database,
    mail: MailCatcher,
    phone: SmsCatcher,
    receiver: Receiver,
) -> None:
    await office.apply(TELL)
    await pause(engine_database, WEBHOOK)
    async with running_engine(
        office, temporal_client, mail, phone, webhooks=receiver.url
    ) as engine:
        await complete_jobs(office, 1)
        await engine.relay_everything()

        async def is_held() -> bool:
            (execution,) = await office.executions()
            held = "tell: held, the webhook channel is paused: wrong number"
            return str(execution["waiting_for"]) == held

        await eventually(is_held)
        assert receiver.received == []

        resumption = await resume(engine_database, WEBHOOK)
        assert await release_runs(engine.client, resumption.runs) == 1
        (execution,) = await engine.settled()
    assert execution["status"] == "completed"
    assert len(receiver.received) == len(phone.messages) == 1
