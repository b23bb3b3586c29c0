"""A manager writes the rules into a file, stores them, and asks what they mean."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from psycopg.types.json import Jsonb

from fixlify.domain.ids import new_id
from tests.command_line import CommandLine
from tests.office import Office
from tests.runs import add_execution

RULES = """\
quiet_hours: 21:00-08:00
business_hours:
  mon-fri: 08:00-18:00
  sun: 00:00-24:00
holidays:
  country: US
  dates:
  - 2026-12-24
caps:
- at_most: 2
  per: 1d
  channel: sms
"""
OFFER = """
name: Offer
message_class: marketing
rules: {quiet_hours: "off", caps: "off"}
trigger: {type: job_completed}
steps:
  - {id: text, type: send_sms, text: "Your boiler"}
"""
THANKSGIVING = "2026-11-26T21:30"


@pytest.fixture
def line(office: Office) -> CommandLine:
    return CommandLine(FIXLIFY_DATABASE_URL=office.url)


@pytest.fixture
async def ruled(line: CommandLine) -> CommandLine:
    """The command line of a company that has rules."""
    assert (await line.run("rules", "apply", "-", stdin=RULES)).code == 0
    return line


async def send(office: Office, client: UUID, at: datetime) -> None:
    """Enter a text message that *client* got."""
    await office.insert(
        "messages",
        id=new_id(),
        organization_id=office.organization_id,
        execution_id=await add_execution(office, "completed"),
        step_id="text",
        channel="sms",
        recipient_kind="client",
        recipient_id=client,
        status="sent",
        sending_at=at,
    )


async def test_what_is_applied_is_shown_as_a_file_that_apply_takes(line: CommandLine) -> None:
    said = await line.run("rules", "apply", "-", stdin=RULES)
    assert said.lines == [
        "The rules of Northwind Heating are stored; the next message is under them."
    ]

    shown = await line.run("rules", "show")

    heading, text = shown.out.split("\n", 1)
    assert heading.startswith("# Northwind Heating, updated ")
    assert text == RULES
    before = (await line.run("rules", "show", "--json")).document["rules"]
    assert (await line.run("rules", "apply", "-", stdin=shown.out)).code == 0
    assert (await line.run("rules", "show", "--json")).document["rules"] == before


async def test_a_company_without_rules_is_told_what_that_means(line: CommandLine) -> None:
    said = await line.run("rules", "show")
    assert said.lines == [
        "Northwind Heating has no rules: every message may go at any time.",
        "`fixlify rules apply FILE` stores some.",
    ]
    assert (await line.run("rules", "show", "--json")).document == {
        "rules": None,
        "updated_at": None,
    }


async def test_cleared_rules_are_gone(ruled: CommandLine) -> None:
    assert (await ruled.run("rules", "clear", "--json")).document == {"cleared": True}
    assert "had no rules" in (await ruled.run("rules", "clear")).out
    assert (await ruled.run("rules", "show", "--json")).document["rules"] is None


async def test_a_file_with_a_mistake_stores_nothing(ruled: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("quiet_hours: 21:00-08:00\nbusiness_hours: {moonday: 08:00-18:00}\n")

    said = await ruled.run("rules", "apply", str(file), "--json")

    assert said.code == 2
    (problem,) = said.document["problems"]
    assert problem["path"] == "business_hours"
    assert said.err.splitlines() == [
        f"{file}: business_hours: 'moonday' is no day of the week; did you mean 'mon'?",
        "Nothing was stored: 1 problem.",
    ]
    assert "caps" in (await ruled.run("rules", "show", "--json")).document["rules"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty; write a set of rules into it"),
        ("- quiet_hours\n", "a set of rules is a mapping with quiet_hours"),
        ("{}\n---\n{}\n", "holds several documents; an organization has one set of rules"),
        ("quiet_hours: 1260\n", "write it in quotes"),
    ],
)
async def test_validate_needs_no_database(text: str, told: str) -> None:
    nowhere = CommandLine()
    said = await nowhere.run("rules", "validate", "-", stdin=text)
    assert said.code == 2
    assert said.err.startswith("standard input: ")
    assert told in said.err
    assert (await nowhere.run("rules", "validate", "-", stdin=RULES)).code == 0


async def test_an_automation_that_contradicts_new_rules_is_named(
    line: CommandLine, office: Office
) -> None:
    await office.apply(
        OFFER.replace(
            'rules: {quiet_hours: "off", caps: "off"}',
            'rules: {business_hours: {mon-fri: "20:00-22:00"}}',
        )
    )
    said = await line.run("rules", "apply", "-", stdin="quiet_hours: 19:00-08:00")
    assert said.code == 0
    assert said.err.startswith("Offer: the quiet hours 19:00-08:00 cover all business hours")


async def test_an_automation_that_contradicts_the_rules_is_refused(
    ruled: CommandLine, office: Office
) -> None:
    """By itself it is right; with the quiet hours of the company it would never go."""
    evenings = OFFER.replace('quiet_hours: "off"', 'business_hours: {mon-fri: "21:00-23:00"}')
    said = await ruled.run("automations", "apply", "-", stdin=evenings)
    assert said.code == 2
    assert "Offer: rules: the quiet hours 21:00-08:00 cover all business hours" in said.err
    assert await office.query("SELECT FROM automation_workflows") == []


class TestWhetherAMessageMayGo:
    async def test_it_is_held_until_the_morning_on_the_clients_clock(
        self, ruled: CommandLine
    ) -> None:
        said = await ruled.run("rules", "check", "--at", THANKSGIVING)
        assert said.lines == [
            "A transactional text message of Thu 2026-11-26 21:30 America/New_York is held until "
            "Fri 2026-11-27 08:00 America/New_York: quiet hours 21:00-08:00 (America/New_York)"
        ]

    async def test_it_may_go(self, ruled: CommandLine) -> None:
        said = await ruled.run("rules", "check", "--at", THANKSGIVING, "--class", "urgent")
        assert said.lines == [
            "An urgent text message may go at Thu 2026-11-26 21:30 America/New_York."
        ]

    async def test_json_has_the_same(self, ruled: CommandLine) -> None:
        asked = ("--class", "marketing", "--channel", "email", "--at", "2026-11-26T12:00-05:00")
        said = await ruled.run("rules", "check", *asked, "--json")
        assert said.document == {
            "at": "2026-11-26T17:00:00+00:00",
            "time_zone": "America/New_York",
            "channel": "email",
            "message_class": "marketing",
            "automation": None,
            "may_go": False,
            "held_until": "2026-11-27T13:00:00+00:00",
            "reason": "holiday: Thanksgiving Day, then quiet hours 21:00-08:00 (America/New_York)",
        }

    async def test_the_zone_is_the_clients_else_the_companys(
        self, ruled: CommandLine, office: Office
    ) -> None:
        in_berlin = await office.add_client(time_zone="Europe/Berlin")
        nowhere = await office.add_client(time_zone=None)
        on_the_moon = await office.add_client(time_zone="Moon/Tycho")

        async def zone_of(*options: str) -> str:
            said = await ruled.run("rules", "check", *options, "--json")
            zone: str = said.document["time_zone"]
            return zone

        assert await zone_of("--client", str(in_berlin)) == "Europe/Berlin"
        assert await zone_of("--client", str(nowhere)) == "America/New_York"
        assert await zone_of("--client", str(on_the_moon)) == "America/New_York"
        assert await zone_of("--client", str(nowhere), "--zone", "Asia/Tokyo") == "Asia/Tokyo"
        await office.query(
            "UPDATE clients SET email = 'b@example.com' WHERE time_zone = 'Europe/Berlin'"
        )
        assert await zone_of("--client", "B@example.com") == "Europe/Berlin"
        await office.query("UPDATE organizations SET time_zone = 'nowhere'")
        assert await zone_of() == "UTC"

    async def test_caps_count_what_the_client_got(self, ruled: CommandLine, office: Office) -> None:
        """The older of two leaves the window at half past one, when it is quiet."""
        client = await office.add_client()
        older = datetime(2026, 11, 24, 6, 30, tzinfo=UTC)
        for at in (older, older + timedelta(hours=12)):
            await send(office, client, at)
        asked = ("--client", str(client), "--at", "2026-11-24T14:00", "--json")

        texted = (await ruled.run("rules", "check", *asked)).document
        mailed = (await ruled.run("rules", "check", *asked, "--channel", "email")).document

        assert texted["held_until"] == "2026-11-25T13:00:00+00:00"
        assert texted["reason"] == (
            "cap: 2 sms per 24h, then quiet hours 21:00-08:00 (America/New_York)"
        )
        assert mailed["may_go"]

    async def test_an_automation_is_asked_with_what_it_says_for_itself(
        self, ruled: CommandLine, office: Office
    ) -> None:
        await office.apply(OFFER)
        asked = ("rules", "check", "--automation", "Offer", "--at", "2026-11-25T22:00", "--json")
        said = await ruled.run(*asked)
        assert said.code == 0, said.err
        assert said.document["message_class"] == "marketing"
        assert said.document["held_until"] == "2026-11-27T13:00:00+00:00"
        assert said.document["reason"] == ("outside business hours, then holiday: Thanksgiving Day")

    async def test_what_nobody_has_is_named(self, ruled: CommandLine, office: Office) -> None:
        await office.apply(OFFER)
        nobody = str(uuid4())
        for option, value, code, told in (
            ("--automation", "Ofer", 1, "did you mean 'Offer'?"),
            ("--client", nobody, 1, f"Northwind Heating has no client '{nobody}'; give an id"),
            ("--client", "ada", 1, "an email, or a phone number with its area code"),
            ("--at", "tomorrow", 2, "'tomorrow' is no moment; write it such as"),
            ("--zone", "Europe/Berln", 2, "did you mean 'Europe/Berlin'?"),
        ):
            said = await ruled.run("rules", "check", option, value)
            assert said.code == code
            assert told in " ".join(said.err.split())

    async def test_rules_that_make_no_sense_allow_nothing(
        self, line: CommandLine, office: Office
    ) -> None:
        await office.insert(
            "automation_rules", organization_id=office.organization_id, rules=Jsonb({"quiet": 1})
        )
        for command in ("show", "check"):
            said = await line.run("rules", command)
            assert said.code == 1
            assert "the organization's rules cannot be read" in said.err
