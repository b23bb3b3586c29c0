"""Record the histories that the replay tests read: ``make record-histories``.

Each scenario runs on a real Temporal server, around a real database, mail server and telephone
company. Histories of released code are never deleted: runs like them may still be waiting.
"""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import suppress
from functools import partial
from pathlib import Path

import psycopg
from temporalio.client import WorkflowFailureError

from devstack.mail import MailCatcher
from devstack.postgres import EmbeddedPostgres
from devstack.sms import SmsCatcher
from devstack.temporal_server import EmbeddedTemporal
from fixlify import temporal
from fixlify.storage.migrations import migrate
from tests.engine import Engine, eventually, running_engine
from tests.office import Office
from tests.replay.scenarios import SCENARIOS, Scenario
from workflows.automation import AutomationWorkflow

ROOT = Path(__file__).parent.parent.parent
HISTORIES = Path(__file__).parent / "histories"


async def record_all(folder: Path = HISTORIES) -> None:
    """Run every scenario and write its history below *folder*, replacing the last recording."""
    with tempfile.TemporaryDirectory(prefix="fixlify-record-") as temporary:
        home = Path(temporary)
        async with (
            EmbeddedPostgres(home / "postgres", durable=False) as postgres,
            EmbeddedTemporal(home / "temporal", ui=False) as server,
            MailCatcher() as mail,
            SmsCatcher() as phone,
        ):
            client = await temporal.connect(server.address, "default")
            for name, scenario in SCENARIOS.items():
                url = await _new_database(postgres, name)
                async with (
                    await Office.open(url) as office,
                    running_engine(office, client, mail, phone) as engine,
                ):
                    history = await record(scenario, office, engine)
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
    asyncio.run(record_all())
