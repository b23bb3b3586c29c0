"""Whatever happens to whatever automations: what we promise holds (design, the promises)."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from fixlify.domain.automation import parse_definition
from fixlify.domain.errors import DefinitionError
from fixlify.domain.rules import parse_rules
from fixlify.storage.database import Database
from fixlify.storage.rules import store_rules
from starter.matching import MAX_CHAIN
from tests.engine import eventually
from tests.stories.waiting import WaitingRoom, quiet

RULES = {
    "quiet_hours": {"from": "21:00", "to": "08:00"},
    "caps": [{"at_most": 2, "per": "24h", "channel": "sms"}],
}
ZONE = ZoneInfo("Europe/Berlin")
STATUSES = ["scheduled", "in progress", "completed", "cancelled"]
DAY = timedelta(days=1)

statuses = st.sampled_from(STATUSES)
hours = st.integers(min_value=1, max_value=40).map(lambda n: f"{n}h")
conditions = st.one_of(
    st.fixed_dictionaries(
        {"field": st.just("job.status"), "operator": st.just("equals"), "value": statuses}
    ),
    st.fixed_dictionaries(
        {
            "field": st.just("job.title"),
            "operator": st.just("contains"),
            "value": st.sampled_from(["1", "2", "3"]),
        }
    ),
)
triggers = st.one_of(
    statuses.map(lambda to: {"type": "job_status_changed", "to": [to]}),
    st.sampled_from(
        [{"type": name} for name in ("job_updated", "job_scheduled", "job_tags_changed")]
    ),
)
plain_steps = st.one_of(
    st.sampled_from(
        [
            {"type": "send_sms", "text": "{{ job.title }}: {{ client.first_name }}"},
            {"type": "send_sms", "text": "Now!", "message_class": "urgent"},
            {"type": "send_email", "subject": "{{ job.title }}", "text": "{{ job.address }}"},
            {"type": "send_email", "subject": "Offer", "text": "Buy", "message_class": "marketing"},
            {"type": "create_task", "title": "Call {{ client.first_name }}"},
            {"type": "update_record", "add_tags": ["seen"]},
            {"type": "update_record", "remove_tags": ["seen"]},
        ]
    ),
    statuses.map(lambda status: {"type": "update_record", "set": {"status": status}}),
    hours.map(lambda length: {"type": "wait", "for": length}),
    st.builds(
        lambda offset, policy: {
            "type": "wait_until",
            "at": {"field": "job.schedule_start", "offset": offset},
            "if_late": policy,
        },
        hours.map(lambda length: f"-{length}"),
        st.sampled_from(["skip", "send", {"within": "2h"}]),
    ),
    st.builds(
        lambda event, timeout, policy: {
            "type": "wait_for_event",
            "event": event,
            "timeout": timeout,
            "on_timeout": policy,
        },
        triggers,
        hours,
        st.sampled_from(["exit", "continue"]),
    ),
)
branches = st.builds(
    lambda condition, then, otherwise: {
        "type": "branch",
        "if": condition,
        "then": then,
        "else": otherwise,
    },
    conditions,
    st.lists(plain_steps, min_size=1, max_size=2),
    st.lists(plain_steps, max_size=2),
)


def _is_valid(written: dict[str, Any]) -> bool:
    """Whether it may be applied: not all of what is put together here makes sense."""
    try:
        parse_definition("random", {**written, "name": "Random"})
    except DefinitionError:
        return False
    return True


automations = st.fixed_dictionaries(
    {
        "trigger": triggers,
        "steps": st.lists(st.one_of(plain_steps, plain_steps, branches), min_size=1, max_size=4),
    },
    optional={"exit_when": conditions, "conditions": conditions},
).filter(_is_valid)
# What they write is what sets them off.
loops = st.builds(
    lambda trigger, write: {"trigger": trigger, "steps": [{"type": "update_record", **write}]},
    st.sampled_from([{"type": "job_updated"}, {"type": "job_tags_changed"}]),
    st.sampled_from([{"add_tags": ["seen"]}, {"remove_tags": ["seen"]}, {"add_tags": ["more"]}]),
)
happenings = st.one_of(
    statuses.map(lambda status: ("status", status)),
    st.sampled_from([("move", n) for n in (-5, 3, 20, 30, 60, None)]),
    st.sampled_from([("title", f"Job {n}") for n in (1, 2, 3)]),
    st.sampled_from([("sms", False), ("sms", True), ("email", False), ("email", True)]),
    st.sampled_from([("phone", None), ("phone", "+12125550123")]),
    st.sampled_from([("sleep", n) for n in (1, 9, 26)]),
    st.sampled_from([("pause", None), ("enable", None)]),
)

_numbers = itertools.count(1)


@given(
    written=st.lists(st.one_of(automations, automations, loops), min_size=1, max_size=3),
    events=st.lists(happenings, min_size=2, max_size=7),
)
@settings(
    max_examples=25,
    deadline=None,
    # Smaller examples would be looked for on real servers for minutes.
    phases=[Phase.generate],
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_no_sequence_of_events_breaks_a_promise(
    room: WaitingRoom,
    app_database: Database,
    phone: SmsCatcher,
    mail: MailCatcher,
    written: Sequence[dict[str, Any]],
    events: Sequence[tuple[str, Any]],
) -> None:
    await _set_rules(room, app_database)
    number = next(_numbers)
    await room.office.query("UPDATE automation_workflows SET status = 'archived'")
    for place, each in enumerate(written):
        await room.office.apply(yaml.safe_dump({**each, "name": f"Automation {number}.{place}"}))
    client = await room.office.add_client(time_zone="Europe/Berlin", phone="+12125550123")
    job = await room.office.add_job(
        f"J-{number}",
        client_id=client,
        status="requested",
        address="1 Main Street",
        schedule_start=await room.now() + 2 * DAY,
    )
    wants = {"sms": True, "email": True}
    for kind, value in [("status", "scheduled"), *events]:
        before = len(phone.messages), len(mail.messages)
        await _happen(room, job, kind, value, wants)
        await _settle(room)
        texts, mails = phone.messages[before[0] :], mail.messages[before[1] :]
        assert wants["sms"] or not texts, "P5: they opted out of texts"
        assert wants["email"] or not mails, "P5: they opted out of mail"
    await _happen(room, job, "enable", None, wants)
    await _let_everything_end(room)

    await _check(room, phone, mail)


async def _set_rules(room: WaitingRoom, database: Database) -> None:
    async with database.organization(room.office.organization_id) as connection:
        await store_rules(connection, room.office.organization_id, parse_rules("rules", RULES))


async def _happen(
    room: WaitingRoom, job: str, kind: str, value: Any, wants: dict[str, bool]
) -> None:
    query = room.office.query
    if kind == "status":
        await room.office.write_status(job, value)
    elif kind == "title":
        await query("UPDATE jobs SET title = %s WHERE id = %s", value, job)
    elif kind == "move":
        start = None if value is None else await room.now() + timedelta(hours=value)
        await room.move_visit(job, start)
    elif kind in wants:
        wants[kind] = value
        await query(f"UPDATE clients SET {kind}_opted_out = %s", not value)
    elif kind == "phone":
        await query("UPDATE clients SET phone = %s", value)
    elif kind == "sleep":
        await room.clock.sleep(timedelta(hours=value))
    elif kind == "pause":
        await query("UPDATE automation_workflows SET status = 'paused' WHERE status = 'active'")
    else:
        await query("UPDATE automation_workflows SET status = 'active' WHERE status = 'paused'")
        for execution in await _open(room):
            await room.engine.handle(execution["id"]).signal("release")


async def _open(room: WaitingRoom) -> list[dict[str, Any]]:
    return await room.office.query(
        "SELECT * FROM automation_execution_logs WHERE completed_at IS NULL"
    )


async def _settle(room: WaitingRoom) -> None:
    """Relay, and wait until every run rests, as often as what they do is news."""

    async def rests() -> bool:
        await room.engine.relay_everything()
        for execution in await _open(room):
            if execution["status"] != "waiting":
                return False
            await quiet(room.engine.handle(execution["id"]))
        (left,) = await room.office.query(
            "SELECT (SELECT count(*) FROM automation_events WHERE processed_at IS NULL)"
            " + (SELECT count(*) FROM automation_signals WHERE delivered_at IS NULL)"
            " + (SELECT count(*) FROM messages WHERE status IN ('queued', 'sending'))"
            " + (SELECT count(*) FROM automation_execution_logs"
            "    WHERE status IN ('pending', 'running')) AS work"
        )
        return bool(left["work"] == 0)

    await eventually(rests)


async def _let_everything_end(room: WaitingRoom) -> None:
    for _ in range(60):
        await _settle(room)
        if not await _open(room):
            return
        await room.clock.sleep(DAY)
    raise AssertionError(f"after two months there wait {await _open(room)}")


async def _check(room: WaitingRoom, phone: SmsCatcher, mail: MailCatcher) -> None:
    executions = await room.office.executions()
    messages = await room.office.messages()
    steps = await room.office.query("SELECT * FROM automation_step_logs")
    _check_once(executions, messages, phone, mail)
    _check_wanted(messages)
    _check_truthful(executions, messages, steps)
    _check_loops(executions)
    unexplained = [event for event in await room.office.events() if not event["outcome"]]
    assert not unexplained, "P7: every event says what it led to"


def _check_once(
    executions: list[dict[str, Any]],
    messages: list[dict[str, Any]],
    phone: SmsCatcher,
    mail: MailCatcher,
) -> None:
    """P2: one execution per occurrence and window, one message per execution and step."""
    ran = [e for e in executions if e["status"] != "skipped" or e["started_at"]]
    for one, other in itertools.combinations(ran, 2):
        same = all(
            one[key] == other[key] for key in ("automation_id", "subject_id", "trigger_value")
        )
        apart = abs(one["occurred_at"] - other["occurred_at"])
        assert not same or apart >= timedelta(seconds=30), "P2: a duplicate ran"
    sent = Counter(message["channel"] for message in messages if message["status"] == "sent")
    assert sent == Counter({"sms": len(phone.messages), "email": len(mail.messages)}) - Counter()


def _check_wanted(messages: list[dict[str, Any]]) -> None:
    """P5: nothing at night, no more than the cap, nothing unrendered."""
    sent = [message for message in messages if message["status"] == "sent"]
    for message in sent:
        assert "{{" not in (message["body_text"] or "")
        assert message["recipient"]
        at: datetime = message["sending_at"].astimezone(ZONE)
        assert message["message_class"] == "urgent" or 8 <= at.hour < 21, "P5: at night"
    texts: dict[Any, list[datetime]] = {}
    for message in sent:
        if message["channel"] == "sms" and message["message_class"] != "urgent":
            texts.setdefault(message["recipient_id"], []).append(message["sending_at"])
    for times in texts.values():
        for first, third in zip(sorted(times), sorted(times)[2:], strict=False):
            assert third - first >= DAY, "P5: three within the window of two"


def _check_truthful(
    executions: list[dict[str, Any]], messages: list[dict[str, Any]], steps: list[dict[str, Any]]
) -> None:
    """P6, P7: a status says what happened, and what did not happen says why."""
    of_step = {(step["execution_id"], step["step_id"]): step for step in steps}
    for message in messages:
        step = of_step[message["execution_id"], message["step_id"]]
        assert (message["status"] == "sent") == (step["status"] == "completed")
        assert message["status"] == "sent" or message["reason"], "P7: not sent, and no word why"
    for step in steps:
        assert step["status"] == "completed" or step["reason"], "P7: not done, and no word why"
    for execution in executions:
        of_run = [step for step in steps if step["execution_id"] == execution["id"]]
        failed = [step for step in of_run if step["status"] in ("failed", "unknown")]
        assert bool(failed) == (execution["status"] == "failed"), "P6"
        if execution["status"] != "completed":
            assert execution["reason"] or execution["error_message"], "P7"


def _check_loops(executions: list[dict[str, Any]]) -> None:
    """P10: nothing runs in its own chain, and no chain is long."""
    for execution in executions:
        chain = execution["chain"] or []
        if execution["started_at"] is not None:
            assert execution["automation_id"] not in chain, "P10: it set itself off"
            assert len(chain) < MAX_CHAIN, "P10: a chain without an end"
