"""A small company's worst day: what kills and cuts does at random happens here at exact points.

Each mishap is a job of its own, with a client of its own. What is in nobody's hands in a real
run (which of two relays comes first) is decided here, so that a day goes the same way each time.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from uuid import UUID

import psycopg
import pytest
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.delivery import deliver
from activities.email import EmailSender
from activities.sms import SmsSender
from benchmarks.chaos.evidence import Change, Evidence
from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from devstack.temporal_server import EmbeddedTemporal
from fixlify import temporal
from fixlify.channels import Accepted
from fixlify.domain.ids import new_id, workflow_id
from fixlify.domain.runs import ExecutionStatus, RunOutcome, SendRequest
from fixlify.storage.database import Database, Role
from fixlify.storage.executions import PendingExecution, finish_execution
from fixlify.storage.listen import EventSignal
from fixlify.storage.messages import ClaimedMessage, Ledger, NewMessage, enter_messages
from starter.hearing import Teller
from starter.launch import Launcher
from starter.relay import Relay
from tests.engine import Engine, eventually, running_engine
from tests.office import Office
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
LOSES_ITS_ANSWER: Final = ("+15005550023", "drop-after-data@example.com")

REST: Final = timedelta(seconds=15)

Hook = Callable[..., Awaitable[None]]


@dataclass
class Hooks:
    """What happens to a message at a point of its way, by recipient; each happens once."""

    before_entering: dict[str, Hook] = field(default_factory=dict)
    after_entering: dict[str, Hook] = field(default_factory=dict)
    before_call: dict[str, Hook] = field(default_factory=dict)
    after_call: dict[str, Hook] = field(default_factory=dict)

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Put the hooks where messages pass."""

        async def entering(
            connection: Any, execution_id: UUID, messages: Sequence[NewMessage]
        ) -> Any:
            for message in messages:
                await _once(self.before_entering, message.recipient, connection, messages)
            entered = await enter_messages(connection, execution_id, messages)
            for message in messages:
                await _once(self.after_entering, message.recipient)
            return entered

        patch.setattr("activities.writing.enter_messages", entering)
        for sender in (EmailSender, SmsSender):
            patch.setattr(sender, "hand_over", self._handing_over(sender.hand_over))

    def _handing_over(self, hand_over: Callable[..., Awaitable[Accepted]]) -> Any:
        async def handing_over(sender: Any, message: ClaimedMessage) -> Accepted:
            await _once(self.before_call, message.recipient, sender, message)
            accepted = await hand_over(sender, message)
            await _once(self.after_call, message.recipient)
            return accepted

        return handing_over


async def _once(hooks: dict[str, Hook], recipient: str | None, *arguments: Any) -> None:
    if (hook := hooks.pop(recipient or "", None)) is not None:
        await hook(*arguments)


class Day:
    """The company, its engine, and everything that was written; lives as long as its test."""

    def __init__(
        self,
        office: Office,
        engine: Engine,
        client: Client,
        mail: MailCatcher,
        phone: SmsCatcher,
        hooks: Hooks,
        seed: int,
    ) -> None:
        self.office = office
        self.engine = engine
        self.client = client
        self.hooks = hooks
        self.database = Database(office.url, Role.ENGINE)
        self.mail = mail
        self.phone = phone
        self._seed = seed
        self._jobs = 0
        self._changes: list[Change] = []
        self._write_failures: list[str] = []

    async def add_job(self, **client: str) -> tuple[str, str, str]:
        """Enter a job with a client of its own; return its id, and the client's two addresses."""
        self._jobs += 1
        addresses = {
            "email": f"client-{self._jobs}@northwind.example",
            "phone": f"+1212555{self._jobs:04}",
        } | client
        job = f"J-{self._jobs}"
        await self.office.add_job(job, client_id=await self.office.add_client(**addresses))
        return job, addresses["email"], addresses["phone"]

    async def write(self, job: str, after: str) -> None:
        """Write a job's status as its company's app would, and take down what was written."""
        (row,) = await self.office.query("SELECT status FROM jobs WHERE id = %s", job)
        at = datetime.now(UTC)
        try:
            await self.office.write_status(job, after)
        except psycopg.Error as error:
            self._write_failures.append(str(error))
            return
        self._changes.append(
            Change(self.office.organization_id, job, row["status"], after, at, certain=True)
        )

    async def executions_of(self, job: str) -> list[dict[str, Any]]:
        """Return the executions about *job*, oldest first."""
        return [each for each in await self.office.executions() if each["subject_id"] == job]

    def relay(self, launcher: Any = None) -> Relay:
        """Return another relay beside the engine's, with connections of its own."""
        return Relay(
            self.database,
            launcher or Launcher(self.client, eager=True),
            EventSignal(self.office.url),
            Teller(self.client),
        )

    async def come_to_rest(self) -> bool:
        """Relay everything, and wait until nothing is under way; tell whether it came to that."""

        async def rests() -> bool:
            await self.engine.relay_everything()
            (left,) = await self.office.query(
                "SELECT (SELECT count(*) FROM automation_events WHERE processed_at IS NULL)"
                " + (SELECT count(*) FROM automation_execution_logs"
                "    WHERE status IN ('pending', 'running')) AS work"
            )
            return bool(left["work"] == 0)

        with suppress(AssertionError):
            return bool(await eventually(rests, REST))
        return False

    async def close(self) -> None:
        """Close the day's own connections."""
        await self.database.close()

    def evidence(self) -> Evidence:
        """Return what was done and what arrived."""
        return Evidence(
            seed=self._seed,
            url=self.office.url,
            client=self.client,
            changes=self._changes,
            faults=(),
            emails=self.mail.messages,
            texts=self.phone.messages,
            write_failures=self._write_failures,
            fates=dict.fromkeys(LOSES_ITS_ANSWER, "drops the answer"),
            at_most_once=False,
        )


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
