"""The keeper beside the relay gives every automation of the clock its schedule by itself."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from fixlify import temporal
from fixlify.settings import Settings
from fixlify.storage.database import Database
from starter.schedules import ScheduleKeeper, reconcile
from starter.schedules.keeper import LOOK_INTERVAL
from starter.service import running_relay
from tests.engine import eventually
from tests.office import Office
from tests.scheduling import new_namespace

DAILY = """
name: Good morning
trigger: {type: scheduled, frequency: daily, hour: 7}
steps: [{type: send_sms, text: Good morning}]
"""


@pytest.fixture
async def client(temporal_client: Client) -> Client:
    address = temporal_client.service_client.config.target_host
    return await temporal.connect(address, await new_namespace(temporal_client))


async def names(office: Office) -> set[str]:
    return {row["name"] for row in await office.query("SELECT name FROM automation_schedules")}


async def test_it_syncs_at_the_start_and_then_only_what_changed(
    office: Office, client: Client, engine_database: Database
) -> None:
    kept = ScheduleKeeper(client, engine_database)
    first = await kept.keep()
    assert first is not None
    assert first.created
    assert await kept.keep() is None

    applied = await office.apply(DAILY)
    second = await kept.keep()
    assert second is not None
    assert second.created == [f"scheduled/{applied.automation.id}"]
    assert await kept.keep() is None

    await office.apply(DAILY.replace("hour: 7", "hour: 8"))
    third = await kept.keep()
    assert third is not None
    assert third.updated == second.created


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE organizations SET time_zone = 'Europe/Berlin'",
        "INSERT INTO organizations (name, time_zone) VALUES ('Spree', 'Europe/Berlin')",
        "UPDATE automation_workflows SET status = 'paused'",
        "UPDATE automation_workflows SET name = 'Good day'",
    ],
)
async def test_whatever_schedules_are_made_from_is_noticed(
    change: str, office: Office, client: Client, engine_database: Database
) -> None:
    await office.apply(DAILY)
    kept = ScheduleKeeper(client, engine_database)
    await kept.keep()
    assert await kept.keep() is None
    await office.query(change)
    result = await kept.keep()
    assert result is not None
    assert result.changed


async def test_what_has_no_part_in_schedules_is_not(
    office: Office, client: Client, engine_database: Database
) -> None:
    kept = ScheduleKeeper(client, engine_database)
    await kept.keep()
    await office.add_job()
    await office.apply(
        "{name: T, trigger: {type: job_completed}, steps: [{type: send_sms, text: T}]}"
    )
    assert await kept.keep() is None


async def test_it_waits_for_a_temporal_that_is_away(
    office: Office, client: Client, engine_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    back = asyncio.Event()

    async def sync(*arguments: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if not back.is_set():
            raise RPCError("away", RPCStatusCode.UNAVAILABLE, b"")
        return await reconcile.sync(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("starter.schedules.keeper.sync", sync)
    kept = ScheduleKeeper(client, engine_database, look_interval=LOOK_INTERVAL / 1000)
    running = asyncio.create_task(kept.run())
    try:

        async def tried_twice() -> bool:
            return calls > 1

        await eventually(tried_twice)
        assert await names(office) == set()
        back.set()
        await eventually(lambda: names(office))
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_it_runs_beside_the_relay(office: Office, client: Client) -> None:
    settings = Settings(FIXLIFY_DATABASE_URL=office.url)
    async with running_relay(settings, client, eager=False) as tasks:
        assert "schedules" in {task.get_name() for task in tasks}

        async def synced() -> bool:
            return "check-automation-triggers" in await names(office)

        await eventually(synced)
