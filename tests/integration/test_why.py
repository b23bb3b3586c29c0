"""`fixlify why` tells one story of a client, a job or a run, in words and in order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from rich.cells import cell_len

from fixlify.storage.database import Database
from fixlify.storage.listen import EventSignal
from starter.relay import Relay
from tests.command_line import CommandLine, Said
from tests.office import Office
from tests.relaying import RecordingLauncher, relay_everything

REMINDER = """
name: Visit reminder
trigger: {type: job_status_changed, to: [scheduled]}
steps:
  - {id: before, type: wait, for: 2d}
  - {id: remind, type: send_sms, text: "See you, {{ client.first_name }}"}
"""
THANKS = """
name: Thanks
trigger: {type: job_completed}
conditions: {field: job.total, operator: greater_than, value: 500}
steps: [{id: text, type: send_sms, text: Thank you}]
"""
START = datetime.now(UTC).replace(hour=14, minute=30, second=0, microsecond=0) - timedelta(days=4)
FIRST, MOVED = START + timedelta(days=1), START + timedelta(days=2)
NEW_YORK = ZoneInfo("America/New_York")


@pytest.fixture
def command_line(office: Office) -> CommandLine:
    return CommandLine(FIXLIFY_DATABASE_URL=office.url, COLUMNS="72")


@pytest.fixture
def relay(engine_database: Database, office: Office) -> Relay:
    return Relay(engine_database, RecordingLauncher(), EventSignal(office.url))


async def why(command_line: CommandLine, *arguments: str) -> Said:
    said = await command_line.run("why", *arguments)
    assert said.code == 0, said.err
    return said


async def lines(command_line: CommandLine, *arguments: str) -> list[dict[str, Any]]:
    said = await why(command_line, *arguments, "--json")
    found: list[dict[str, Any]] = said.document["lines"]
    return found


async def told(command_line: CommandLine, *arguments: str) -> str:
    """Return everything that is told, without how it is drawn."""
    return "\n".join(
        "\n".join([line["text"], *(each["text"] for each in line["details"])])
        for line in await lines(command_line, *arguments)
    )


def there(instant: datetime) -> str:
    return f"{instant.astimezone(NEW_YORK):%a %-d %b %Y %H:%M}"


async def decide(office: Office, run: UUID, step: str, kind: str, detail: str, hours: int) -> None:
    await office.insert(
        "automation_decisions",
        organization_id=office.organization_id,
        execution_id=run,
        step_id=step,
        kind=kind,
        detail=detail,
        decided_at=START + timedelta(hours=hours),
    )


@pytest.fixture
async def reminded(office: Office, relay: Relay) -> UUID:
    """A reminder whose visit moved, that quiet hours held, and that went out in the end."""
    await office.apply(REMINDER)
    await office.add_job(status="new")
    await office.query("UPDATE automation_workflows SET activated_at = %s", START)
    await office.write_status("J-2019", "scheduled")
    await relay_everything(relay)
    await office.query("UPDATE automation_events SET occurred_at = %s", START)
    (run,) = await office.executions()
    run_id: UUID = run["id"]
    await office.query(
        "UPDATE automation_execution_logs SET status = 'completed', started_at = %s, "
        "created_at = %s, completed_at = %s WHERE id = %s",
        START,
        START,
        START + timedelta(hours=20),
        run_id,
    )
    await decide(office, run_id, "before", "armed", f"until {FIRST:%Y-%m-%d %H:%M} UTC", 0)
    await decide(
        office,
        run_id,
        "before",
        "rearmed",
        f"until {MOVED:%Y-%m-%d %H:%M}, was {FIRST:%Y-%m-%d %H:%M} UTC",
        2,
    )
    await decide(office, run_id, "remind", "held", "quiet hours from 21:00 to 08:00", 10)
    await office.insert(
        "messages",
        id=run_id,
        organization_id=office.organization_id,
        execution_id=run_id,
        step_id="remind",
        channel="sms",
        recipient_kind="client",
        recipient="+12125550123",
        status="sent",
        attempts=2,
        provider="twilio",
        provider_id="SM1234",
        segments=2,
        sent_at=START + timedelta(hours=20),
    )
    return run_id


@pytest.mark.usefixtures("reminded")
async def test_a_job_is_told_from_the_event_to_the_provider_oldest_first(
    command_line: CommandLine,
) -> None:
    found = await lines(command_line, "--job", "J-2019")
    assert [line["text"] for line in found if line["automation"]] == [
        f"before: waits until {there(FIRST)}",
        f"before: its moment moved: waits until {there(MOVED)}, was {there(FIRST)}",
        "remind: held: quiet hours from 21:00 to 08:00",
        "remind: sms to the client +12125550123: sent, twilio took it as SM1234, 2 segments,"
        " 2 attempts",
        "the run is completed",
    ]
    instants = [line["at"] for line in found]
    assert instants == sorted(instants)


@pytest.mark.usefixtures("reminded")
async def test_times_are_those_of_the_company(command_line: CommandLine) -> None:
    (event,) = [
        line
        for line in await lines(command_line, "--job", "J-2019")
        if "new → scheduled" in line["text"]
    ]
    assert event["local"] == START.astimezone(NEW_YORK).isoformat()
    assert event["details"][0]["text"].startswith("Visit reminder: matched, run ")
    drawn = await why(command_line, "--job", "J-2019")
    assert "All times are those of America/New_York." in drawn.out
    assert f"{START.astimezone(NEW_YORK):%A, %-d %B %Y}" in drawn.out


@pytest.mark.usefixtures("reminded")
async def test_nothing_is_wider_than_a_narrow_terminal(command_line: CommandLine) -> None:
    drawn = await why(command_line, "--job", "J-2019")
    assert max(cell_len(line) for line in drawn.lines) <= 72
    assert any(line.startswith(f"{START.astimezone(NEW_YORK):%H:%M} ●") for line in drawn.lines)


async def test_a_run_is_told_by_the_beginning_of_its_id(
    command_line: CommandLine, reminded: UUID
) -> None:
    found = await lines(command_line, "--execution", str(reminded)[:18])
    assert found[0]["text"].endswith("changed its status: new → scheduled")
    assert found[-1]["text"] == "the run is completed"


@pytest.mark.parametrize("written", ["ADA@Example.com", "(212) 555-0123", "+1 212 555 0123"])
@pytest.mark.usefixtures("reminded")
async def test_a_client_is_found_by_any_way_to_reach_them(
    command_line: CommandLine, written: str
) -> None:
    said = await why(command_line, "--client", written, "--json")
    assert said.document["about"]["name"] == "Ada Byron"
    assert len(said.document["runs"]) == 1


async def test_a_client_is_told_with_every_record_of_theirs(
    command_line: CommandLine, office: Office
) -> None:
    await office.add_job()
    client = str(office.newest_client_id)
    invoice = await office.add_invoice(job_id="J-2019", client_id=None)
    await office.add_payment(invoice_id=invoice, client_id=None)
    await office.add_task(job_id="J-2019", client_id=None)
    await office.add_estimate(client_id=client)
    await office.add_job("J-1", client_id=await office.add_client(email="bob@example.com"))
    said = await why(command_line, "--client", client, "--json")
    subjects = {(event["subject_type"], event["subject_id"]) for event in said.document["events"]}
    assert {kind for kind, _ in subjects} == {
        *("client", "job", "invoice", "payment", "task", "estimate"),
    }
    assert ("job", "J-1") not in subjects


async def test_what_was_skipped_stands_beside_its_reason(
    command_line: CommandLine, office: Office, relay: Relay
) -> None:
    """P7: not to send is a decision like any other."""
    await office.apply(THANKS)
    await office.add_job()
    await office.write_status("J-2019", "completed")
    await relay_everything(relay)
    assert "Thanks: skipped: conditions not met: job.total greater_than 500 (it is '240" in (
        await told(command_line, "--job", "J-2019")
    )


async def test_an_event_nothing_matched_says_why_each_automation_stayed_still(
    command_line: CommandLine, office: Office, relay: Relay
) -> None:
    await office.apply(REMINDER)
    await office.apply(THANKS.replace("Thanks", "Paused thanks") + "status: paused\n")
    await office.add_job()
    await office.write_status("J-2019", "completed")
    await relay_everything(relay)
    story = await told(command_line, "--job", "J-2019")
    assert "nothing matched; as the automations are written now:" in story
    assert (
        "Visit reminder: it listens for status scheduled; this went from scheduled to completed"
        in story
    )
    assert "Paused thanks: it is paused; `fixlify automations enable` makes it listen" in story


async def test_an_automation_that_came_later_says_so(
    command_line: CommandLine, office: Office, relay: Relay
) -> None:
    await office.add_job(status="new")
    await office.write_status("J-2019", "scheduled")
    await relay_everything(relay)
    await office.apply(REMINDER)
    assert "Visit reminder: it became active only later" in await told(
        command_line, "--job", "J-2019"
    )


async def test_an_event_of_which_no_automation_hears_says_that(
    command_line: CommandLine, office: Office, relay: Relay
) -> None:
    await office.add_job()
    await relay_everything(relay)
    assert "nothing matched: no automation listens for such events" in await told(
        command_line, "--job", "J-2019"
    )


async def test_an_event_no_relay_came_to_names_the_next_step(
    command_line: CommandLine, office: Office
) -> None:
    await office.add_job()
    assert "no relay has come to it yet; `fixlify doctor` says why" in await told(
        command_line, "--job", "J-2019"
    )


async def test_events_that_reached_a_run_name_it(
    command_line: CommandLine, office: Office, reminded: UUID
) -> None:
    await office.write_status("J-2019", "in progress")
    *_, newest = await office.events()
    await office.insert(
        "automation_signals",
        execution_id=reminded,
        event_id=newest["id"],
        organization_id=office.organization_id,
    )
    story = await told(command_line, "--execution", str(reminded))
    assert "Visit reminder: its run was not told of it yet" in story


async def test_an_event_that_only_a_run_heard_matched_nothing_else(
    command_line: CommandLine, office: Office, reminded: UUID
) -> None:
    await office.write_status("J-2019", "in progress")
    *_, newest = await office.events()
    await office.query(
        "UPDATE automation_events SET processed_at = now(), outcome = 'nothing matched; heard by 1'"
        f" WHERE id = {newest['id']}"
    )
    await office.insert(
        "automation_signals",
        execution_id=reminded,
        event_id=newest["id"],
        organization_id=office.organization_id,
        delivered_at=newest["occurred_at"],
    )
    story = await told(command_line, "--job", "J-2019")
    assert "its run was told of it" in story
    assert "nothing else matched" in story


async def test_until_when_a_message_is_held_is_said_once(
    command_line: CommandLine, office: Office, reminded: UUID
) -> None:
    until = "held until 2026-11-18 08:00 America/New_York: quiet hours 21:00-08:00"
    # The story is told of what went out; nothing that did is ever held.
    await office.query("ALTER TABLE messages DISABLE TRIGGER fixlify_message_moved")
    await office.query(
        "UPDATE messages SET status = 'held', sent_at = NULL, provider = NULL, provider_id = NULL, "
        f"held_until = '2026-11-18 13:00Z', reason = '{until}'"
    )
    await decide(office, reminded, "remind", "held", until, 11)
    story = " ".join((await told(command_line, "--job", "J-2019")).split())
    assert f"remind: sms to the client +12125550123: {until}" in story
    assert f"remind: {until}" in story
    assert "held: held" not in story
    assert "held, held" not in story


async def test_what_the_client_refused_is_part_of_the_story(
    command_line: CommandLine, office: Office
) -> None:
    client = await office.add_client()
    await office.insert(
        "client_opt_outs",
        organization_id=office.organization_id,
        client_id=client,
        channel="sms",
        source="STOP",
    )
    await office.insert(
        "suppressions",
        organization_id=office.organization_id,
        channel="email",
        address="ada@example.com",
        reason="hard bounce",
        source="smtp",
    )
    story = await told(command_line, "--client", str(client))
    assert "the client opted out of sms (STOP)" in story
    assert "the address gets no email any more: hard bounce (smtp)" in story


async def test_the_newest_are_kept_where_there_are_many(
    command_line: CommandLine, office: Office
) -> None:
    await office.add_job(status="0")
    for status in range(1, 6):
        await office.write_status("J-2019", str(status))
    said = await why(command_line, "--job", "J-2019", "--limit", "2")
    assert "There is more" in said.out
    assert "4 → 5" in said.out
    assert "1 → 2" not in said.out


async def test_another_company_is_never_seen(
    command_line: CommandLine, office: Office, database_url: str
) -> None:
    """P8"""
    await office.add_job()
    async with await Office.open(database_url, "Contoso") as other:
        await other.add_job("J-1")
        client = str(other.newest_client_id)
        mine = ("--organization", "Northwind Heating")
        for asked in (("--job", "J-1"), ("--client", client)):
            said = await command_line.run("why", *asked, *mine)
            assert said.code == 1
            assert "Northwind Heating has no" in said.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "say about whom: --client, --job or --execution"),
        (("--job", "J-1", "--client", "x"), "one of them"),
        (("--job", "J-404"), "has no job 'J-404'"),
        (("--client", "nobody@example.com"), "give an id, an email, or a phone number"),
        (("--client", "Ada"), "has no client 'Ada'"),
        (("--execution", "12345678"), "`fixlify executions list` shows those there are"),
        (("--execution", "xyz"), "'xyz' is not an id"),
    ],
)
@pytest.mark.usefixtures("office")
async def test_whom_nobody_knows_is_answered_with_the_next_step(
    command_line: CommandLine, arguments: tuple[str, ...], sentence: str
) -> None:
    said = await command_line.run("why", *arguments)
    assert said.code != 0
    assert sentence in " ".join(said.err.split())


async def test_a_quiet_client_is_told_what_to_try(
    command_line: CommandLine, office: Office
) -> None:
    client = await office.add_client()
    await office.query("DELETE FROM automation_events")
    said = await why(command_line, "--client", str(client))
    assert "Nothing was recorded of Ada Byron, client in the last 30d" in said.out
    assert "`fixlify doctor`" in said.out


async def test_a_name_cannot_steer_the_terminal(command_line: CommandLine, office: Office) -> None:
    client = await office.add_client(first_name="Ada\x1b[2J", last_name="[bold]")
    drawn = await why(command_line, "--client", str(client))
    assert "\x1b" not in drawn.out
    assert "[bold]" in drawn.out
