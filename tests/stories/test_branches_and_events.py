"""A run goes the way its facts say, and waits for what happens to its subject."""

from __future__ import annotations

from datetime import timedelta

import pytest

from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from fixlify.storage.database import Database
from tests.engine import eventually
from tests.stories.test_held_by_rules import rule
from tests.stories.waiting import WaitingRoom

DAY = timedelta(days=1)
HEAD = "name: Way\ntrigger: {type: job_status_changed, to: [scheduled]}\n"

DUNNING = """
name: Dunning
trigger: {type: invoice_sent}
exit_when: {field: invoice.balance, operator: less_than_or_equal, value: 0}
steps:
  - {id: first, type: send_email, subject: Your invoice, text: "Please pay {{ invoice.number }}."}
  - {id: week, type: wait, for: 7d}
  - {id: second, type: send_email, subject: A reminder, text: "Please pay {{ invoice.number }}."}
"""


async def test_a_paid_invoice_stops_the_dunning(room: WaitingRoom, mail: MailCatcher) -> None:
    await room.office.apply(DUNNING)
    invoice = await room.office.add_invoice(total=240)
    await room.office.query("UPDATE invoices SET status = 'sent'")
    await room.waits_for_relayed("week until")

    await room.office.query("UPDATE invoices SET amount_paid = 240")
    await room.office.add_payment(
        invoice_id=invoice, client_id=room.office.newest_client_id, amount=240
    )
    execution = await room.ended()

    assert len(mail.messages) == 1
    assert execution["status"] == "completed"
    assert "exit_when: invoice.balance less_than_or_equal 0" in execution["reason"]


async def test_facts_decide_where_nobody_told_the_run(room: WaitingRoom, mail: MailCatcher) -> None:
    """No event tells that an amount was written; the last look before sending does."""
    await room.office.apply(DUNNING)
    await room.office.add_invoice(total=240)
    await room.office.query("UPDATE invoices SET status = 'sent'")
    await room.waits_for_relayed("week until")

    await room.office.query("UPDATE invoices SET amount_paid = 240")
    execution = await room.end()

    assert len(mail.messages) == 1
    assert "exit_when" in execution["reason"]


BRANCHES = (
    HEAD
    + """
steps:
  - id: size
    type: branch
    if: {field: job.total, operator: greater_than, value: 1000}
    then:
      - id: kind
        type: branch
        if: {field: job.job_type, operator: equals, value: installation}
        then: [{id: big-install, type: send_sms, text: Big installation}]
        else: [{id: big-other, type: send_sms, text: Big other}]
      - {id: also, type: send_sms, text: Also}
    else:
      - {id: enough, type: exit}
  - {id: after, type: send_sms, text: After}
"""
)


@pytest.mark.parametrize(
    ("total", "kind", "sent", "reason"),
    [
        (5_000, "installation", ["Big installation", "Also", "After"], None),
        (5_000, "repair", ["Big other", "Also", "After"], None),
        (200, "repair", [], "ended at enough"),
    ],
    ids=["then-then", "then-else", "else"],
)
async def test_branches_go_by_the_facts_and_say_so(
    room: WaitingRoom,
    phone: SmsCatcher,
    total: int,
    kind: str,
    sent: list[str],
    reason: str | None,
) -> None:
    await room.begin(BRANCHES, total=total, job_type=kind)
    execution = await room.ended()

    assert [message.body for message in phone.messages] == sent
    assert execution["reason"] == reason
    (journal,) = await room.office.query(
        "SELECT detail FROM automation_decisions WHERE step_id = 'size'"
    )
    assert journal["detail"].startswith("then: job.total" if sent else "else: job.total")
    way = await room.office.query("SELECT result FROM automation_step_logs WHERE step_id = 'size'")
    assert way == [{"result": "then" if sent else "else"}]


REPLY = (
    HEAD
    + """
steps:
  - {id: ask, type: send_sms, text: "Does ten suit you?"}
  - id: reply
    type: wait_for_event
    event: {type: sms_received}
    conditions: {field: event.body, operator: contains, value: "yes"}
    timeout: 1d
    on_timeout: ON_TIMEOUT
  - {id: thanks, type: send_sms, text: Thank you}
"""
)


async def test_the_awaited_event_is_the_clients_and_meets_its_conditions(
    room: WaitingRoom, phone: SmsCatcher
) -> None:
    await room.begin(REPLY.replace("ON_TIMEOUT", "exit"))
    client = room.office.newest_client_id
    await room.waits_for("reply until")

    await room.office.add_inbound_message("Yes!")  # From somebody else.
    await room.office.add_inbound_message("Who is this?", client_id=client)
    await room.engine.relay_everything()

    async def heard() -> object:
        return await room.office.query("SELECT 1 FROM automation_decisions WHERE kind = 'heard'")

    await eventually(heard)
    assert (await room.office.executions())[0]["status"] == "waiting"

    await room.office.add_inbound_message("yes please", client_id=client)
    execution = await room.ended()

    assert execution["status"] == "completed"
    assert [message.body for message in phone.messages] == ["Does ten suit you?", "Thank you"]


@pytest.mark.parametrize(("policy", "sent"), [("exit", 1), ("continue", 2)])
async def test_an_event_that_never_comes_times_out(
    room: WaitingRoom, phone: SmsCatcher, policy: str, sent: int
) -> None:
    await room.begin(REPLY.replace("ON_TIMEOUT", policy))
    execution = await room.end()

    assert len(phone.messages) == sent
    assert "it did not happen within 1d" in execution["reason"]


async def test_a_step_that_is_not_enabled_is_passed_over_and_says_so(
    room: WaitingRoom, phone: SmsCatcher
) -> None:
    await room.begin(
        HEAD + "steps:\n"
        "  - {id: former, type: send_sms, text: Former, enabled: false}\n"
        "  - {id: nap, type: wait, for: 30d, enabled: false}\n"
        "  - {id: present, type: send_sms, text: Present}\n"
    )
    await room.ended()

    assert [message.body for message in phone.messages] == ["Present"]
    assert (await room.steps())["nap"] == ("skipped", "it is not enabled")


@pytest.mark.parametrize(("policy", "sent"), [("stop", 0), ("continue", 1)])
async def test_a_failure_stops_the_run_where_it_is_told_to(
    room: WaitingRoom, phone: SmsCatcher, policy: str, sent: int
) -> None:
    client = await room.office.add_client(email=None)
    await room.begin(
        HEAD + "steps:\n"
        f"  - {{id: mail, type: send_email, subject: A, text: B, on_error: {policy}}}\n"
        "  - {id: nap, type: wait, for: 1s}\n"
        "  - {id: text, type: send_sms, text: Later}\n",
        client_id=client,
    )
    execution = await room.end()

    assert execution["status"] == "failed"
    assert "mail: " in execution["error_message"]
    assert len(phone.messages) == sent


async def test_a_time_of_day_is_the_next_one_in_the_clients_zone(
    room: WaitingRoom, phone: SmsCatcher
) -> None:
    """Server time, company time or UTC was once used where the client's own was meant."""
    client = await room.office.add_client(time_zone="Pacific/Auckland")
    await room.begin(
        HEAD + "steps:\n"
        '  - {id: morning, type: wait_until, at: "09:30"}\n'
        "  - {id: text, type: send_sms, text: Good morning}\n",
        client_id=client,
    )
    said = await room.waits_for("morning until")
    # 09:30 there is 20:30 or 21:30 of the day before in UTC, as its summer has it.
    assert said.endswith(("20:30 UTC", "21:30 UTC"))
    await room.end()

    assert len(phone.messages) == 1


async def test_what_happens_while_a_message_is_held_is_not_missed(
    room: WaitingRoom, app_database: Database, phone: SmsCatcher
) -> None:
    await rule(room, app_database, caps=[{"at_most": 1, "per": "24h"}])
    await room.begin(
        REPLY.replace("ON_TIMEOUT", "exit").replace(
            "  - {id: ask",
            "  - {id: greet, type: send_sms, text: Hello}\n"
            "  - {id: nap, type: wait, for: 1s}\n  - {id: ask",
        )
    )
    await room.sleep_until(await room.now() + timedelta(hours=1))
    await room.waits_for("ask: held until")
    await room.office.add_inbound_message("yes, ten", client_id=room.office.newest_client_id)
    await room.engine.relay_everything()
    await room.sleep_until(await room.now() + timedelta(hours=24))
    # Held again: the answer has been heard.
    await room.waits_for("thanks: held until")
    execution = await room.end()

    assert execution["status"] == "completed"
    assert [message.body for message in phone.messages][-1] == "Thank you"


async def test_two_events_told_at_once_end_two_waits(room: WaitingRoom, phone: SmsCatcher) -> None:
    await room.begin(
        HEAD
        + """
steps:
  - {id: begun, type: wait_for_event, event: {type: job_status_changed, to: [in_progress]},
     timeout: 1d, on_timeout: exit}
  - id: way
    type: branch
    if: {field: job.total, operator: greater_than, value: 0}
    then: [{id: text, type: send_sms, text: We have begun}]
  - {id: done, type: wait_for_event, event: {type: job_status_changed, to: [completed]},
     timeout: 1d, on_timeout: exit}
  - {id: thanks, type: send_sms, text: Thank you}
"""
    )
    await room.waits_for("begun until")

    await room.office.write_status("J-2019", "in_progress")
    await room.office.write_status("J-2019", "completed")
    execution = await room.ended()

    assert (execution["status"], execution["reason"]) == ("completed", None)
    assert [message.body for message in phone.messages] == ["We have begun", "Thank you"]


async def test_a_wait_that_is_not_enabled_ends_no_lateness(
    room: WaitingRoom, phone: SmsCatcher
) -> None:
    """A missing or past date once meant "no delay": the reminder went out at once."""
    await room.begin(
        HEAD + "steps:\n"
        "  - {id: before, type: wait_until, at: {field: job.schedule_start, offset: -24h}}\n"
        "  - {id: nap, type: wait, for: 1d, enabled: false}\n"
        "  - {id: remind, type: send_sms, text: Tomorrow}\n",
        schedule_start=None,
    )
    execution = await room.ended()

    assert not phone.messages
    assert execution["status"] == "skipped"
    assert (await room.steps())["remind"] == ("skipped", "skipped with before")
