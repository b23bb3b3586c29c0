"""The rebuilt origin at work: its tables, its clock, and the function that the clock calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Final
from uuid import UUID

import psycopg

from benchmarks.lab.companies import Job
from benchmarks.peers.driving import Write
from benchmarks.peers.origin_database import PACKAGE, cron_database, has_cron, schedule
from benchmarks.peers.origin_function import ORIGINAL, EdgeFunction, FarEnds, Pace, Poll
from devstack.mail import MailCatcher
from devstack.ports import LOOPBACK
from devstack.postgres import EmbeddedPostgres
from devstack.sms import SmsCatcher
from devstack.sms_fates import GOOD_SENDER

_SCHEMA: Final = Path(__file__).with_name("origin.sql")
_CRON_JOB: Final = "process-pending-automations"
_CHANNEL: Final = "automation_scheduler"
# Its one company has telephone numbers that no company of the lab has.
_AREA: Final = "646"
_FILL: Final = """
    WITH people AS (
        INSERT INTO clients (name, email, phone)
        SELECT 'Maya Okafor ' || n, 'client-' || n || '@origin.example', '+1' || %(area)s::text
               || '200' || lpad(n::text, 4, '0')
        FROM generate_series(0, %(last)s::int) AS n
        RETURNING id, phone
    )
    INSERT INTO jobs (id, client_id, title, status, total)
    SELECT 'J-' || right(phone, 4)::int, id, 'Boiler repair', 'in_progress', 180 FROM people
"""


@dataclass(frozen=True, slots=True)
class Origin:
    """The rebuilt system at work.

    ``clock`` says what calls the ``function``, and ``polls`` how each of its calls went.
    """

    clock: str
    jobs: Sequence[Job]
    write: Write
    function: EdgeFunction
    polls: Sequence[Poll]


@asynccontextmanager
async def open_origin(
    folder: Path,
    mail: MailCatcher,
    phone: SmsCatcher,
    jobs: int,
    pace: Pace = ORIGINAL,
) -> AsyncIterator[Origin]:
    """Run it below *folder*, on a Postgres of its own, with so many *jobs* in progress.

    pg_cron calls it where that is installed and the *pace* is the original; a loop otherwise.
    """
    async with AsyncExitStack() as stack:
        with_cron = has_cron() and pace == ORIGINAL
        if with_cron:
            url = await stack.enter_async_context(cron_database(folder))
        else:
            postgres = await stack.enter_async_context(EmbeddedPostgres(folder))
            url = postgres.dsn()
        writer = await stack.enter_async_context(await _connect(url))
        worker = await stack.enter_async_context(await _connect(url))
        clock = await stack.enter_async_context(await _connect(url))
        await writer.execute(_SCHEMA.read_text(encoding="utf-8").encode())
        await writer.execute(_FILL, {"area": _AREA, "last": jobs - 1})
        called_by = f"a loop; pg_cron comes with Debian's {PACKAGE}"
        if with_cron:
            version = await schedule(clock, _CRON_JOB, f"SELECT pg_notify('{_CHANNEL}', '')")
            called_by = f"pg_cron {version} in a PostgreSQL 15 of its own"
        function = EdgeFunction(worker, _far_ends(mail, phone), pace)
        calls = _cron(clock) if with_cron else _loop(pace)
        polls: list[Poll] = []
        polling = asyncio.create_task(_poll(function, calls, polls))
        stack.push_async_callback(_cancel, polling)

        async def write(job: Job) -> float:
            await writer.execute("UPDATE jobs SET status = 'completed' WHERE id = %s", (job.id,))
            return monotonic()

        yield Origin(called_by, [_job(n) for n in range(jobs)], write, function, polls)


async def _poll(function: EdgeFunction, calls: AsyncIterator[None], polls: list[Poll]) -> None:
    async for _ in calls:
        polls.append(await function.process_pending())  # noqa: PERF401 - read meanwhile


async def _cron(connection: psycopg.AsyncConnection[Any]) -> AsyncIterator[None]:
    await connection.execute(f"LISTEN {_CHANNEL}".encode())
    async for _ in connection.notifies():
        yield


async def _loop(pace: Pace) -> AsyncIterator[None]:
    due = monotonic()
    while True:
        due += pace.every.total_seconds()
        await asyncio.sleep(due - monotonic())
        yield


async def _connect(url: str) -> psycopg.AsyncConnection[Any]:
    return await psycopg.AsyncConnection.connect(url, autocommit=True)


async def _cancel(task: asyncio.Task[None]) -> None:
    """End *task*; what it had failed of comes out."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _far_ends(mail: MailCatcher, phone: SmsCatcher) -> FarEnds:
    return FarEnds(
        smtp_host=LOOPBACK,
        smtp_port=mail.port,
        twilio_url=phone.base_url,
        account_sid=phone.account_sid,
        auth_token=phone.auth_token,
        from_number=GOOD_SENDER,
    )


def _job(number: int) -> Job:
    return Job(
        organization_id=UUID(int=0),
        id=f"J-{number}",
        email=f"client-{number}@origin.example",
        phone=f"+1{_AREA}200{number:04}",
    )
