"""Record the histories that the replay tests read: ``make record-histories [ARGS="name …"]``.

Each scenario runs on a real Temporal server, around a real database, mail server and telephone
company. Histories of released code are never deleted: runs like them may still be waiting.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
from temporalio.client import WorkflowFailureError

from devstack.mail import MailCatcher
from devstack.postgres import EmbeddedPostgres
from devstack.sms import SmsCatcher
from devstack.temporal_server import EmbeddedTemporal
from fixlify import temporal
from fixlify.domain import queues
from fixlify.domain.sweeps import Sweep, SweepKind
from fixlify.storage.migrations import migrate
from tests.engine import Engine, eventually, running_engine
from tests.office import Office
from tests.replay.scenarios import SCENARIOS, SWEEP_SCENARIOS, Scenario, SweepScenario
from tests.sweeping import add_invoice
from workflows.automation import AutomationWorkflow
from workflows.sweep import SweepWorkflow

ROOT = Path(__file__).parent.parent.parent
HISTORIES = Path(__file__).parent / "histories"


_OVERDUE = """
name: Overdue
trigger: {type: invoice_overdue, days: 3}
steps: [{type: send_email, subject: Late, text: Please pay.}]
"""


async def record_all(names: Collection[str] = (), folder: Path = HISTORIES) -> None:
    """Run the scenarios of these *names*, or all, and write their histories below *folder*.

    Each replaces its last recording.
    """
    with tempfile.TemporaryDirectory(prefix="fixlify-record-") as temporary:
        home = Path(temporary)
        async with (
            EmbeddedPostgres(home / "postgres", durable=False) as postgres,
            EmbeddedTemporal(home / "temporal", ui=False) as server,
            MailCatcher() as mail,
            SmsCatcher() as phone,
        ):
            client = await temporal.connect(server.address, "default")
            scenarios: dict[str, Scenario | SweepScenario] = {**SCENARIOS, **SWEEP_SCENARIOS}
            for name, scenario in scenarios.items():
                if names and name not in names:
                    continue
                url = await _new_database(postgres, name)
                async with (
                    await Office.open(url) as office,
                    running_engine(office, client, mail, phone) as engine,
                ):
                    history = await (
                        record(scenario, office, engine)
                        if isinstance(scenario, Scenario)
                        else record_sweep(scenario, office, engine)
                    )
                await asyncio.to_thread(_write, folder / f"{name}.json", history)


async def record(scenario: Scenario, office: Office, engine: Engine) -> str:
    """Play *scenario* and return its workflow's history as JSON."""
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
    # Endings are told apart by the recorded status, which every one of them writes.
    with suppress(WorkflowFailureError):
        await handle.result()
    (execution,) = await office.executions()
    if execution["status"] != scenario.expected_status:
        raise AssertionError(f"{execution['status']}, not {scenario.expected_status}: {execution}")
    history = await handle.fetch_history()
    return history.to_json()


async def _waits_for(office: Office, *words: str) -> bool:
    (execution,) = await office.executions()
    return all(each in (execution["waiting_for"] or "") for each in words)


async def record_sweep(scenario: SweepScenario, office: Office, engine: Engine) -> str:
    """Sweep as *scenario* says and return the workflow's history as JSON."""
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
    with suppress(WorkflowFailureError):
        await handle.result()
    (run,) = await office.query("SELECT * FROM automation_schedule_runs")
    if run["status"] != scenario.expected_status:
        raise AssertionError(f"{run['status']}, not {scenario.expected_status}: {run}")
    return (await handle.fetch_history()).to_json()


def _write(file: Path, history: str) -> None:
    file.parent.mkdir(exist_ok=True)
    # Stack traces name files; where this checkout lies is nobody's business.
    file.write_text(history.replace(f"{ROOT}/", "") + "\n", encoding="utf-8")
    print(f"recorded {file.stem}")  # noqa: T201 - a script


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
