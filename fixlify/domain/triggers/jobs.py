"""Triggers of jobs and tasks."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from fixlify.domain.events import Event, EventType
from fixlify.domain.triggers.changes import (
    Happened,
    StatusChanged,
    StatusReached,
    TagsChanged,
    Updated,
)
from fixlify.domain.triggers.filters import Words, columns_of

JobColumns = Annotated[
    Words,
    columns_of(
        "job",
        "address",
        "client_id",
        "completed_at",
        "description",
        "job_type",
        "lead_source",
        "schedule_end",
        "schedule_start",
        "status",
        "tags",
        "technician_id",
        "title",
        "total",
    ),
]


class JobCreated(Happened):
    """A job was entered."""

    type: Literal["job_created"] = "job_created"
    event_type: ClassVar = EventType.JOB_CREATED


class JobStatusChanged(StatusChanged):
    """A job moved to a status, from any other or from named ones."""

    type: Literal["job_status_changed"] = "job_status_changed"
    event_type: ClassVar = EventType.JOB_STATUS_CHANGED


class JobCompleted(StatusReached):
    """A job moved to ``completed``, however that is spelled."""

    type: Literal["job_completed"] = "job_completed"
    event_type: ClassVar = EventType.JOB_STATUS_CHANGED
    words: ClassVar = ("completed",)


class JobScheduled(Happened):
    """A job's visit was given a time, or moved to another."""

    type: Literal["job_scheduled"] = "job_scheduled"
    event_type: ClassVar = EventType.JOB_SCHEDULED

    def value_of(self, event: Event) -> str:
        """Return what the duplicate window compares: the visit's new time."""
        return event.after or ""


class JobTagsChanged(TagsChanged):
    """A job's tags changed."""

    type: Literal["job_tags_changed"] = "job_tags_changed"
    event_type: ClassVar = EventType.JOB_TAGS_CHANGED


class JobUpdated(Updated):
    """A job was edited."""

    type: Literal["job_updated"] = "job_updated"
    event_type: ClassVar = EventType.JOB_UPDATED
    fields: JobColumns | None = None


class TaskCreated(Happened):
    """A task was entered."""

    type: Literal["task_created"] = "task_created"
    event_type: ClassVar = EventType.TASK_CREATED


class TaskCompleted(StatusReached):
    """A task moved to ``completed``, or ``done``."""

    type: Literal["task_completed"] = "task_completed"
    event_type: ClassVar = EventType.TASK_STATUS_CHANGED
    words: ClassVar = ("completed", "done")
