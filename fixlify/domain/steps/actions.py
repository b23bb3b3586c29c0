"""Steps that act on other systems and on the business's own records."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, field_validator, model_validator
from pydantic_core import PydanticCustomError

from fixlify.domain.durations import Duration, format_duration
from fixlify.domain.errors import WebhookAddressError
from fixlify.domain.events import SubjectType
from fixlify.domain.facts import ORIGIN_ALIASES, fact_names, is_event_field
from fixlify.domain.names import did_you_mean, normalized
from fixlify.domain.steps.base import StepBase
from fixlify.domain.steps.records import WRITABLE, record_problems, value_problem
from fixlify.domain.webhooks import LONGEST_TIMEOUT, parse_target


class CallWebhook(StepBase):
    """Send the facts to an address on the web, signed, until it takes them.

    ``url`` is https; where it leads is looked at when the call is made. ``fields`` names the
    facts that go along, beside the ids; none unless named.
    """

    type: Literal["call_webhook"] = "call_webhook"
    url: Annotated[str, Field(min_length=1, max_length=2000)]
    fields: tuple[str, ...] = ()
    timeout: Duration | None = None

    @field_validator("url")
    @classmethod
    def _may_be_called(cls, url: str) -> str:
        try:
            parse_target(url)
        except WebhookAddressError as error:
            raise PydanticCustomError("webhook_url", "{reason}", {"reason": str(error)}) from error
        return url

    @field_validator("fields")
    @classmethod
    def _fields_exist(cls, fields: tuple[str, ...]) -> tuple[str, ...]:
        for field in fields:
            if ORIGIN_ALIASES.get(field, field) not in fact_names() and not is_event_field(field):
                raise PydanticCustomError(
                    "unknown_field",
                    "unknown field '{field}'; {hint}",
                    {"field": field, "hint": did_you_mean(field, fact_names())},
                )
        return tuple(dict.fromkeys(ORIGIN_ALIASES.get(field, field) for field in fields))

    @field_validator("timeout")
    @classmethod
    def _is_patient_within_reason(cls, timeout: timedelta | None) -> timedelta | None:
        if timeout is not None and timeout > LONGEST_TIMEOUT:
            raise PydanticCustomError(
                "timeout",
                "a receiver may take {longest} to answer at most; it can work on afterwards",
                {"longest": format_duration(LONGEST_TIMEOUT)},
            )
        return timeout


class UpdateRecord(StepBase):
    """Write fields of the record the run is about, or of one it belongs to (``job``, …).

    ``set`` gives fields their values as they are written here. ``add_tags`` and
    ``remove_tags`` leave the other tags alone.
    """

    type: Literal["update_record"] = "update_record"
    record: SubjectType | None = None
    set: dict[str, JsonValue] = Field(default_factory=dict)
    add_tags: tuple[str, ...] = ()
    remove_tags: tuple[str, ...] = ()

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields it writes, each once."""
        tags = ("tags",) if self.add_tags or self.remove_tags else ()
        return tuple(dict.fromkeys((*self.set, *tags)))

    @model_validator(mode="after")
    def _writes_something(self) -> UpdateRecord:
        if not self.fields:
            raise PydanticCustomError("update", "give 'set', 'add_tags' or 'remove_tags'")
        if "tags" in self.set and (self.add_tags or self.remove_tags):
            raise PydanticCustomError(
                "update", "give either 'tags' in 'set', or 'add_tags' and 'remove_tags'"
            )
        removed = {normalized(tag) for tag in self.remove_tags}
        for tag in self.add_tags:
            if normalized(tag) in removed:
                raise PydanticCustomError(
                    "update", "the tag '{tag}' is both added and removed", {"tag": tag}
                )
        for key, problem in record_problems(self.record, None, self.fields):
            place = f".{key}" if key else ""
            raise PydanticCustomError("update", "{problem}", {"problem": problem, "place": place})
        return self

    @field_validator("record")
    @classmethod
    def _is_writable(cls, record: SubjectType | None) -> SubjectType | None:
        if record is not None and record not in WRITABLE:
            raise PydanticCustomError(
                "update",
                "no automation writes the {record}; valid: {records}",
                {"record": record.value, "records": ", ".join(sorted(WRITABLE))},
            )
        return record

    @field_validator("set")
    @classmethod
    def _may_be_written(cls, values: dict[str, Any]) -> dict[str, Any]:
        known = frozenset().union(*WRITABLE.values())
        for name, value in values.items():
            if name not in known:
                raise PydanticCustomError(
                    "update",
                    "no automation writes '{name}'; {hint}",
                    {"name": name, "hint": did_you_mean(name, known)},
                )
            if problem := value_problem(name, value):
                raise PydanticCustomError(
                    "update", "{problem}", {"problem": problem, "place": f".{name}"}
                )
        return values

    @field_validator("add_tags", "remove_tags")
    @classmethod
    def _are_tags(cls, tags: tuple[str, ...]) -> tuple[str, ...]:
        if problem := value_problem("tags", tags):
            raise PydanticCustomError("update", "{problem}", {"problem": problem})
        return tags


class CreateTask(StepBase):
    """Enter a task for a member of staff, about the same client and job.

    ``title`` and ``description`` may use variables as texts do. ``assign_to`` is the job's
    technician, the owner, or nobody.
    """

    type: Literal["create_task"] = "create_task"
    title: Annotated[str, Field(min_length=1, max_length=200)]
    description: str | None = None
    assign_to: Literal["technician", "owner"] | None = None
    due_in: Duration | None = None
