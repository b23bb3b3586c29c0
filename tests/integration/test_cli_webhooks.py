"""Webhooks are set, tried, shown and switched on again over the command line."""

from __future__ import annotations

import pytest
from standardwebhooks import Webhook

from tests.command_line import CommandLine
from tests.office import Office
from tests.receiving import Receiver, Reply
from tests.runs import add_execution

URL = "https://office.example.com/failures"


@pytest.fixture
def command_line(office: Office) -> CommandLine:
    return CommandLine(FIXLIFY_DATABASE_URL=office.url)


async def test_nobody_is_told_until_somebody_says_where(command_line: CommandLine) -> None:
    said = await command_line.run("webhooks", "show")
    assert said.code == 0
    assert "set-failure-url" in said.out
    for command in ("test", "enable"):
        said = await command_line.run("webhooks", command)
        assert said.code == 1
        assert "set-failure-url" in said.err


async def test_an_address_is_set_shown_and_cleared(command_line: CommandLine) -> None:
    said = await command_line.run("webhooks", "set-failure-url", URL)
    assert said.code == 0
    assert said.lines == [f"Failed runs are told to {URL}"]
    shown = (await command_line.run("webhooks", "show", "--json")).document
    assert shown == {
        "failure_url": URL,
        "failing_since": None,
        "disabled_at": None,
        "disabled_reason": None,
    }
    await command_line.run("webhooks", "set-failure-url", f"{URL}/2")
    cleared = (await command_line.run("webhooks", "clear-failure-url", "--json")).document
    assert cleared["failure_url"] is None


@pytest.mark.parametrize("url", ["http://office.example.com/", "https://10.0.0.1/", "nowhere"])
async def test_an_address_that_is_none_is_refused(url: str, command_line: CommandLine) -> None:
    said = await command_line.run("webhooks", "set-failure-url", url)
    assert said.code == 2
    assert "https://" in said.err or "public" in said.err
    shown = (await command_line.run("webhooks", "show", "--json")).document
    assert shown["failure_url"] is None


async def test_the_secret_is_printed_alone_and_stays_until_it_is_rotated(
    command_line: CommandLine,
) -> None:
    (first,) = (await command_line.run("webhooks", "secret")).lines
    assert first.startswith("whsec_")
    await command_line.run("webhooks", "set-failure-url", URL)
    assert (await command_line.run("webhooks", "secret")).lines == [first]
    rotated = (await command_line.run("webhooks", "secret", "--rotate", "--json")).document
    assert rotated["rotated"]
    assert rotated["secret"] != first
    assert (await command_line.run("webhooks", "secret")).lines == [rotated["secret"]]
    for command in ("show", "deliveries"):
        assert rotated["secret"] not in (await command_line.run("webhooks", command)).out


async def test_an_address_is_tried_with_a_signed_webhook(office: Office) -> None:
    async with Receiver() as receiver:
        command_line = CommandLine(
            FIXLIFY_DATABASE_URL=office.url, FIXLIFY_WEBHOOK_STAND_IN=receiver.url
        )
        await command_line.run("webhooks", "set-failure-url", URL)
        said = await command_line.run("webhooks", "test")
        assert (said.code, said.lines) == (0, ["127.0.0.1 answered 200: it works."])
        (secret,) = (await command_line.run("webhooks", "secret")).lines
        (call,) = receiver.received
        told = Webhook(secret).verify(call.body, dict(call.headers))
        assert told["type"] == "webhook.test"
        receiver.replies.append(Reply(500))
        said = await command_line.run("webhooks", "test")
        assert said.code == 1
        assert "127.0.0.1 answered 500" in said.err


async def test_a_disabled_address_says_so_until_it_is_enabled(
    command_line: CommandLine, office: Office
) -> None:
    await command_line.run("webhooks", "set-failure-url", URL)
    await office.query(
        "UPDATE webhook_settings SET failing_since = now(), disabled_at = now(), "
        "disabled_reason = 'failing since Monday'"
    )
    said = await command_line.run("webhooks", "show")
    assert "Disabled since" in said.out
    assert "failing since Monday" in said.out
    finding = await doctors_finding(office)
    assert finding["status"] == "warning"
    assert "Northwind Heating" in finding["detail"]
    assert "fixlify webhooks enable" in finding["remedy"]
    enabled = (await command_line.run("webhooks", "enable", "--json")).document
    assert (enabled["failing_since"], enabled["disabled_at"]) == (None, None)
    assert (await doctors_finding(office))["status"] == "ok"


async def doctors_finding(office: Office) -> dict[str, str]:
    """Return what the doctor finds about failure webhooks."""
    command_line = CommandLine(FIXLIFY_DATABASE_URL=office.url, TEMPORAL_ADDRESS="127.0.0.1:1")
    said = await command_line.run("doctor", "--json")
    (finding,) = [each for each in said.document if each["check"] == "database.webhooks"]
    found: dict[str, str] = finding
    return found


async def test_deliveries_are_listed_with_what_became_of_them(
    command_line: CommandLine, office: Office
) -> None:
    said = await command_line.run("webhooks", "deliveries")
    assert "No failed run was to be told yet" in said.out
    execution_id = await add_execution(office, "failed")
    await office.query(
        "INSERT INTO webhook_deliveries (id, organization_id, execution_id, status, reason, "
        "attempts) VALUES (gen_random_uuid(), %s, %s, 'failed', 'it answered 500', 29)",
        office.organization_id,
        execution_id,
    )
    (listed,) = (await command_line.run("webhooks", "deliveries", "--json")).document
    assert (listed["status"], listed["attempts"], listed["reason"]) == (
        "failed",
        29,
        "it answered 500",
    )
    assert listed["execution_id"] == str(execution_id)
    said = await command_line.run("webhooks", "deliveries")
    assert "it answered 500" in said.out
    assert str(execution_id) in said.out


async def test_one_company_sees_nothing_of_anothers(office: Office) -> None:
    command_line = CommandLine(FIXLIFY_DATABASE_URL=office.url)
    await command_line.run("webhooks", "set-failure-url", URL)
    async with await Office.open(office.url, "Other Company"):
        shown = await command_line.run(
            "webhooks", "show", "--organization", "Other Company", "--json"
        )
        assert shown.document["failure_url"] is None
