"""A company's own app with DBOS inside: job completed → facts → texts → email and SMS.

``python -m benchmarks.peers.dbos_app direct|outbox`` reads the settings of the worker, and
``DBOS_SYSTEM_DATABASE_URL``. It says ``ready`` when it is. With ``direct`` each line
``ORGANIZATION JOB`` on its input completes that job, starts its workflow, and is answered by
``ORGANIZATION JOB COMMITTED``, the moment in seconds of ``time.monotonic``. With ``outbox`` others
write, and workflows start from the rows that the triggers leave. It ends with its input.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from datetime import timedelta
from time import monotonic
from typing import Any, Final
from uuid import UUID

import psycopg
from dbos import DBOS, SetWorkflowID
from psycopg_pool import AsyncConnectionPool

from fixlify.channels import EmailChannel, OutgoingEmail, OutgoingSms, SmsChannel
from fixlify.channels.addresses import email_address, phone_number
from fixlify.domain.events import SubjectType
from fixlify.domain.facts import Facts, Subject
from fixlify.domain.ids import new_id
from fixlify.rendering import render_email, render_sms, shipped_templates
from fixlify.settings import Settings, load_settings
from fixlify.storage.database import Database, Role, libpq_url
from fixlify.storage.facts import load_facts
from fixlify.storage.listen import EventSignal
from worker.channels import email_channel, sms_channel
from worker.warmup import warm_up

BATCH: Final = 100
"""Rows of the outbox claimed at once, as many as our relay claims."""

POLL_INTERVAL: Final = timedelta(seconds=1)
_WRITERS: Final = 4
_COMPLETE: Final = "UPDATE jobs SET status = 'completed' WHERE organization_id = %s AND id = %s"
# As our relay, it claims whatever happened, and most of it is of no interest.
_CLAIM: Final = """
    SELECT id, organization_id, subject_id,
           event_type = 'job_status_changed' AND data->>'after' = 'completed' AS is_completion
    FROM automation_events
    WHERE processed_at IS NULL AND automation_id IS NULL
    ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
"""
_MARK: Final = "UPDATE automation_events SET processed_at = clock_timestamp() WHERE id = ANY(%s)"


def define(database: Database, mailer: EmailChannel, texter: SmsChannel, sender: str) -> Any:
    """Return the workflow, its four steps made with the clients that our own worker has.

    Functions and not methods, because DBOS writes their names on them; registered by calls and
    not by decorators, which would be untyped where the package is not installed.
    """
    template = shipped_templates()["job-completed"]

    async def fetch(organization_id: str, job_id: str) -> dict[str, Any]:
        subject = Subject(UUID(organization_id), SubjectType.JOB, job_id)
        async with database.statement() as connection:
            facts = (await load_facts(connection, [subject]))[subject]
        return facts.model_dump(exclude_computed_fields=True)

    async def render(known: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        facts = Facts.model_validate(known)
        if facts.client is None:
            raise ValueError("the job has no client")
        text = render_email(template, facts)
        email = OutgoingEmail(
            message_id=new_id(),
            to=email_address(facts.client.email),
            sender=sender,
            sender_name=facts.organization.name,
            reply_to=facts.organization.email,
            subject=text.subject,
            text=text.text,
            html=text.html,
        )
        sms = OutgoingSms(
            message_id=new_id(),
            to=phone_number(facts.client.phone, "US"),
            body=render_sms(template, facts).text,
        )
        return email.model_dump(), sms.model_dump()

    async def send_email(email: dict[str, Any]) -> str | None:
        return (await mailer.send(OutgoingEmail.model_validate(email))).provider_id

    async def send_sms(sms: dict[str, Any]) -> str | None:
        return (await texter.send(OutgoingSms.model_validate(sms))).provider_id

    def step(act: Any) -> Any:
        return DBOS.step(name=act.__name__, retries_allowed=True)(act)

    fetched, rendered, email_sent, sms_sent = map(step, (fetch, render, send_email, send_sms))

    async def thank(organization_id: str, job_id: str) -> None:
        email, sms = await rendered(await fetched(organization_id, job_id))
        # Side by side, as our own runs send.
        await asyncio.gather(email_sent(email), sms_sent(sms))

    workflow: Any = DBOS.workflow(name="thank")(thank)
    return workflow


async def write_and_start(workflow: Any, url: str) -> None:
    """Complete the jobs of the input's lines, and start a workflow for each."""
    lines = await _input()
    async with (
        AsyncConnectionPool[psycopg.AsyncConnection[Any]](
            url, min_size=_WRITERS, max_size=_WRITERS, kwargs={"autocommit": True}
        ) as pool,
        asyncio.TaskGroup() as group,
    ):
        await pool.wait()
        _say("ready")

        async def complete(organization_id: str, job_id: str) -> None:
            async with pool.connection() as connection:
                await connection.execute(_COMPLETE, (organization_id, job_id))
            _say(f"{organization_id} {job_id} {monotonic()}")
            with SetWorkflowID(f"{organization_id}/{job_id}"):
                await DBOS.start_workflow_async(workflow, organization_id, job_id)

        while line := await lines.readline():
            organization_id, job_id = line.decode().split()
            group.create_task(complete(organization_id, job_id))


async def start_from_outbox(workflow: Any, url: str) -> None:
    """Start a workflow for each completed job that the triggers recorded, until the input ends.

    A row is marked once its workflow has started, in the transaction that claimed it: a crash
    between the two starts it again under the same id, which DBOS knows already.
    """
    lines = await _input()
    relaying = asyncio.create_task(_relay(workflow, url))
    ending = asyncio.create_task(lines.read())
    await asyncio.wait({relaying, ending}, return_when=asyncio.FIRST_COMPLETED)
    if relaying.done():
        relaying.result()
    relaying.cancel()
    with suppress(asyncio.CancelledError):
        await relaying


async def _relay(workflow: Any, url: str) -> None:
    async with (
        EventSignal(url) as signal,
        await psycopg.AsyncConnection.connect(url, prepare_threshold=0) as connection,
    ):
        # Set by the first LISTEN.
        await signal.wait(POLL_INTERVAL)
        _say("ready")
        while True:
            async with connection.transaction():
                cursor = await connection.execute(_CLAIM, (BATCH,))
                rows = await cursor.fetchall()
                await asyncio.gather(
                    *(
                        _start(workflow, event_id, organization_id, job_id)
                        for event_id, organization_id, job_id, is_completion in rows
                        if is_completion
                    )
                )
                if rows:
                    await connection.execute(_MARK, ([row[0] for row in rows],))
            if len(rows) < BATCH:
                await signal.wait(POLL_INTERVAL)


async def _start(workflow: Any, event_id: int, organization_id: UUID, job_id: str) -> None:
    with SetWorkflowID(f"event-{event_id}"):
        await DBOS.start_workflow_async(workflow, str(organization_id), job_id)


async def _input() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the driver reads it


async def run(settings: Settings, system_url: str, trigger: str) -> None:
    """Run until the input ends."""
    url = settings.database_url.get_secret_value()
    database = Database(url, Role.ENGINE, pool_size=settings.database_pool_size)
    email, sms = email_channel(settings), sms_channel(settings)
    DBOS(
        config={
            "name": "thank-you",
            "system_database_url": system_url,
            "log_level": "WARNING",
            "application_version": "1",
        }
    )
    workflow = define(database, email, sms, settings.mail_from)
    DBOS.launch()
    await warm_up(database, email, sms)
    try:
        act = write_and_start if trigger == "direct" else start_from_outbox
        await act(workflow, libpq_url(url))
    finally:
        DBOS.destroy(workflow_completion_timeout_sec=10)
        await email.aclose()
        await sms.aclose()
        await database.close()


if __name__ == "__main__":
    asyncio.run(run(load_settings(), os.environ["DBOS_SYSTEM_DATABASE_URL"], sys.argv[1]))
