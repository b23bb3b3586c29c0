"""What row triggers recorded of a company, and which automations it would set off."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from fixlify.domain.events import Event
from fixlify.domain.triggers import Trigger
from fixlify.storage.database import Database, Role
from fixlify.storage.events import claim_events, mark_processed
from tests.office import Office

_TRIGGER: TypeAdapter[Any] = TypeAdapter(Trigger)


async def kinds(office: Office) -> list[str]:
    """Return the types of the recorded events, oldest first."""
    return [event["event_type"] for event in await office.events()]


async def recorded(office: Office, event_type: str) -> list[dict[str, Any]]:
    """Return the data of the recorded events of one type, oldest first."""
    return [event["data"] for event in await office.events() if event["event_type"] == event_type]


async def changes(office: Office, event_type: str = "job_status_changed") -> list[tuple[Any, Any]]:
    """Return the recorded changes of a status, as before and after."""
    return [(data["before"], data["after"]) for data in await recorded(office, event_type)]


async def times_fired(office: Office, trigger_type: str, **filters: Any) -> int:
    """Return how often what was recorded would set such a trigger off; rewrites never do."""
    trigger = _TRIGGER.validate_python({"type": trigger_type, **filters})
    return sum(trigger.matches(event) and not event.is_rewrite for event in await _read(office))


async def _read(office: Office) -> list[Event]:
    """Read the events as the relay does, and leave them unprocessed."""
    database = Database(office.url, Role.ENGINE, pool_size=1)
    events: list[Event] = []
    try:
        async with database.transaction() as connection:
            reading = await connection.begin_nested()
            while claimed := await claim_events(connection, batch=10_000):
                assert claimed.unreadable == {}
                events.extend(claimed.events)
                await mark_processed(connection, {event.id: "read" for event in claimed.events})
            await reading.rollback()
    finally:
        await database.close()
    return [event for event in events if event.organization_id == office.organization_id]
