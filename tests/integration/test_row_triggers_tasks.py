"""Tasks are recorded as they come and are done, text messages as they arrive."""

from __future__ import annotations

import pytest

from tests.office import Office
from tests.recorded import changes, kinds, recorded, times_fired


async def write(office: Office, status: str | None) -> None:
    await office.query(
        "UPDATE tasks SET status = %s WHERE organization_id = %s", status, office.organization_id
    )


async def test_a_new_task(office: Office) -> None:
    task = await office.add_task()
    event = (await office.events())[-1]
    assert (event["event_type"], event["subject_type"]) == ("task_created", "task")
    assert event["subject_id"] == str(task)
    assert event["organization_id"] == office.organization_id
    assert event["data"] == {"after": "open"}
    assert await times_fired(office, "task_created") == 1
    assert await times_fired(office, "task_completed") == 0


@pytest.mark.parametrize("done", ["completed", "Completed", "done", " DONE "])
async def test_a_task_that_is_done(office: Office, done: str) -> None:
    await office.add_task()
    await write(office, done)
    assert await changes(office, "task_status_changed") == [("open", done)]
    assert await times_fired(office, "task_completed") == 1


async def test_a_task_from_and_to_nothing(office: Office) -> None:
    await office.add_task(status=None)
    for status in (None, "done", None, "done"):
        await write(office, status)
    assert await changes(office, "task_status_changed") == [
        (None, "done"),
        ("done", None),
        (None, "done"),
    ]
    assert await times_fired(office, "task_completed") == 2


async def test_done_and_completed_are_one(office: Office) -> None:
    await office.add_task()
    for status in ("done", "completed", "completed"):
        await write(office, status)
    assert await times_fired(office, "task_completed") == 1


async def test_a_task_entered_as_done_was_never_open(office: Office) -> None:
    await office.add_task(status="done")
    assert await times_fired(office, "task_created") == 1
    assert await times_fired(office, "task_completed") == 0


async def test_an_edited_task(office: Office) -> None:
    await office.add_task()
    await office.query("UPDATE tasks SET title = 'x', due_at = now(), status = status")
    assert await kinds(office) == ["client_created", "task_created"]


async def test_a_text_message(office: Office) -> None:
    message = await office.add_inbound_message("Yes, TOMORROW works!")
    event = (await office.events())[-1]
    assert (event["event_type"], event["subject_type"]) == ("sms_received", "sms")
    assert event["subject_id"] == str(message)
    assert await recorded(office, "sms_received") == [{"body": "Yes, TOMORROW works!"}]
    assert await times_fired(office, "sms_received") == 1
    assert await times_fired(office, "sms_received", keywords=["no", "tomorrow"]) == 1
    assert await times_fired(office, "sms_received", keywords="tomorrow works") == 1
    assert await times_fired(office, "sms_received", keywords="morrow") == 0


@pytest.mark.parametrize("body", [None, "", "👍", "x" * 1_000_000])
async def test_a_text_message_of_any_content(office: Office, body: str | None) -> None:
    await office.add_inbound_message(body, client_id=None)
    assert await recorded(office, "sms_received") == [{"body": body}]
    assert await times_fired(office, "sms_received") == 1
    assert await times_fired(office, "sms_received", keywords="yes") == 0


async def test_an_edited_text_message_arrives_once(office: Office) -> None:
    await office.add_inbound_message()
    await office.query("UPDATE inbound_messages SET body = 'x'")
    assert len(await recorded(office, "sms_received")) == 1
