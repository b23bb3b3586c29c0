"""Events: the things that happened to a business row, as its trigger recorded them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from fixlify.domain.models import Frozen
from fixlify.domain.names import normalized


class EventType(StrEnum):
    """What the row triggers record."""

    JOB_CREATED = "job_created"
    JOB_STATUS_CHANGED = "job_status_changed"


class Event(Frozen):
    """One row of ``automation_events``.

    ``before`` and ``after`` are the two statuses as they were written; None where there was
    none. ``occurred_at`` is the database's clock at the write, not at the commit.
    """

    id: int
    organization_id: UUID
    type: EventType
    subject_id: str
    before: str | None = None
    after: str | None = None
    occurred_at: datetime

    @property
    def is_rewrite(self) -> bool:
        """Whether the same status was written again: a double click, or another spelling.

        Nothing changed, so it sets nothing off; inside the duplicate window it is recorded
        beside the execution it repeats.
        """
        return self.type is EventType.JOB_STATUS_CHANGED and normalized(self.before) == normalized(
            self.after
        )
