"""Record the histories that the replay tests read: ``make record-histories [ARGS="name …"]``.

Each scenario runs on a real Temporal server, around a real database, mail server and telephone
company. Histories of released code are never deleted: runs like them may still be waiting.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from devstack.mail import MailCatcher
from devstack.postgres import EmbeddedPostgres
from devstack.sms import SmsCatcher
from devstack.temporal_server import EmbeddedTemporal
from fixlify import temporal
from fixlify.domain import queues
from fixlify.domain.sweeps import Sweep, SweepKind
from fixlify.domain.webhooks import WebhookDelivery, delivery_workflow_id
from fixlify.storage.database import Database, Role
from fixlify.storage.migrations import migrate
from fixlify.storage.webhooks import set_failure_url
from tests.engine import Engine, eventually, running_engine
from tests.office import Office
from tests.receiving import Receiver
from tests.replay.delivering import DELIVERY_SCENARIOS, DeliveryScenario
from tests.replay.scenarios import SCENARIOS, SWEEP_SCENARIOS, Scenario, SweepScenario
from tests.replay.stepping import STEP_SCENARIOS, StepScenario
from tests.stories.waiting import WaitingRoom
from tests.sweeping import add_invoice
from workflows.automation import AutomationWorkflow
from workflows.sweep import SweepWorkflow
from workflows.webhook import WebhookDeliveryWorkflow

ROOT = Path(__file__).parent.parent.parent
HISTORIES = Path(__file__).parent / "histories"

Handle = WorkflowHandle[Any, Any]

_OVERDUE = """
name: Overdue
trigger: {type: invoice_overdue, days: 3}
steps: [{type: send_email, subject: Late, text: Please pay.}]
"""


_FAILS = """
name: Fails
trigger: {type: job_completed}
steps: [{type: send_email, subject: Done, text: Thank you.}]
"""

AnyScenario = Scenario | StepScenario | SweepScenario | DeliveryScenario
EVERY_SCENARIO: Mapping[str, AnyScenario] = {
    **SCENARIOS,
    **STEP_SCENARIOS,
    **SWEEP_SCENARIOS,
    **DELIVERY_SCENARIOS,
}


async def record_all(names: Collection[str] = (), folder: Path = HISTORIES) -> None:
    """Run the scenarios of these *names* and write their histories below *folder*.

    Each replaces its last recording. Without names it is those that have none yet.
    """
    if unknown := sorted(set(names) - set(EVERY_SCENARIO)):
        raise SystemExit(f"no such scenario: {', '.join(unknown)}")
    chosen = names or [name for name in EVERY_SCENARIO if not (folder / f"{name}.json").exists()]
    with tempfile.TemporaryDirectory(prefix="fixlify-record-") as temporary:
        home = Path(temporary)
        async with (
            EmbeddedPostgres(home / "postgres", durable=False) as postgres,
            EmbeddedTemporal(home / "temporal", ui=False) as server,
            MailCatcher() as mail,
            SmsCatcher() as phone,
        ):
            client = await temporal.connect(server.address, "default")
            for name in chosen:
                url = await _new_database(postgres, name)
                async with (
                    await Office.open(url) as office,
                    Receiver() as receiver,
                    running_engine(office, client, mail, phone, webhooks=receiver.url) as engine,
                ):
                    handle = await _play(EVERY_SCENARIO[name], office, engine, receiver)
                    histories = await _histories(engine, handle)
                await asyncio.to_thread(_write, folder, name, histories)


async def _play(
    scenario: AnyScenario, office: Office, engine: Engine, receiver: Receiver
) -> Handle:
    """Play *scenario* to its end and return the handle of its workflow."""
    match scenario:
        case Scenario():
            return await play(scenario, office, engine)
        case StepScenario():
            receiver.replies += scenario.replies
            return await play_steps(scenario, office, engine)
        case SweepScenario():
            return await play_sweep(scenario, office, engine)
        case DeliveryScenario():
            return await play_delivery(scenario, office, engine, receiver)


async def play(scenario: Scenario, office: Office, engine: Engine) -> Handle:
    """Let a job be completed, and do to its run what *scenario* says."""
    await office.apply(scenario.automation)
    client_id = await office.add_client(**scenario.client)
    job_id = await office.add_job(client_id=client_id)
    await office.write_status(job_id, "completed")
    await engine.relay_everything()
    (execution,) = await office.executions()
    handle = engine.handle(execution["id"])
    if scenario.stopped or scenario.cancel_while_waiting:
        await eventually(partial(_waits_for, office, "until"))
    if scenario.stopped:
        await office.insert("automation_stops", organization_id=office.organization_id)
        await eventually(partial(_waits_for, office, "mail: held", "text: held"))
    if scenario.cancel_while_waiting:
        await handle.cancel()
    elif scenario.stopped:
        await office.query("DELETE FROM automation_stops")
        await handle.signal(AutomationWorkflow.release)
    await _ended(handle)
    _expect(scenario, (await office.executions())[0])
    return handle


async def play_steps(scenario: StepScenario, office: Office, engine: Engine) -> Handle:
    """Let a visit be scheduled, and do to its run what *scenario* says."""
    room = WaitingRoom(office, engine, WorkflowEnvironment.from_client(engine.client))
    await scenario.prepare(room)
    columns: dict[str, Any] = {
        "client_id": await office.add_client(**scenario.client),
        **scenario.job,
    }
    if scenario.visit_in is not None:
        columns["schedule_start"] = datetime.now(UTC) + scenario.visit_in
    await room.begin(scenario.automation, **columns)
    (execution,) = await office.executions()
    await scenario.play(room, engine.handle(execution["id"]))
    # A run that was redriven goes on as another workflow.
    (execution,) = await office.executions()
    handle = engine.handle(execution["id"], execution["redrives"])
    await _ended(handle)
    _expect(scenario, (await office.executions())[0])
    return handle


async def _waits_for(office: Office, *words: str) -> bool:
    (execution,) = await office.executions()
    return all(each in (execution["waiting_for"] or "") for each in words)


async def play_sweep(scenario: SweepScenario, office: Office, engine: Engine) -> Handle:
    """Sweep as *scenario* says."""
    await office.query("UPDATE organizations SET time_zone = %s", scenario.time_zone)
    await office.apply(_OVERDUE)
    today = datetime.now(ZoneInfo("America/New_York")).date()
    client_id = await office.add_client()
    await add_invoice(office, today - timedelta(days=3), client_id=client_id)
    if scenario.broken:
        await office.query(scenario.broken)
    kind = SweepKind.OVERDUE_INVOICES
    handle = await engine.client.start_workflow(
        SweepWorkflow.run,
        Sweep(
            schedule_id=kind.value,
            kind=kind,
            time_zone=scenario.time_zone,
            catch_up=scenario.catch_up,
        ),
        id=f"sweep/{kind.value}-{office.organization_id}",
        task_queue=queues.AUTOMATIONS,
    )
    if scenario.broken:

        async def was_tried() -> bool:
            pending = (await handle.describe()).raw_description.pending_activities
            return any(activity.attempt > 1 for activity in pending)

        await eventually(was_tried)
        await (office.query(scenario.mended) if scenario.mended else handle.cancel())
    await _ended(handle)
    _expect(scenario, (await office.query("SELECT * FROM automation_schedule_runs"))[0])
    return handle


async def play_delivery(
    scenario: DeliveryScenario, office: Office, engine: Engine, receiver: Receiver
) -> Handle:
    """Let a run fail, and tell of it as *scenario* says."""
    receiver.replies += scenario.replies
    receiver.otherwise = scenario.otherwise or receiver.otherwise
    await office.apply(_FAILS)
    database = Database(office.url, Role.ENGINE, pool_size=1)
    try:
        async with database.statement() as connection:
            await set_failure_url(connection, office.organization_id, "https://ada.example.com/")
    finally:
        await database.close()
    job_id = await office.add_job(client_id=await office.add_client(email=None))
    await office.write_status(job_id, "completed")
    await engine.settled()
    if scenario.disabled:
        await office.query("UPDATE webhook_settings SET disabled_at = now(), disabled_reason = ''")
    (delivery,) = await office.query("SELECT * FROM webhook_deliveries")
    handle = await engine.client.start_workflow(
        WebhookDeliveryWorkflow.run,
        WebhookDelivery(
            delivery_id=delivery["id"],
            organization_id=office.organization_id,
            give_up_after=scenario.give_up_after,
        ),
        id=delivery_workflow_id(delivery["id"]),
        task_queue=queues.AUTOMATIONS,
    )
    if scenario.cancelled:

        async def was_tried() -> bool:
            return bool(receiver.received)

        await eventually(was_tried)
        await handle.cancel()
    await _ended(handle)
    _expect(scenario, (await office.query("SELECT * FROM webhook_deliveries"))[0])
    return handle


async def _ended(handle: Handle) -> None:
    # Endings are told apart by the recorded status, which every one of them writes.
    with suppress(WorkflowFailureError):
        await handle.result()


def _expect(scenario: AnyScenario, row: dict[str, Any]) -> None:
    if row["status"] != scenario.expected_status:
        raise AssertionError(f"{row['status']}, not {scenario.expected_status}: {row}")


async def _histories(engine: Engine, handle: Handle) -> list[str]:
    """Return a workflow's history as JSON, and before it those it goes on from."""
    newest = await handle.fetch_history()
    begun = newest.events[0].workflow_execution_started_event_attributes
    if not begun.continued_execution_run_id:
        return [newest.to_json()]
    former = engine.client.get_workflow_handle(handle.id, run_id=begun.continued_execution_run_id)
    return [*await _histories(engine, former), newest.to_json()]


def _write(folder: Path, name: str, histories: list[str]) -> None:
    """Write the last as *name*, and those it goes on from as ``NAME-1``, ``NAME-2``, …"""
    folder.mkdir(exist_ok=True)
    *former, newest = histories
    named = {f"{name}-{number}": each for number, each in enumerate(former, start=1)}
    for stem, history in {**named, name: newest}.items():
        lines = ",\n".join(
            json.dumps(event, separators=(",", ":")) for event in json.loads(history)["events"]
        )
        # Stack traces name files; where this checkout lies is nobody's business.
        text = f'{{"events": [\n{lines}\n]}}\n'.replace(f"{ROOT}/", "")
        (folder / f"{stem}.json").write_text(text, encoding="utf-8")
        print(f"recorded {stem}")  # noqa: T201 - a script


async def _new_database(postgres: EmbeddedPostgres, name: str) -> str:
    database = name.replace("-", "_")
    async with await psycopg.AsyncConnection.connect(
        postgres.dsn("postgres"), autocommit=True
    ) as connection:
        await connection.execute(f"CREATE DATABASE {database}".encode())
    url = postgres.dsn(database)
    await asyncio.to_thread(migrate, url)
    return url


if __name__ == "__main__":
    asyncio.run(record_all(sys.argv[1:]))
