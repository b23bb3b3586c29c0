"""A small company's worst day: what kills and cuts does at random happens here at exact points.

Each mishap is a job of its own, with a client of its own. What is in nobody's hands in a real
run (which of two relays comes first) is decided here, so that a day goes the same way each time.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import psycopg
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.delivery import deliver
from devstack.temporal_server import EmbeddedTemporal
from fixlify import temporal
from fixlify.domain.ids import new_id, workflow_id
from fixlify.domain.runs import ExecutionStatus, RunOutcome, SendRequest
from fixlify.storage.executions import PendingExecution, finish_execution
from fixlify.storage.messages import ClaimedMessage, Ledger, NewMessage, enter_messages
from starter.launch import Launcher
from tests.day import LOSES_ITS_ANSWER, Day
from tests.engine import eventually, running_engine
from tests.relaying import KilledError, RecordingLauncher

THANKS: Final = """
name: Thanks
trigger: {type: job_completed}
steps:
  - id: mail
    type: send_email
    subject: "{{ organization.name }}: done"
    text: "Thank you, {{ client.first_name }}!"
  - {id: text, type: send_sms, text: "{{ organization.name }}: {{ job.title }} is done."}
"""
ARRIVAL: Final = """
name: Arrival
trigger: {type: job_status_changed, to: [on the way]}
exit_when: {field: job.status, operator: equals, value: cancelled}
steps: [{id: coming, type: send_sms, text: "{{ organization.name }}: we are on our way."}]
"""
TAGGING: Final = """
name: Tagging
trigger: {type: job_tags_changed}
steps: [{id: tag, type: update_record, add_tags: [seen]}]
"""


async def calm(day: Day) -> None:
    """Nothing happens to this one."""
    job, *_ = await day.add_job()
    await day.write(job, "completed")


async def double_click(day: Day) -> None:
    """The same is written again at once."""
    job, *_ = await day.add_job()
    await day.write(job, "completed")
    await day.write(job, "completed")


async def two_relays_at_once(day: Day) -> None:
    """Two relays each have one of two changes that are the same, and look before either wrote."""
    job, *_ = await day.add_job()
    await day.come_to_rest()
    async with await psycopg.AsyncConnection.connect(day.office.url) as connection:
        # Both may look; neither may write before both have looked, or one waits for the other.
        await connection.execute("LOCK TABLE automation_execution_logs IN SHARE MODE")
        await day.write(job, "completed")
        first = asyncio.create_task(day.relay().relay_batch())
        await eventually(lambda: _waiting(day, 1))
        await day.write(job, "in progress")
        await day.write(job, "completed")
        second = asyncio.create_task(day.relay().relay_batch())
        await eventually(lambda: _waiting(day, 2))
        await connection.rollback()
    await asyncio.gather(first, second)


async def _waiting(day: Day, backends: int) -> bool:
    (row,) = await day.office.query(
        "SELECT count(DISTINCT pid) AS waiting FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return bool(row["waiting"] == backends)


async def relay_dies_before_the_launch(day: Day) -> None:
    """What it committed is found by the next sweep."""
    job, *_ = await day.add_job()
    await day.write(job, "completed")
    launcher = RecordingLauncher()
    launcher.dying = True
    with suppress(KilledError):
        await day.relay(launcher).relay_batch()
    await day.engine.relay.launch_waiting()


async def worker_dies_after_the_call(day: Day) -> None:
    """Both providers have it, and nobody wrote that down."""
    job, email, phone = await day.add_job()

    async def die() -> None:
        raise RuntimeError("the worker is gone")

    day.hooks.after_call |= {email: die, phone: die}
    await day.write(job, "completed")


async def provider_loses_its_answer(day: Day) -> None:
    """The phone company can be asked; the mail server cannot, and loses the next one too."""
    phone, email = LOSES_ITS_ANSWER
    job, *_ = await day.add_job(phone=phone, email=email)
    await day.write(job, "completed")


async def heir_before_its_time(day: Day) -> None:
    """An attempt that was taken for dead is about to call, and its successor comes."""
    job, email, phone = await day.add_job()

    async def inherit(sender: Any, message: ClaimedMessage) -> None:
        (row,) = await day.office.query("SELECT sending_at FROM messages WHERE id = %s", message.id)
        # At once, however slow this machine is.
        request = SendRequest(
            message_id=message.id,
            organization_id=day.office.organization_id,
            now=row["sending_at"],
        )
        with suppress(ApplicationError):
            await ActivityEnvironment().run(deliver, day.database, request, sender)

    day.hooks.before_call |= {email: inherit, phone: inherit}
    await day.write(job, "completed")


async def rendered_by_two(day: Day) -> None:
    """An attempt that was taken for dead enters its messages just before its successor."""
    job, email, _ = await day.add_job()

    async def enter_before(connection: Any, messages: Sequence[NewMessage]) -> None:
        theirs = [replace(message, id=new_id()) for message in messages]
        await enter_messages(connection, messages[0].execution_id, theirs)

    day.hooks.before_entering[email] = enter_before
    await day.write(job, "completed")


async def worker_dies_in_its_task(day: Day) -> None:
    """It wrote its messages and took them; Temporal heard of nothing, and begins anew."""
    job, email, _ = await day.add_job()

    async def die(connection: Any, messages: Sequence[NewMessage]) -> None:
        entered = await enter_messages(connection, messages[0].execution_id, messages)
        for message in entered.values():
            ledger = Ledger(connection, message.id, day.office.organization_id)
            await ledger.claim(datetime.now(UTC))

    day.hooks.before_entering[email] = die
    await day.write(job, "completed")


async def opts_out_after_the_rendering(day: Day) -> None:
    """The text is written, and then they want none."""
    job, email, _ = await day.add_job()

    async def opt_out() -> None:
        await day.office.query(
            "UPDATE clients SET sms_opted_out = true, email_opted_out = true WHERE email = %s",
            email,
        )

    day.hooks.after_entering[email] = opt_out
    await day.write(job, "completed")


async def changes_hands_after_the_rendering(day: Day) -> None:
    """The text is written, and then the job is somebody else's."""
    job, email, _ = await day.add_job()
    _, other, _ = await day.add_job()

    async def move() -> None:
        await day.office.query(
            "UPDATE jobs SET client_id = (SELECT id FROM clients WHERE email = %s) WHERE id = %s",
            other,
            job,
        )

    day.hooks.after_entering[email] = move
    await day.write(job, "completed")


async def cancelled_after_the_rendering(day: Day) -> None:
    """ "We are on our way" is written, and then the visit is called off."""
    job, _, phone = await day.add_job()

    async def call_off() -> None:
        await day.write(job, "cancelled")

    day.hooks.after_entering[phone] = call_off
    await day.write(job, "on the way")


async def ended_while_rendering(day: Day) -> None:
    """A person ends the run while its messages are being written."""
    job, email, _ = await day.add_job()

    async def end(connection: Any, messages: Sequence[NewMessage]) -> None:
        outcome = RunOutcome(
            execution_id=messages[0].execution_id,
            organization_id=day.office.organization_id,
            status=ExecutionStatus.CANCELLED,
            reason="cancelled by hand",
        )
        async with day.database.statement() as another:
            await finish_execution(another, outcome)

    day.hooks.before_entering[email] = end
    await day.write(job, "completed")


async def sets_itself_off(day: Day) -> None:
    """An automation writes what sets it off."""
    job, *_ = await day.add_job()
    await day.office.query("UPDATE jobs SET tags = ARRAY['vip'] WHERE id = %s", job)


async def outbox_comes_back(day: Day) -> None:
    """Somebody restores the outbox from before it was relayed."""
    job, *_ = await day.add_job()
    await day.write(job, "completed")
    await day.come_to_rest()
    await day.office.query(
        "UPDATE automation_events SET processed_at = NULL, outcome = NULL"
        " WHERE subject_id = %s AND event_type = 'job_status_changed'",
        job,
    )


async def launched_after_its_end(day: Day) -> None:
    """A relay that slept since it read the row launches a run that is over."""
    await _launch_again(day.client, await _ended(day))


async def temporal_is_set_up_anew(day: Day) -> None:
    """The same, where Temporal no longer knows that it ran."""
    execution = await _ended(day)
    with TemporaryDirectory() as folder:
        async with EmbeddedTemporal(Path(folder), ui=False) as server:
            client = await temporal.connect(server.address, "default")
            async with running_engine(day.office, client, day.mail, day.phone):
                await _launch_again(client, execution)


async def _ended(day: Day) -> dict[str, Any]:
    """Return an execution that is over, of which Temporal knows that, too."""
    job, *_ = await day.add_job()
    await day.write(job, "completed")
    await day.come_to_rest()
    (execution,) = await day.executions_of(job)
    await day.client.get_workflow_handle(workflow_id(execution["id"])).result()
    return execution


async def _launch_again(client: Client, execution: dict[str, Any]) -> None:
    stale = PendingExecution(
        id=execution["id"],
        organization_id=execution["organization_id"],
        automation_id=execution["automation_id"],
        automation="Thanks",
        version=execution["automation_version"],
        trigger_type=execution["trigger_type"],
        subject_type=execution["subject_type"],
        subject_id=execution["subject_id"],
    )
    await Launcher(client, eager=True).launch([stale])
    handle = client.get_workflow_handle(workflow_id(execution["id"]))
    await handle.result()
    run_id = (await handle.describe()).run_id

    async def is_listed() -> bool:
        return (await client.count_workflows(f"RunId = '{run_id}'")).count == 1

    await eventually(is_listed)


Mishap = Callable[[Day], Awaitable[None]]
MISHAPS: Final[Sequence[Mishap]] = (
    calm,
    double_click,
    two_relays_at_once,
    relay_dies_before_the_launch,
    worker_dies_after_the_call,
    worker_dies_in_its_task,
    provider_loses_its_answer,
    heir_before_its_time,
    rendered_by_two,
    opts_out_after_the_rendering,
    changes_hands_after_the_rendering,
    cancelled_after_the_rendering,
    ended_while_rendering,
    sets_itself_off,
    outbox_comes_back,
    launched_after_its_end,
    temporal_is_set_up_anew,
)


async def play(day: Day, mishaps: Sequence[Mishap], seed: int) -> None:
    """Let *mishaps* happen, one after another in the order *seed* gives, and wait for the end."""
    for each in random.Random(seed).sample(mishaps, len(mishaps)):  # noqa: S311 - not a secret
        await each(day)
    await day.come_to_rest()
