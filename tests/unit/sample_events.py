"""Events as the row triggers and the sweeps record them, for tests of what they set off."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from fixlify.domain.events import Event, EventType, SubjectType


def event(kind: EventType, **data: Any) -> Event:
    """Return an event of *kind* about J-2019; what it is about decides nothing here."""
    return Event(
        id=1,
        organization_id=UUID(int=1),
        type=kind,
        subject_type=SubjectType.JOB,
        subject_id="J-2019",
        data=data,
        occurred_at=datetime(2026, 11, 26, tzinfo=UTC),
    )


def change(
    before: str | None, after: str | None, kind: EventType = EventType.JOB_STATUS_CHANGED
) -> Event:
    """Return a change of status."""
    return event(kind, before=before, after=after)
