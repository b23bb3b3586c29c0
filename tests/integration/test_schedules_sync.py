"""Temporal's schedules are brought to what there should be, and nobody else's are touched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleDescription,
    ScheduleOverlapPolicy,
    ScheduleSpec,
    ScheduleUpdate,
)
from temporalio.service import RPCError, RPCStatusCode

from fixlify import temporal
from fixlify.domain.ids import new_id
from fixlify.domain.sweeps import Sweep
from fixlify.storage.database import Database, Role
from starter.schedules.actions import LONGEST_SWEEP
from starter.schedules.lock import schedules_lock
from starter.schedules.reconcile import SyncResult, sync
from starter.schedules.remote import PAUSED_WITH_AUTOMATION
from tests.engine import eventually
from tests.office import Office
from tests.scheduling import new_namespace

SHARED = [
    "check-automation-triggers",
    "check-maintenance-reminders/America/New_York",
    "check-overdue-invoices/America/New_York",
    "update-automation-analytics",
]
WEEKLY = """
name: Monday digest
trigger: {type: scheduled, frequency: weekly, day_of_week: monday, hour: 9}
steps: [{type: send_sms, text: Good morning}]
"""


class RecordingCalls:
    """Counts what is written to Temporal, by the name of the call."""

    def __init__(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        self.written: list[str] = []
        service = client.service_client.workflow_service
        for name in ("create_schedule", "update_schedule", "patch_schedule", "delete_schedule"):
            monkeypatch.setattr(service, name, self._counted(name, getattr(service, name)))

    def _counted(self, name: str, call: Any) -> Any:
        async def counted(*arguments: Any, **options: Any) -> Any:
            self.written.append(name)
            return await call(*arguments, **options)

        return counted


@pytest.fixture
async def client(temporal_client: Client) -> Client:
    """A client of a namespace that only this test uses."""
    address = temporal_client.service_client.config.target_host
    return await temporal.connect(address, await new_namespace(temporal_client))


@pytest.fixture
async def monday(office: Office) -> str:
    """The id of the schedule of an automation that a clock sets off."""
    return f"scheduled/{(await office.apply(WEEKLY)).automation.id}"


async def described(client: Client, schedule_id: str) -> ScheduleDescription:
    return await client.get_schedule_handle(schedule_id).describe()


async def exists(client: Client, schedule_id: str) -> bool:
    try:
        await described(client, schedule_id)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return False
    return True


async def paused(client: Client, schedule_id: str) -> tuple[bool, str | None]:
    state = (await described(client, schedule_id)).schedule.state
    return state.paused, state.note


async def rows(office: Office) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in await office.query("SELECT * FROM automation_schedules")}


def nothing_done(result: SyncResult) -> bool:
    return not result.changed and not result.problems


async def test_the_first_sync_creates_everything_and_the_second_writes_nothing(
    office: Office,
    monday: str,
    client: Client,
    engine_database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = await sync(client, engine_database)
    assert sorted(first.created) == sorted([*SHARED, monday])
    assert not first.problems
    before = await rows(office)

    calls = RecordingCalls(client, monkeypatch)
    again = await sync(client, engine_database)
    light = await sync(client, engine_database, thorough=False)

    assert calls.written == []
    assert nothing_done(again)
    assert nothing_done(light)
    assert sorted(again.unchanged) == sorted(light.unchanged) == sorted(first.created)
    after = await rows(office)
    unstamped = {"synced_at": None, "next_run_at": None}
    assert {key: row | unstamped for key, row in after.items()} == {
        key: row | unstamped for key, row in before.items()
    }


async def test_temporal_and_the_row_say_the_same(
    office: Office, monday: str, client: Client, engine_database: Database
) -> None:
    await sync(client, engine_database)
    schedule = await described(client, monday)
    row = (await rows(office))[monday]

    assert schedule.schedule.spec.time_zone_name == row["time_zone"] == "America/New_York"
    assert schedule.schedule.spec.calendars[0].comment == row["schedule"] == "0 9 * * 1"
    assert schedule.info.next_action_times[0] == row["next_run_at"]
    assert (row["name"], row["active"], row["problem"]) == ("Monday digest", True, None)
    assert row["catch_up"] == "1h"
    assert row["synced_hash"] == row["content_hash"]
    assert row["organization_id"] == office.organization_id
    policy = schedule.schedule.policy
    assert policy.overlap is ScheduleOverlapPolicy.BUFFER_ONE
    action = schedule.schedule.action
    assert isinstance(action, ScheduleActionStartWorkflow)
    assert (action.workflow, action.id, action.task_queue) == (
        "sweep",
        f"sweep/{monday}",
        "automations",
    )
    assert action.priority.fairness_key == str(office.organization_id)
    assert schedule.typed_search_attributes[temporal.AUTOMATION] == monday.partition("/")[2]
    assert schedule.typed_search_attributes[temporal.ORGANIZATION] == str(office.organization_id)


@pytest.mark.parametrize(
    ("schedule_id", "catch_up", "left_out_after"),
    [
        ("check-overdue-invoices/America/New_York", timedelta(hours=6), None),
        ("check-automation-triggers", timedelta(minutes=1), None),
        ("monday", timedelta(hours=1), timedelta(hours=1)),
    ],
)
async def test_a_run_waits_for_a_worker_as_long_as_it_would_for_the_server(
    schedule_id: str,
    catch_up: timedelta,
    left_out_after: timedelta | None,
    monday: str,
    client: Client,
    engine_database: Database,
) -> None:
    """Who is promised the afternoon is not timed out at ten."""
    await sync(client, engine_database)
    schedule = await described(client, monday if schedule_id == "monday" else schedule_id)

    assert schedule.schedule.policy.catchup_window == catch_up
    action = schedule.schedule.action
    assert isinstance(action, ScheduleActionStartWorkflow)
    assert action.execution_timeout == catch_up + LONGEST_SWEEP
    (sweep,) = await client.data_converter.decode(action.args, [Sweep])
    assert sweep.catch_up == left_out_after


async def test_one_schedule_serves_all_organizations_of_a_zone(
    office: Office, client: Client, engine_database: Database
) -> None:
    async with (
        await Office.open(office.url, "Eastern", time_zone="America/New_York"),
        await Office.open(office.url, "Spree", time_zone="Europe/Berlin"),
    ):
        result = await sync(client, engine_database)
    assert sorted(result.created) == sorted(
        [
            *SHARED,
            "check-maintenance-reminders/Europe/Berlin",
            "check-overdue-invoices/Europe/Berlin",
        ]
    )


async def test_an_unknown_zone_is_a_problem_and_no_more(
    office: Office, client: Client, engine_database: Database
) -> None:
    async with await Office.open(office.url, "Far away", time_zone="Mars/Olympus") as far:
        await far.apply(WEEKLY)
        result = await sync(client, engine_database)
    assert sorted(result.created) == SHARED
    said = "\n".join(map(str, result.problems))
    assert len(result.problems) == 3
    assert "check-overdue-invoices/Mars/Olympus: unknown time zone 'Mars/Olympus'" in said
    assert "one organization has it" in said


async def test_an_unreadable_automation_keeps_its_schedule_and_says_why(
    office: Office, monday: str, client: Client, engine_database: Database
) -> None:
    await sync(client, engine_database)
    await office.query("UPDATE automation_workflows SET trigger_config = '{\"hour\": 25}'")
    result = await sync(client, engine_database)

    assert not result.changed
    (problem,) = result.problems
    assert problem.schedule_id == monday
    assert "hour" in problem.message
    assert (await rows(office))[monday]["problem"] == problem.message
    assert await exists(client, monday)

    await office.query(
        "UPDATE automation_workflows SET trigger_config = "
        '\'{"frequency": "weekly", "day_of_week": "monday", "hour": 9}\''
    )
    assert nothing_done(await sync(client, engine_database))
    assert (await rows(office))[monday]["problem"] is None


async def test_an_edited_trigger_updates_its_schedule_without_a_thorough_look(
    office: Office, monday: str, client: Client, engine_database: Database
) -> None:
    await sync(client, engine_database)
    await office.apply(WEEKLY.replace("hour: 9", "hour: 17, catch_up: 30m"))
    result = await sync(client, engine_database, thorough=False)
    assert result.updated == [monday]
    row = (await rows(office))[monday]
    assert (row["schedule"], row["catch_up"]) == ("0 17 * * 1", "30m")

    async def temporal_has_it() -> bool:
        schedule = (await described(client, monday)).schedule
        return schedule.spec.calendars[0].comment == "0 17 * * 1"

    await eventually(temporal_has_it)


async def test_a_paused_automation_pauses_its_schedule_and_a_drafted_one_loses_it(
    office: Office, monday: str, client: Client, engine_database: Database
) -> None:
    await sync(client, engine_database)

    await office.query("UPDATE automation_workflows SET status = 'paused'")
    assert (await sync(client, engine_database)).paused == [monday]
    await eventually(lambda: _is(client, monday, (True, PAUSED_WITH_AUTOMATION)))
    assert (await rows(office))[monday]["paused_reason"] == PAUSED_WITH_AUTOMATION
    assert nothing_done(await sync(client, engine_database))

    await office.query("UPDATE automation_workflows SET status = 'active'")
    assert (await sync(client, engine_database)).unpaused == [monday]
    await eventually(lambda: _is(client, monday, (False, None)))
    assert (await rows(office))[monday]["active"]

    await office.query("UPDATE automation_workflows SET status = 'archived'")
    assert (await sync(client, engine_database)).deleted == [monday]
    assert not await exists(client, monday)
    assert monday not in await rows(office)
    assert nothing_done(await sync(client, engine_database))


async def _is(client: Client, schedule_id: str, expected: tuple[bool, str | None]) -> bool:
    return await paused(client, schedule_id) == expected


async def test_what_an_operator_paused_stays_paused(
    office: Office, monday: str, client: Client, engine_database: Database
) -> None:
    """Through syncs, through edits, through the automation's own pause, and through its loss."""
    await sync(client, engine_database)
    mine = (True, "Christmas")
    await client.get_schedule_handle(monday).pause(note="Christmas")

    assert nothing_done(await sync(client, engine_database))
    row = (await rows(office))[monday]
    assert (row["active"], row["paused_reason"]) == (False, "Christmas")

    await office.apply(WEEKLY.replace("hour: 9", "hour: 17"))
    assert (await sync(client, engine_database)).updated == [monday]
    assert await paused(client, monday) == mine

    await office.query("UPDATE automation_workflows SET status = 'paused'")
    await sync(client, engine_database)
    await office.query("UPDATE automation_workflows SET status = 'active'")
    await sync(client, engine_database)
    assert await paused(client, monday) == mine

    await client.get_schedule_handle(monday).delete()
    assert (await sync(client, engine_database)).created == [monday]
    assert await paused(client, monday) == mine


async def test_what_was_changed_or_deleted_in_temporal_is_put_right(
    office: Office, monday: str, client: Client, engine_database: Database
) -> None:
    await sync(client, engine_database)
    await client.get_schedule_handle(SHARED[0]).delete()
    was = (await described(client, monday)).schedule

    await client.get_schedule_handle(monday).update(
        lambda now: ScheduleUpdate(
            replace(now.description.schedule, spec=replace(was.spec, time_zone_name="UTC"))
        )
    )
    await eventually(lambda: _zone_is(client, monday, "UTC"))

    result = await sync(client, engine_database)
    assert (result.created, result.updated) == ([SHARED[0]], [monday])
    await eventually(lambda: _zone_is(client, monday, "America/New_York"))


async def _zone_is(client: Client, schedule_id: str, zone: str) -> bool:
    return (await described(client, schedule_id)).schedule.spec.time_zone_name == zone


async def test_nobody_elses_schedule_is_touched(
    office: Office, client: Client, engine_database: Database
) -> None:
    """Neither one of another name, nor one that happens to have a name of ours."""
    theirs = Schedule(
        ScheduleActionStartWorkflow("backup", id="backup", task_queue="theirs"), ScheduleSpec()
    )
    names = ["nightly-backup", "update-automation-analytics", f"scheduled/{new_id()}"]
    for name in names:
        await client.create_schedule(name, theirs)
    result = await sync(client, engine_database)

    (problem,) = result.problems
    assert problem.schedule_id == "update-automation-analytics"
    assert "not ours" in problem.message
    assert not result.deleted
    for name in names:
        action = (await described(client, name)).schedule.action
        assert isinstance(action, ScheduleActionStartWorkflow)
        assert action.workflow == "backup"
    assert (await rows(office))["update-automation-analytics"]["synced_hash"] is None


async def test_a_schedule_left_behind_by_a_deleted_automation_is_removed(
    office: Office, monday: str, client: Client, engine_database: Database
) -> None:
    """Also when its row is gone too, as after a restored backup."""
    await sync(client, engine_database)
    await office.query("DELETE FROM automation_workflow_versions")
    await office.query("DELETE FROM automation_workflows")
    await office.query("DELETE FROM automation_schedules WHERE id = %s", monday)

    async def deleted() -> list[str]:
        # The list of schedules lags.
        return (await sync(client, engine_database)).deleted

    assert await eventually(deleted) == [monday]
    assert not await exists(client, monday)


async def test_what_temporal_refuses_is_noted_and_the_others_go_on(
    office: Office,
    monday: str,
    client: Client,
    engine_database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = client.service_client.workflow_service
    create = service.create_schedule

    async def refuse(request: Any, **options: Any) -> Any:
        if request.schedule_id == monday:
            raise RPCError("Invalid schedule spec", RPCStatusCode.INVALID_ARGUMENT, b"")
        return await create(request, **options)

    with monkeypatch.context() as patched:
        patched.setattr(service, "create_schedule", refuse)
        result = await sync(client, engine_database)
    assert sorted(result.created) == SHARED
    assert [str(each) for each in result.problems] == [f"{monday}: Invalid schedule spec"]
    assert (await rows(office))[monday]["problem"] == "Invalid schedule spec"

    assert (await sync(client, engine_database, thorough=False)).created == [monday]
    assert (await rows(office))[monday]["problem"] is None


async def test_what_was_done_before_temporal_went_away_is_recorded(
    office: Office,
    monday: str,
    client: Client,
    engine_database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = client.service_client.workflow_service
    create = service.create_schedule

    async def away(request: Any, **options: Any) -> Any:
        if request.schedule_id == monday:
            raise RPCError("connection refused", RPCStatusCode.UNAVAILABLE, b"")
        return await create(request, **options)

    with monkeypatch.context() as patched:
        patched.setattr(service, "create_schedule", away)
        with pytest.raises(RPCError, match="connection refused"):
            await sync(client, engine_database)
    assert sorted(await rows(office)) == SHARED
    assert (await sync(client, engine_database, thorough=False)).created == [monday]


@pytest.fixture
async def other_database(database_url: str) -> AsyncIterator[Database]:
    """The database as another process sees it."""
    database = Database(database_url, Role.ENGINE, pool_size=1)
    yield database
    await database.close()


async def test_two_syncs_at_once_do_the_work_once(
    monday: str, client: Client, engine_database: Database, other_database: Database
) -> None:
    results = await asyncio.gather(sync(client, engine_database), sync(client, other_database))
    created = [schedule_id for result in results for schedule_id in result.created]
    assert sorted(created) == sorted([*SHARED, monday])
    assert [result.updated + result.deleted for result in results] == [[], []]


async def test_a_sync_waits_for_the_process_that_changes_schedules(
    monday: str, client: Client, engine_database: Database, other_database: Database
) -> None:
    async with schedules_lock(other_database):
        waiting = asyncio.create_task(sync(client, engine_database))
        done, _ = await asyncio.wait([waiting], timeout=0.3)
        assert not done
    assert monday in (await waiting).created
