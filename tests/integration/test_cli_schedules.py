"""Schedules are listed, explained and steered over the command line, as Temporal has them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from rich.cells import cell_len
from temporalio.client import Client, ScheduleOverlapPolicy

from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from fixlify import temporal
from fixlify.storage.database import Database
from starter.schedules import steering, sync
from starter.schedules.remote import PAUSED_WITH_AUTOMATION
from tests.command_line import CommandLine
from tests.engine import Engine, eventually, running_engine
from tests.office import Office
from tests.scheduling import new_namespace

DIGEST = """
name: Morning digest
trigger: {type: scheduled, frequency: daily, hour: 7, catch_up: 2h}
steps: [{type: send_sms, text: Good morning}]
"""


@pytest.fixture
async def client(temporal_client: Client) -> Client:
    """A client of a namespace that only this test uses."""
    address = temporal_client.service_client.config.target_host
    return await temporal.connect(address, await new_namespace(temporal_client))


@pytest.fixture
def command_line(office: Office, client: Client) -> CommandLine:
    return CommandLine(
        FIXLIFY_DATABASE_URL=office.url,
        TEMPORAL_ADDRESS=client.service_client.config.target_host,
        TEMPORAL_NAMESPACE=client.namespace,
    )


@pytest.fixture
async def digest(office: Office, client: Client, engine_database: Database) -> str:
    """The id of the synced schedule of an automation, beside the shared ones."""
    applied = await office.apply(DIGEST)
    await sync(client, engine_database)
    return f"scheduled/{applied.automation.id}"


@pytest.fixture
async def engine(
    office: Office, client: Client, mail: MailCatcher, phone: SmsCatcher
) -> AsyncIterator[Engine]:
    async with running_engine(office, client, mail, phone) as running:
        # Until then a command would say, rightly, that nobody works.
        await eventually(lambda: steering.is_worked_on(client))
        yield running


async def test_sync_says_what_it_did_and_a_second_one_that_nothing_changed(
    office: Office, command_line: CommandLine
) -> None:
    await office.apply(DIGEST)
    first = await command_line.run("schedules", "sync")
    assert (first.code, first.err) == (0, "")
    assert "created   check-overdue-invoices/America/New_York" in first.lines
    again = await command_line.run("schedules", "sync", "--json")
    assert len(again.document.pop("unchanged")) == 5
    assert set(map(tuple, again.document.values())) == {(), tuple(again.document["unchanged"])}


async def test_a_sync_with_a_problem_tells_it_and_exits_with_one(
    office: Office, command_line: CommandLine
) -> None:
    await office.query("UPDATE organizations SET time_zone = 'Europe/Berlim'")
    said = await command_line.run("schedules", "sync")
    assert said.code == 1
    assert "did you mean 'Europe/Berlin'?" in said.err


async def test_the_list_names_every_schedule_with_zone_next_run_and_last_result(
    digest: str, client: Client, command_line: CommandLine
) -> None:
    listed = {
        each["id"]: each
        for each in (await command_line.run("schedules", "list", "--json")).document
    }
    in_temporal = {
        each.id: await client.get_schedule_handle(each.id).describe()
        for each in [each async for each in await client.list_schedules()]
    }
    assert set(listed) == set(in_temporal)
    for schedule_id, schedule in in_temporal.items():
        one = listed[schedule_id]
        assert one["time_zone"] == schedule.schedule.spec.time_zone_name
        assert one["cron"] == schedule.schedule.spec.calendars[0].comment
        if one["cron"] != "* * * * *":
            assert datetime.fromisoformat(one["next_run"]) == schedule.info.next_action_times[0]
        assert one["next_run_from"] == "temporal"
        assert (one["active"], one["last_result"], one["problem"]) == (True, None, None)
    assert listed[digest]["name"] == "Morning digest"
    assert listed[digest]["schedule"] == "daily at 07:00"
    assert listed[digest]["catch_up"] == "2h"


async def test_the_table_tells_the_same_in_words(digest: str, command_line: CommandLine) -> None:
    said = await command_line.run("schedules", "list")
    assert said.code == 0
    assert any(line.startswith("Morning digest  ") for line in said.lines)
    assert "    daily at 07:00, America/New_York · 0 7 * * * · catches up 2h" in said.lines
    assert said.lines[-1].startswith("Next and last runs by this computer's clock, ")


async def test_an_organization_sees_its_own_and_the_shared_ones(
    office: Office,
    digest: str,
    client: Client,
    engine_database: Database,
    command_line: CommandLine,
) -> None:
    async with await Office.open(office.url, "Southwind Plumbing") as other:
        await other.apply(DIGEST)
        await sync(client, engine_database)
        listed = await command_line.run(
            "schedules", "list", "--organization", "southwind plumbing", "--json"
        )
        assert {each["organization_id"] for each in listed.document} == {
            None,
            str(other.organization_id),
        }
        assert len(listed.document) == 5

        ambiguous = await command_line.run("schedules", "show", "Morning digest")
    assert ambiguous.code == 1
    assert "2 schedules are called 'Morning digest'; give the id:" in ambiguous.err
    assert digest in ambiguous.err


async def test_without_temporal_the_list_is_as_last_known_and_says_so(
    office: Office, digest: str
) -> None:
    alone = CommandLine(FIXLIFY_DATABASE_URL=office.url, TEMPORAL_ADDRESS="127.0.0.1:9")
    said = await alone.run("schedules", "list", "--json")
    assert said.code == 0
    assert "Temporal is away" in said.err
    assert {each["next_run_from"] for each in said.document} == {"database"}
    assert all(each["next_run"] for each in said.document)
    paused = await alone.run("schedules", "pause", digest)
    assert (paused.code, paused.out) == (1, "")
    assert "Temporal does not answer at 127.0.0.1:9" in paused.err


async def test_a_schedule_is_known_by_name_id_and_automation(
    digest: str, command_line: CommandLine
) -> None:
    for name in (digest, digest.partition("/")[2], "morning DIGEST"):
        said = await command_line.run("schedules", "show", name, "--json")
        assert said.document["id"] == digest
    said = await command_line.run("schedules", "show", "check-overdue-invoices", "--json")
    assert said.document["id"] == "check-overdue-invoices/America/New_York"
    unknown = await command_line.run("schedules", "show", "check-overdue-invoice")
    assert unknown.code == 1
    assert "did you mean 'check-overdue-invoices'?" in unknown.err


async def test_show_gives_each_setting_with_its_reason(
    digest: str, command_line: CommandLine
) -> None:
    said = await command_line.run("schedules", "show", "check-overdue-invoices")
    assert said.lines[0] == "● active  check-overdue-invoices"
    assert "  when      daily at 09:00 (0 9 * * *), America/New_York" in said.lines
    assert "  catch-up  6h" in said.lines
    assert "  jitter    2m" in said.lines
    assert "One per time zone, not per organization" in " ".join(said.out.split())
    assert said.lines[-1] == "It has not run yet."
    assert max(map(cell_len, said.lines)) <= 80


async def test_show_tells_how_often_it_was_due_and_did_not_run(
    digest: str, client: Client, command_line: CommandLine
) -> None:
    """A run under way that no worker takes keeps the next from beginning."""
    name = "check-automation-triggers"
    handle = client.get_schedule_handle(name)

    async def under_way() -> bool:
        return bool((await handle.describe()).info.running_actions)

    async def skipped() -> bool:
        return (await handle.describe()).info.num_actions_skipped_overlap > 0

    await handle.trigger(overlap=ScheduleOverlapPolicy.SKIP)
    await eventually(under_way)
    await handle.trigger(overlap=ScheduleOverlapPolicy.SKIP)
    await eventually(skipped)
    one = (await command_line.run("schedules", "show", name, "--json")).document
    assert one["left_out"]["overlapping"] >= 1
    said = await command_line.run("schedules", "show", name)
    assert "left out  0 later than the catch-up, " in said.out

    one = (await command_line.run("schedules", "show", digest, "--json")).document
    assert one["left_out"] == {"too_late": 0, "overlapping": 0}
    assert "left out" not in (await command_line.run("schedules", "show", digest)).out


async def test_a_pause_holds_with_its_reason_until_resumed(
    digest: str, client: Client, engine_database: Database, command_line: CommandLine
) -> None:
    said = await command_line.run("schedules", "pause", digest, "--reason", "Christmas [b]")
    assert (said.code, said.out) == (0, "Morning digest is paused.\n")
    state = (await client.get_schedule_handle(digest).describe()).schedule.state
    assert (state.paused, state.note) == (True, "Christmas [b]")

    await sync(client, engine_database)
    shown = await command_line.run("schedules", "show", digest)
    assert shown.lines[:2] == ["‖ paused  Morning digest", "Christmas [b]"]
    one = (await command_line.run("schedules", "show", digest, "--json")).document
    assert (one["active"], one["paused_reason"], one["next_run"]) == (False, "Christmas [b]", None)

    said = await command_line.run("schedules", "resume", digest)
    assert (said.code, said.out) == (0, "Morning digest runs again.\n")
    one = (await command_line.run("schedules", "show", digest, "--json")).document
    assert one["active"]
    assert one["next_run"]


async def test_whoever_resumes_reads_in_the_database_when_it_runs_next(
    office: Office, digest: str, command_line: CommandLine
) -> None:
    """Not when it would have run while it was paused."""
    await command_line.run("schedules", "pause", digest)
    await office.query("UPDATE automation_schedules SET next_run_at = now() - interval '9 days'")

    await command_line.run("schedules", "resume", digest)

    one = (await command_line.run("schedules", "show", digest, "--json")).document
    (row,) = await office.query(
        "SELECT next_run FROM automation_cron_status WHERE schedule_id = %s", digest
    )
    assert row["next_run"] == datetime.fromisoformat(one["next_run"])


async def test_the_list_says_which_schedules_could_not_be_made(
    office: Office, digest: str, command_line: CommandLine
) -> None:
    """Nothing ever falls due for such a company, and no row says so."""
    async with await Office.open(office.url, "Elsewhere", time_zone="america/new_york"):
        said = await command_line.run("schedules", "list", "--json")
    assert len(said.document) == 5
    assert "check-overdue-invoices/america/new_york: unknown time zone" in said.err
    assert "did you mean 'America/New_York'?" in said.err


@pytest.mark.parametrize(
    "command", [["trigger"], ["backfill", "--from", "2026-11-20", "--to", "2026-11-20"]]
)
async def test_the_schedule_of_a_paused_automation_is_not_run_in_vain(
    command: list[str],
    office: Office,
    digest: str,
    client: Client,
    engine_database: Database,
    command_line: CommandLine,
) -> None:
    await office.query("UPDATE automation_workflows SET status = 'paused'")
    await sync(client, engine_database)
    said = await command_line.run("schedules", *command, digest)
    assert said.code == 1
    assert "fixlify automations enable" in said.err


async def test_the_schedule_of_a_paused_automation_is_not_resumed_alone(
    office: Office,
    digest: str,
    client: Client,
    engine_database: Database,
    command_line: CommandLine,
) -> None:
    await office.query("UPDATE automation_workflows SET status = 'paused'")
    await sync(client, engine_database)

    said = await command_line.run("schedules", "resume", digest)
    assert said.code == 1
    assert "fixlify automations enable" in said.err
    one = (await command_line.run("schedules", "show", digest, "--json")).document
    assert one["paused_reason"] == PAUSED_WITH_AUTOMATION


async def test_a_trigger_without_a_worker_says_so_and_starts_nothing(
    digest: str, client: Client, command_line: CommandLine
) -> None:
    said = await command_line.run("schedules", "trigger", digest)
    assert (said.code, said.out) == (1, "")
    assert "start `fixlify worker`" in said.err
    assert not (await client.get_schedule_handle(digest).describe()).info.recent_actions


async def test_a_trigger_waits_for_what_it_finds_and_finds_it_once(
    office: Office, digest: str, engine: Engine, command_line: CommandLine
) -> None:
    await office.query(
        "UPDATE automation_workflows SET activated_at = activated_at - interval '40 days'"
    )
    first = await command_line.run("schedules", "trigger", digest)
    assert (first.code, first.err) == (0, "")
    assert first.out == "Morning digest: looked at 1, found 1 new.\n"
    again = [await command_line.run("schedules", "trigger", digest) for _ in range(2)]
    assert {said.out.partition("found ")[2] for said in again} == {"nothing new.\n"}

    runs = (await command_line.run("schedules", "show", digest, "--json")).document
    assert (runs["last_result"], runs["success_rate"], runs["runs"]) == ("completed", 100.0, 3)
    shown = await command_line.run("schedules", "show", digest)
    assert "  ███  100 % of 3 runs in 7 days" in shown.out
    assert max(map(cell_len, shown.lines)) <= 80


async def test_a_backfill_runs_once_for_each_time_it_was_due(
    office: Office, digest: str, engine: Engine, command_line: CommandLine
) -> None:
    today = datetime.now(UTC).date()
    since, until = today - timedelta(days=4), today - timedelta(days=2)
    said = await command_line.run(
        "schedules", "backfill", digest, "--from", f"{since}T07:00", "--to", f"{until}T07:00"
    )
    assert said.code == 0
    assert said.out.startswith(
        f"Morning digest: 3 runs began, for {since} 07:00 to {until} 07:00 (America/New_York). "
    )

    async def all_done() -> bool:
        rows = await office.query(
            "SELECT scheduled_at AT TIME ZONE 'America/New_York' AS due "
            "FROM automation_schedule_runs WHERE status = 'completed' ORDER BY 1"
        )
        return [row["due"].date() for row in rows] == [
            since + timedelta(days=number) for number in range(3)
        ] and all(row["due"].hour == 7 for row in rows)

    await eventually(all_done)


@pytest.mark.parametrize(
    ("since", "until", "says"),
    [
        ("yesterday", "2026-03-02", "'yesterday' is neither a day (2026-03-14) nor a moment"),
        ("2026-03-02", "2026-03-01", "must not be after --to"),
        ("2020-01-01", "2024-01-01", "more than 500 runs; take a shorter time"),
        ("2999-01-01", "2999-01-02", "nor in the future"),
    ],
)
async def test_an_impossible_backfill_is_wrong_usage(
    since: str, until: str, says: str, digest: str, command_line: CommandLine
) -> None:
    said = await command_line.run("schedules", "backfill", digest, "--from", since, "--to", until)
    assert said.code == 2
    assert says in said.err


async def test_without_any_schedule_the_list_says_what_to_do(command_line: CommandLine) -> None:
    said = await command_line.run("schedules", "list")
    assert (said.code, said.out) == (
        0,
        "There are no schedules yet; `fixlify schedules sync` makes them.\n",
    )
    said = await command_line.run("schedules", "show", "x")
    assert said.code == 1
    assert "fixlify schedules sync" in said.err
