"""Each edit is a version; what a run began with stays, and what stood before can stand again."""

from __future__ import annotations

from textwrap import dedent

import psycopg
import pytest

from fixlify.domain.automation import AutomationStatus, PausedRuns, PinnedDefinition, TemplateSource
from fixlify.domain.endings import PAUSED
from fixlify.domain.errors import DefinitionError, NotFoundError
from fixlify.domain.ids import new_id, workflow_id
from fixlify.storage.automations import Applied, find_automation, load_pinned
from fixlify.storage.database import Database
from fixlify.storage.pausing import runs_under_way, wake_paused_runs
from fixlify.storage.stops import stop_automations
from fixlify.storage.versions import StoredVersion, list_versions
from starter.definitions import change_status
from starter.templates import IncomingTemplate, import_templates
from starter.versions import existing_version, roll_back
from tests.office import Office
from tests.runs import TWO_MESSAGES, add_execution

EDITED = TWO_MESSAGES.replace("text: Thank you.", "text: Many thanks.")
AGAIN = TWO_MESSAGES.replace("job_completed", "job_created")


async def versions_of(database: Database, applied: Applied) -> list[StoredVersion]:
    automation = applied.automation
    async with database.organization(automation.organization_id) as connection:
        return await list_versions(connection, automation.organization_id, automation.id)


async def rolled_back(
    database: Database, office: Office, version: int | None = None
) -> tuple[int, Applied]:
    async with database.organization(office.organization_id) as connection:
        automation = await find_automation(connection, "Thanks")
        assert automation is not None
        return await roll_back(connection, automation, version)


async def test_versions_are_listed_with_the_runs_that_are_open_on_them(
    office: Office, app_database: Database
) -> None:
    for status in ("pending", "running", "waiting", "completed", "failed"):
        await add_execution(office, status)
    newest = await add_execution(office, "waiting")
    edited = await office.apply(EDITED)
    await office.query(
        "UPDATE automation_execution_logs SET automation_version = 2 WHERE id = %s", newest
    )

    newer, older = await versions_of(app_database, edited)

    assert (newer.version, newer.is_current, newer.open_runs) == (2, True, 1)
    assert (older.version, older.is_current, older.open_runs) == (1, False, 3)
    assert older.created_at < newer.created_at
    assert older.pinned is not None
    assert older.pinned.definition.step("text").type == "send_sms"


async def test_an_older_version_stands_again_as_a_new_one(
    office: Office, app_database: Database
) -> None:
    first = await office.apply(TWO_MESSAGES)
    await office.apply(EDITED)
    await office.apply(AGAIN)

    restored, applied = await rolled_back(app_database, office, 1)

    assert (restored, applied.change, applied.automation.version) == (1, "updated", 4)
    assert applied.automation.definition.steps == first.automation.definition.steps
    assert [each.version for each in await versions_of(app_database, applied)] == [4, 3, 2, 1]


async def test_without_a_number_it_is_the_version_before(
    office: Office, app_database: Database
) -> None:
    await office.apply(TWO_MESSAGES)
    await office.apply(EDITED)
    restored, applied = await rolled_back(app_database, office)
    assert (restored, applied.automation.version) == (1, 3)
    # And back again: the one before is now the edit.
    restored, applied = await rolled_back(app_database, office)
    assert (restored, applied.automation.version) == (2, 4)
    assert (await office.apply(EDITED)).change == "unchanged"


async def test_a_rollback_keeps_the_status(office: Office, app_database: Database) -> None:
    await office.apply(TWO_MESSAGES)
    await office.apply(EDITED)
    await change_status(app_database, office.organization_id, "Thanks", AutomationStatus.PAUSED)
    _, applied = await rolled_back(app_database, office)
    assert applied.automation.status is AutomationStatus.PAUSED


async def test_a_rollback_brings_the_texts_of_the_templates_back(
    office: Office, app_database: Database
) -> None:
    applied = await office.apply(
        "{name: Thanks, trigger: {type: job_completed},"
        " steps: [{id: text, type: send_sms, template: job-completed}]}"
    )
    shipped = await pinned_of(app_database, applied)
    rewritten = IncomingTemplate("job-completed", "sms.txt", {None: TemplateSource(sms="x")})
    async with app_database.organization(office.organization_id) as connection:
        done = await import_templates(connection, office.organization_id, [rewritten])
    assert [each.automation.version for each in done.automations] == [2]

    _, restored = await rolled_back(app_database, office)

    assert (await pinned_of(app_database, restored)).templates == shipped.templates


async def pinned_of(database: Database, applied: Applied) -> PinnedDefinition:
    automation = applied.automation
    async with database.organization(automation.organization_id) as connection:
        return await load_pinned(connection, automation.id, automation.version)


async def test_what_stands_already_is_not_restored(office: Office, app_database: Database) -> None:
    await office.apply(TWO_MESSAGES)
    await office.apply(EDITED)
    await office.apply(TWO_MESSAGES)
    for version in (3, 1):
        with pytest.raises(DefinitionError, match=f"what version {version} says is what stands"):
            await rolled_back(app_database, office, version)


async def test_a_version_nobody_stored_is_refused_with_those_that_are(
    office: Office, app_database: Database
) -> None:
    await office.apply(TWO_MESSAGES)
    with pytest.raises(NotFoundError, match="no version before 1; an edit makes one"):
        await rolled_back(app_database, office)
    await office.apply(EDITED)
    with pytest.raises(NotFoundError, match="no version 7; there are: 1, 2"):
        await rolled_back(app_database, office, 7)


async def test_a_version_edited_by_hand_is_listed_and_not_restored(
    office: Office, app_database: Database
) -> None:
    await office.apply(TWO_MESSAGES)
    edited = await office.apply(EDITED)
    await office.query(
        """UPDATE automation_workflow_versions SET pinned = '{"definition": {}}'"""
        " WHERE version = 1"
    )
    assert [each.pinned is None for each in await versions_of(app_database, edited)] == [
        False,
        True,
    ]
    with pytest.raises(DefinitionError, match="version 1 can no longer be read"):
        await rolled_back(app_database, office)


async def test_another_company_sees_no_version(office: Office, app_database: Database) -> None:
    applied = await office.apply(TWO_MESSAGES)
    async with (
        await Office.open(office.url, "Southwind Plumbing") as other,
        app_database.organization(other.organization_id) as connection,
    ):
        key = other.organization_id, applied.automation.id
        assert await list_versions(connection, *key) == []
        with pytest.raises(NotFoundError):
            await existing_version(connection, applied.automation, 1)


async def test_runs_under_way_are_those_that_are_not_over(
    office: Office, app_database: Database
) -> None:
    await add_execution(office, "pending")
    begun = {
        workflow_id(await add_execution(office, status, redrives=redrives), redrives)
        for status, redrives in (("running", 0), ("waiting", 2))
    }
    for status in ("completed", "failed", "skipped", "cancelled"):
        await add_execution(office, status)
    applied = await office.apply(TWO_MESSAGES)
    async with app_database.organization(office.organization_id) as connection:
        found = await runs_under_way(connection, office.organization_id, applied.automation.id)
    assert (found.pending, set(found.begun), found.total) == (1, begun, 3)


async def hold(office: Office, reason: str) -> str:
    """Enter a run whose message is held; return its workflow's id."""
    execution = await add_execution(office, "running")
    await office.insert(
        "messages",
        id=new_id(),
        organization_id=office.organization_id,
        execution_id=execution,
        step_id="text",
        channel="sms",
        recipient_kind="client",
        status="held",
        reason=reason,
    )
    return workflow_id(execution)


async def woken(office: Office, engine_database: Database) -> set[str]:
    automation = (await office.apply(TWO_MESSAGES)).automation
    async with engine_database.transaction() as connection:
        return set(await wake_paused_runs(connection, office.organization_id, automation.id))


async def test_only_the_runs_that_the_pause_held_are_woken(
    office: Office, engine_database: Database
) -> None:
    message_held = await hold(office, PAUSED)
    await hold(office, "quiet hours")
    action = await add_execution(office, "waiting", waiting_for=f"update: held: {PAUSED}")
    await add_execution(office, "waiting", waiting_for="cool-down until 2027-01-01 10:00 UTC")
    await add_execution(office, "cancelled", waiting_for=f"update: held: {PAUSED}")

    assert await woken(office, engine_database) == {message_held, workflow_id(action)}
    rows = await office.query(
        "SELECT status, waiting_for FROM automation_execution_logs WHERE id = %s", action
    )
    assert rows == [{"status": "running", "waiting_for": None}]


async def test_while_a_stop_stands_nobody_is_woken(
    office: Office, engine_database: Database
) -> None:
    await hold(office, PAUSED)
    async with engine_database.transaction() as connection:
        await stop_automations(connection, office.organization_id, None)
    assert await woken(office, engine_database) == set()


async def test_how_runs_are_paused_ends_with_the_pause(
    office: Office, app_database: Database
) -> None:
    async def paused_runs() -> str:
        (row,) = await office.query("SELECT paused_runs FROM automation_workflows")
        return str(row["paused_runs"])

    async def switch(status: AutomationStatus, runs: PausedRuns = PausedRuns.HOLD) -> None:
        await change_status(app_database, office.organization_id, "Thanks", status, runs)

    await office.apply(TWO_MESSAGES)
    await switch(AutomationStatus.PAUSED, PausedRuns.CANCEL)
    await office.apply(EDITED)
    assert await paused_runs() == "cancel"
    await switch(AutomationStatus.ACTIVE)
    assert await paused_runs() == "hold"
    await switch(AutomationStatus.PAUSED, PausedRuns.FINISH)
    await office.apply(f"status: active{dedent(EDITED)}")
    assert await paused_runs() == "hold"


async def test_an_unknown_way_to_pause_is_no_way_in_the_database_either(office: Office) -> None:
    await office.apply(TWO_MESSAGES)
    with pytest.raises(psycopg.errors.CheckViolation):
        await office.query("UPDATE automation_workflows SET paused_runs = 'forget'")
