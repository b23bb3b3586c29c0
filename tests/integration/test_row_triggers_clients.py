"""Clients are recorded as they come, are edited and are tagged."""

from __future__ import annotations

from typing import Any

import pytest

from tests.office import Office
from tests.recorded import kinds, recorded, times_fired


async def update(office: Office, assignment: str) -> None:
    await office.query(
        f"UPDATE clients SET {assignment} WHERE organization_id = %s", office.organization_id
    )


async def test_a_new_client(office: Office) -> None:
    client = await office.add_client(tags=["vip"])
    (event,) = await office.events()
    assert (event["event_type"], event["subject_type"]) == ("client_created", "client")
    assert event["subject_id"] == str(client)
    assert event["organization_id"] == office.organization_id
    assert event["data"] == {}
    assert await times_fired(office, "client_created") == 1
    assert await times_fired(office, "client_tags_changed") == 0


async def test_an_edited_client_is_recorded_with_the_columns_that_changed(office: Office) -> None:
    await office.add_client()
    await update(office, "phone = '+12125550199', email = NULL, first_name = first_name")
    assert await recorded(office, "client_updated") == [{"changed": ["email", "phone"]}]
    assert await times_fired(office, "client_updated") == 1
    assert await times_fired(office, "client_updated", fields="phone") == 1
    assert await times_fired(office, "client_updated", fields=["address", "email"]) == 1
    assert await times_fired(office, "client_updated", fields="first_name") == 0


async def test_nothing_that_people_wrote_is_copied_into_the_event(office: Office) -> None:
    await office.add_client()
    await update(office, "email = 'private@example.com'")
    assert "private" not in str(await office.events())


async def test_a_write_that_changes_nothing(office: Office) -> None:
    await office.add_client()
    await update(office, "first_name = first_name, tags = '{}', email_opted_out = false")
    assert await kinds(office) == ["client_created"]


@pytest.mark.parametrize(
    ("before", "after", "added", "removed"),
    [
        ([], ["vip"], ["vip"], []),
        (["vip"], [], [], ["vip"]),
        (["a", "b"], ["b", "c"], ["c"], ["a"]),
        (["a"], ["a", None], [None], []),
        (["Überprüfung ✓"], ['"quoted"'], ['"quoted"'], ["Überprüfung ✓"]),
    ],
)
async def test_tags_that_came_and_went(
    office: Office, before: list[Any], after: list[Any], added: list[Any], removed: list[Any]
) -> None:
    client = await office.add_client(tags=before)
    await office.query("UPDATE clients SET tags = %s WHERE id = %s", after, client)
    assert await recorded(office, "client_tags_changed") == [{"added": added, "removed": removed}]
    assert await kinds(office) == ["client_created", "client_tags_changed", "client_updated"]


@pytest.mark.parametrize("after", [["b", "a"], ["a", "b", "b"]])
async def test_the_same_tags_in_another_order_are_an_edit_alone(
    office: Office, after: list[str]
) -> None:
    client = await office.add_client(tags=["a", "b"])
    await office.query("UPDATE clients SET tags = %s WHERE id = %s", after, client)
    assert await kinds(office) == ["client_created", "client_updated"]


async def test_a_tag_is_named_in_any_spelling(office: Office) -> None:
    client = await office.add_client(tags=["prospect"])
    await office.query("UPDATE clients SET tags = '{Do-Not Disturb}' WHERE id = %s", client)
    assert await times_fired(office, "client_tags_changed") == 1
    assert await times_fired(office, "client_tags_changed", added="do_not_disturb") == 1
    assert await times_fired(office, "client_tags_changed", removed=["x", "Prospect"]) == 1
    assert await times_fired(office, "client_tags_changed", added="x", removed="prospect") == 1
    assert await times_fired(office, "client_tags_changed", added="prospect") == 0
    assert await times_fired(office, "client_tags_changed", removed="do not disturb") == 0


async def test_another_spelling_of_a_tag_is_no_news(office: Office) -> None:
    client = await office.add_client(tags=["vip"])
    await office.query("UPDATE clients SET tags = '{VIP}' WHERE id = %s", client)
    assert await times_fired(office, "client_tags_changed") == 0
    assert await times_fired(office, "client_tags_changed", added="vip") == 0
    assert await times_fired(office, "client_updated", fields="tags") == 1


async def test_many_clients_at_once(office: Office) -> None:
    await office.query(
        "INSERT INTO clients (organization_id, first_name) "
        "SELECT %s, 'C-' || n FROM generate_series(1, 1000) AS n",
        office.organization_id,
    )
    await update(office, "tags = '{moved}'")
    assert await times_fired(office, "client_created") == 1_000
    assert await times_fired(office, "client_tags_changed", added="moved") == 1_000
    assert await times_fired(office, "client_updated") == 1_000
