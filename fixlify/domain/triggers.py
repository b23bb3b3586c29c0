"""Triggers: which events set an automation off."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from fixlify.domain.events import Event, EventType
from fixlify.domain.models import Frozen
from fixlify.domain.names import normalized

COMPLETED = "completed"


def _one_or_many(value: Any) -> Any:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list | tuple | None):
        # YAML reads a bare yes, no, on and off as true and false.
        raise PydanticCustomError("statuses", "must be one status or a list of them, as text")
    return value


def _named(statuses: list[str]) -> list[str]:
    for status in statuses:
        if normalized(status) is None:
            raise ValueError("a status needs at least one letter or digit")
    return statuses


Statuses = Annotated[
    list[str],
    BeforeValidator(_one_or_many, json_schema_input_type=str | list[str]),
    Field(min_length=1),
    AfterValidator(_named),
]
"""One status or a list of them; any spelling of each is the same."""


class JobCreated(Frozen):
    """A job was entered."""

    type: Literal["job_created"] = "job_created"

    def matches(self, event: Event) -> bool:
        """Whether *event* sets this off."""
        return event.type is EventType.JOB_CREATED

    def value_of(self, event: Event) -> str:
        """Return what the duplicate window compares; a job is created once."""
        return ""


class JobStatusChanged(Frozen):
    """A job moved to a status, from any other or from named ones."""

    type: Literal["job_status_changed"] = "job_status_changed"
    from_: Annotated[
        Statuses | None,
        Field(validation_alias=AliasChoices("from", "from_status"), serialization_alias="from"),
    ] = None
    to: Annotated[
        Statuses | None,
        Field(validation_alias=AliasChoices("to", "to_status"), serialization_alias="to"),
    ] = None

    def matches(self, event: Event) -> bool:
        """Whether *event* sets this off; a rewritten status is matched by where it arrived."""
        if event.type is not EventType.JOB_STATUS_CHANGED:
            return False
        came_from = event.is_rewrite or _one_of(event.before, self.from_)
        return came_from and _one_of(event.after, self.to)

    def value_of(self, event: Event) -> str:
        """Return what the duplicate window compares: the status arrived at."""
        return normalized(event.after) or ""


class JobCompleted(Frozen):
    """A job moved to ``completed``, however that is spelled."""

    type: Literal["job_completed"] = "job_completed"

    def matches(self, event: Event) -> bool:
        """Whether *event* sets this off."""
        return event.type is EventType.JOB_STATUS_CHANGED and normalized(event.after) == COMPLETED

    def value_of(self, event: Event) -> str:
        """Return what the duplicate window compares."""
        return COMPLETED


def _one_of(status: str | None, wanted: list[str] | None) -> bool:
    return wanted is None or normalized(status) in {normalized(each) for each in wanted}


Trigger = Annotated[JobCreated | JobStatusChanged | JobCompleted, Field(discriminator="type")]
"""What sets an automation off; ``type`` says which."""

TRIGGERS_BY_EVENT: Mapping[EventType, tuple[str, ...]] = MappingProxyType(
    {
        EventType.JOB_CREATED: ("job_created",),
        EventType.JOB_STATUS_CHANGED: ("job_status_changed", "job_completed"),
    }
)
"""Which trigger types to look for when an event of a type arrives."""
