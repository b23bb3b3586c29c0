"""Play the demo: a fresh stack, a company, one change to watch and fifty to measure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import quantiles
from time import monotonic
from typing import Any, Final
from uuid import UUID

import psycopg
from pydantic import SecretStr
from temporalio.client import Client

from cli.sample import SAMPLE_AUTOMATION, SampleCompany, SampleJob, apply_shipped
from cli.worker_process import WorkerProcess
from devstack.mail import CapturedEmail, MailCatcher
from devstack.sms import SmsCatcher
from devstack.stack import DevStack, Ports
from devstack.temporal_actions import billable_actions
from devstack.twilio_api import CapturedSms
from devstack.web import LoopbackServer
from fixlify import temporal
from fixlify.domain.errors import DevstackError
from fixlify.domain.ids import workflow_id
from fixlify.storage.database import Database, Role
from fixlify.storage.migrations import migrate
from starter.http.app import build_app
from starter.http.twilio import TwilioCaller, twilio_router

FURTHER_CHANGES: Final = 50
PAUSE_BETWEEN_CHANGES: Final = timedelta(milliseconds=100)
DELIVERY_DEADLINE: Final = timedelta(seconds=20)
START_DEADLINE: Final = timedelta(seconds=30)
_API_RATE: Final = "600/minute"
_LOOK_AGAIN: Final = timedelta(milliseconds=20)


@dataclass(frozen=True, slots=True)
class DemoExecution:
    """One execution as the database has it at the end, with its timings in milliseconds."""

    id: UUID
    automation: str
    status: str
    workflow_id: str


@dataclass(frozen=True, slots=True)
class Latency:
    """From the business commit to both messages accepted, in milliseconds."""

    cold: float
    warm_p50: float
    warm_p99: float


@dataclass(frozen=True, slots=True)
class DemoResult:
    """Everything the demo shows."""

    first_job: SampleJob
    steps: Sequence[dict[str, Any]]
    executions: Sequence[DemoExecution]
    emails: Sequence[CapturedEmail]
    sms: Sequence[CapturedSms]
    latency: Latency
    temporal_actions_per_run: int


async def play(home: Path, tell: Callable[[str], None]) -> DemoResult:
    """Run the whole demo below *home* and return what happened.

    Nothing of the environment is used: whatever is configured on this machine, the fictional
    people of the demo are never written to.

    Args:
        home: A folder for the stack's data.
        tell: Called with one sentence at each stage.
    """
    tell("Starting Postgres, Temporal, a mailbox and a phone")
    async with DevStack(home, usual_ports=Ports(), ui=False, api=True, environment={}) as stack:
        environment = stack.environment()
        mail, phone = stack.mail, stack.sms
        if mail is None or phone is None:
            raise DevstackError("the demo needs its own mailbox and phone")
        url = environment["FIXLIFY_DATABASE_URL"]
        tell("Creating the tables and a company with its jobs")
        await asyncio.to_thread(migrate, url)
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            company = SampleCompany(connection)
            first, *further = await company.found(1 + FURTHER_CHANGES)
            await apply_shipped(url, company.organization_id, SAMPLE_AUTOMATION)
            client = await temporal.connect(
                environment["TEMPORAL_ADDRESS"], environment["TEMPORAL_NAMESPACE"]
            )
            tell("Starting the worker")
            async with _called_back(stack), WorkerProcess(home, environment) as worker:
                await _ready(worker, connection)
                watch = _Watch(company, mail, phone)
                tell(first.change)
                cold = await watch.change(first)
                tell(f"Measuring {FURTHER_CHANGES} further changes, ten a second")
                warm = await watch.changes(further)
                executions = await _settled(connection, 1 + len(further))
                await phone.deliveries_end()
                steps = await _steps(connection, executions[0].id)
            return DemoResult(
                first_job=first,
                steps=steps,
                executions=executions,
                emails=list(mail.messages),
                sms=list(phone.messages),
                latency=_latency(cold, warm),
                temporal_actions_per_run=await _actions(client, executions[0].id),
            )


@asynccontextmanager
async def _called_back(stack: DevStack) -> AsyncIterator[None]:
    """Serve what the phone calls to report that a text message was delivered."""
    environment = stack.environment()
    database = Database(environment["FIXLIFY_DATABASE_URL"], Role.ENGINE, pool_size=2)
    caller = TwilioCaller(
        environment["TWILIO_ACCOUNT_SID"],
        SecretStr(environment["TWILIO_AUTH_TOKEN"]),
        environment["FIXLIFY_PUBLIC_URL"],
    )
    router = twilio_router(database, caller, _API_RATE)
    server = LoopbackServer(build_app(database, _API_RATE, routers=[router]))
    await server.start(stack.api_port)
    try:
        yield
    finally:
        await server.stop()
        await database.close()


class _Watch:
    """Makes changes, and times them until both messages are accepted by the far ends."""

    def __init__(self, company: SampleCompany, mail: MailCatcher, phone: SmsCatcher) -> None:
        self._company = company
        self._mail = mail
        self._phone = phone

    async def change(self, job: SampleJob) -> float:
        """Complete *job* and return the milliseconds from commit to both accepted."""
        await self._company.complete(job)
        committed = monotonic()
        email, sms = await asyncio.gather(
            self._mail.wait_for(lambda m: job.email in m.recipients, DELIVERY_DEADLINE),
            self._phone.wait_for(lambda m: m.to == job.phone, DELIVERY_DEADLINE),
        )
        return (max(email.accepted_at, sms.accepted_at) - committed) * 1000

    async def changes(self, jobs: Sequence[SampleJob]) -> list[float]:
        """Complete *jobs* at a steady pace, whether or not earlier ones are through."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        under_way = []
        for place, job in enumerate(jobs):
            due = begin + place * PAUSE_BETWEEN_CHANGES.total_seconds()
            await asyncio.sleep(max(0.0, due - loop.time()))
            under_way.append(asyncio.create_task(self.change(job)))
        return await asyncio.gather(*under_way)


def _latency(cold: float, warm: Sequence[float]) -> Latency:
    percentiles = quantiles(warm, n=100, method="inclusive")
    return Latency(
        cold=round(cold, 1),
        warm_p50=round(percentiles[49], 1),
        warm_p99=round(percentiles[98], 1),
    )


async def _ready(worker: WorkerProcess, connection: psycopg.AsyncConnection[Any]) -> None:
    """Wait until the worker listens for events and has nothing left to relay."""
    deadline = monotonic() + START_DEADLINE.total_seconds()
    while monotonic() < deadline:
        if worker.exit_code is not None:
            break
        cursor = await connection.execute(
            "SELECT EXISTS (SELECT FROM pg_stat_activity"
            " WHERE application_name = 'fixlify listen' AND query LIKE 'LISTEN%')"
            " AND NOT EXISTS (SELECT FROM automation_events WHERE processed_at IS NULL)"
        )
        row = await cursor.fetchone()
        if row is not None and row[0]:
            return
        await asyncio.sleep(_LOOK_AGAIN.total_seconds())
    raise DevstackError(f"the worker did not get ready; its log ends:\n{worker.last_words()}")


async def _settled(connection: psycopg.AsyncConnection[Any], expected: int) -> list[DemoExecution]:
    """Wait until every execution has its outcome, and return them oldest first."""
    deadline = monotonic() + DELIVERY_DEADLINE.total_seconds()
    while True:
        cursor = await connection.execute(
            "SELECT e.id, a.name, e.status FROM automation_execution_logs e"
            " JOIN automation_workflows a ON a.id = e.automation_id ORDER BY e.occurred_at"
        )
        executions = [
            DemoExecution(id_, name, status, workflow_id(id_))
            for id_, name, status in await cursor.fetchall()
        ]
        open_ones = [e for e in executions if e.status in ("pending", "running", "waiting")]
        if (len(executions) >= expected and not open_ones) or monotonic() > deadline:
            return executions
        await asyncio.sleep(_LOOK_AGAIN.total_seconds())


async def _steps(
    connection: psycopg.AsyncConnection[Any], execution_id: UUID
) -> list[dict[str, Any]]:
    """Return the moments of one run, in milliseconds after the business write."""
    cursor = await connection.execute(
        "SELECT * FROM (SELECT e.occurred_at AS at, 'the row trigger recorded the change' AS what"
        " FROM automation_execution_logs e WHERE e.id = %(id)s"
        " UNION ALL SELECT e.created_at, 'the relay matched it to the automation'"
        " FROM automation_execution_logs e WHERE e.id = %(id)s"
        " UNION ALL SELECT e.started_at, 'the workflow began'"
        " FROM automation_execution_logs e WHERE e.id = %(id)s"
        " UNION ALL SELECT m.created_at, m.channel || ' rendered' FROM messages m"
        " WHERE m.execution_id = %(id)s"
        " UNION ALL SELECT m.sent_at, m.channel || ' accepted by ' || m.provider FROM messages m"
        " WHERE m.execution_id = %(id)s"
        " UNION ALL SELECT m.delivered_at, m.channel || ' delivered, says ' || m.provider"
        " FROM messages m WHERE m.execution_id = %(id)s"
        " UNION ALL SELECT e.completed_at, 'the outcome was recorded: ' || e.status"
        " FROM automation_execution_logs e WHERE e.id = %(id)s) AS moments ORDER BY at",
        {"id": execution_id},
    )
    moments = await cursor.fetchall()
    begin = moments[0][0]
    return [
        {"milliseconds": round((at - begin).total_seconds() * 1000, 1), "what": what}
        for at, what in moments
        if at is not None
    ]


async def _actions(client: Client, execution_id: UUID) -> int:
    history = await client.get_workflow_handle(workflow_id(execution_id)).fetch_history()
    return billable_actions(history.events)
