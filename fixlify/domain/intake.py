"""Events that other programs report: what one may hold, whichever way it comes in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PlainValidator,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from fixlify.domain.errors import EventsRefusedError, Problem, TooManyEventsError
from fixlify.domain.models import Frozen
from fixlify.domain.problems import explain
from fixlify.domain.triggers.custom import EventName

MAX_EVENTS: Final = 1000
"""How many events one request may hold."""
MAX_PROBLEMS: Final = 50
"""How many problems are told at once; a person fixes the first few and sends again."""
MAX_AHEAD: Final = timedelta(minutes=5)
"""How far a sender's clock may be ahead of ours."""
MAX_AGE: Final = timedelta(days=7)
"""What happened before that would send messages that nobody understands any more."""

LARGEST_NUMBER: Final = 2**53 - 1
"""Up to here every program reads the same number (RFC 7493, section 2.2)."""

_MAX_KEYS: Final = 50
_MAX_TEXT: Final = 2000
_MAX_ID: Final = 200
# Beyond this only a mistake or an attack; comparing it with the valid keys would take long.
_LONGEST_KEY: Final = 100
_LONGEST_MESSAGE: Final = 300
_KEY: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
_UNSEEN: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# RFC 3339, section 5.6; the library would also take seconds since 1970, and dates alone.
_INSTANT: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


def _modest(value: Any) -> Any:
    if isinstance(value, dict) and (
        len(value) > _MAX_KEYS or any(len(key) > _LONGEST_KEY for key in value)
    ):
        raise PydanticCustomError(
            "immodest", "must have at most 50 keys of at most 100 characters each"
        )
    return value


def _identifier(value: Any) -> str:
    if not isinstance(value, str):
        raise PydanticCustomError("identifier", "must be text; put it in quotes")
    if not 1 <= len(value) <= _MAX_ID or _UNSEEN.search(value):
        raise PydanticCustomError(
            "identifier", "must be 1 to 200 characters, none of them a control character"
        )
    return value


def _data(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise PydanticCustomError("data", "must be an object of keys and values")
    return dict(_modest(value))


def _key(value: Any) -> str:
    if not _KEY.fullmatch(value):
        raise PydanticCustomError(
            "data_key",
            "a key is a lower-case letter, then lower-case letters, digits and _, at most 63",
        )
    return str(value)


def _value(value: Any) -> str | int | float | bool | None:
    match value:
        case None | bool():
            return value
        case int() | float():
            # Written so that NaN is refused too.
            if not abs(value) <= LARGEST_NUMBER:
                raise PydanticCustomError(
                    "number", f"a number goes up to {LARGEST_NUMBER}; write a larger one as text"
                )
            return value
        case str():
            if len(value) > _MAX_TEXT or _UNSTORABLE.search(value):
                raise PydanticCustomError(
                    "text",
                    "text is at most 2000 characters, without NUL and halves of surrogate pairs",
                )
            return value
        case _:
            raise PydanticCustomError(
                "flat", "must be text, a number, true, false or null; data does not nest"
            )


def _instant(value: Any, info: ValidationInfo) -> datetime:
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        raise PydanticCustomError(
            "instant", "must be a date, time and offset, such as 2026-03-14T09:12:00Z"
        )
    try:
        instant = datetime.fromisoformat(value.upper())
    except ValueError:
        raise PydanticCustomError("instant", "there is no such date or time") from None
    now = _now(info)
    if instant - now > MAX_AHEAD:
        raise PydanticCustomError(
            "future", "is more than 5 minutes in the future; report what has happened"
        )
    if now - instant > MAX_AGE:
        raise PydanticCustomError(
            "stale", "is more than 7 days ago; what it sets off would come too late"
        )
    # Postgres reads offsets of less than 16 hours only; RFC 3339 allows up to 24.
    return instant.astimezone(UTC)


def _now(info: ValidationInfo) -> datetime:
    # The models are read by ``parse_events`` alone, which knows the time.
    context: Mapping[str, datetime] = info.context or {}
    return context["now"]


# Halves of surrogate pairs are left out of the patterns: text in UTF-8 has none to begin with.
_ID_SCHEMA: Final = {
    "type": "string",
    "minLength": 1,
    "maxLength": _MAX_ID,
    "pattern": r"^[^\u0000-\u001f\u007f-\u009f]*$",
}
_VALUE_SCHEMA: Final = {
    "anyOf": [
        {
            "type": "string",
            "maxLength": _MAX_TEXT,
            "pattern": r"^[^\u0000]*$",
        },
        {"type": "number", "minimum": -LARGEST_NUMBER, "maximum": LARGEST_NUMBER},
        {"type": "boolean"},
        {"type": "null"},
    ]
}

Identifier = Annotated[str, PlainValidator(_identifier), WithJsonSchema(_ID_SCHEMA)]
"""An id somebody else chose: 1 to 200 characters, none of them a control character."""


class Subject(Frozen):
    """What an event is about; an id is unique within its type and organization."""

    type: Literal["organization", "client", "job", "estimate", "invoice", "payment", "task"]
    id: Annotated[Identifier, Field(description="The id as the database has it, such as J-2019.")]


class CustomEvent(Frozen):
    """One event, as a program outside reports it.

    ``subject`` None means the organization itself; ``id`` is the sender's own, and makes the
    event be recorded once for ever; ``occurred_at`` None means now.
    """

    name: Annotated[EventName, Field(description="What happened, such as review.submitted.")]
    subject: Annotated[
        Annotated[Subject, BeforeValidator(_modest)] | None,
        Field(description="What it is about; the organization itself where it is left out."),
    ] = None
    data: Annotated[
        dict[
            Annotated[str, PlainValidator(_key)],
            Annotated[str | int | float | bool | None, PlainValidator(_value)],
        ],
        BeforeValidator(_data),
        WithJsonSchema(
            {
                "type": "object",
                "maxProperties": _MAX_KEYS,
                "patternProperties": {"^[a-z][a-z0-9_]{0,62}$": _VALUE_SCHEMA},
                "additionalProperties": False,
            }
        ),
        Field(description="Facts about it; flat.", default_factory=dict),
    ]
    id: Annotated[
        Identifier | None,
        Field(description="Your own id of the event; the same id again is a duplicate."),
    ] = None
    occurred_at: Annotated[
        Annotated[
            datetime,
            PlainValidator(_instant),
            WithJsonSchema({"type": "string", "format": "date-time"}),
        ]
        | None,
        Field(
            description="When it happened: at most 7 days ago, and at most 5 minutes ahead of "
            "our clock. Now, where it is left out."
        ),
    ] = None


class EventBatch(Frozen):
    """Several events that are recorded together or not at all."""

    events: Annotated[list[CustomEvent], Field(min_length=1, max_length=MAX_EVENTS)]


def request_schema(ref_template: str) -> dict[str, Any]:
    """Return the JSON Schema of a request's body, its models under ``$defs``."""
    adapter: TypeAdapter[CustomEvent | EventBatch] = TypeAdapter(CustomEvent | EventBatch)
    return adapter.json_schema(ref_template=ref_template)


def parse_request(document: Any, now: datetime) -> dict[str, CustomEvent]:
    """Return the events of a request, by their places: one event, or a list under ``events``.

    Raises:
        EventsRefusedError: With the problems of all events, their places as JSON pointers
            (RFC 6901) into *document*.
        TooManyEventsError: There are more than ``MAX_EVENTS``.
    """
    if not isinstance(document, dict):
        raise EventsRefusedError(
            [Problem("", 'must be an object: an event, or {"events": [an event, …]}')]
        )
    if "events" not in document:
        return parse_events([("", document)], now)
    events = document["events"]
    problems = [
        Problem(_pointer([key]), f"unknown key '{key[:_LONGEST_KEY]}'; beside events there is none")
        for key in islice((key for key in document if key != "events"), MAX_PROBLEMS)
    ]
    if not isinstance(events, list) or not events:
        problems.append(Problem("/events", "must be a list of at least one event"))
    elif len(events) > MAX_EVENTS:
        raise TooManyEventsError(len(events), MAX_EVENTS)
    if problems:
        raise EventsRefusedError(problems[:MAX_PROBLEMS])
    return parse_events(((f"/events/{place}", event) for place, event in enumerate(events)), now)


def parse_events(documents: Iterable[tuple[str, Any]], now: datetime) -> dict[str, CustomEvent]:
    """Return the events in *documents*, each of which comes with its place, by their places.

    Raises:
        EventsRefusedError: With the first ``MAX_PROBLEMS`` problems of all of them.
    """
    events: dict[str, CustomEvent] = {}
    problems: list[Problem] = []
    for place, document in documents:
        try:
            events[place] = _parse_event(document, now)
        except ValidationError as error:
            problems += _problems(place, error)
            if len(problems) >= MAX_PROBLEMS:
                break
    if problems:
        raise EventsRefusedError(problems[:MAX_PROBLEMS])
    return events


def no_such_subject(subject: Subject) -> str:
    """Return what is wrong with a subject that the organization does not have."""
    return f"there is no {subject.type} '{subject.id}'; enter it first, or correct the id"


_EVENT: Final[TypeAdapter[CustomEvent]] = TypeAdapter(
    Annotated[CustomEvent, BeforeValidator(_modest)]
)
_PLAIN_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        # The name alone has a pattern.
        "string_pattern_mismatch": "a name is a lower-case letter, then lower-case letters, "
        "digits, _, . and -, at most 100",
        "string_unicode": "must be text, without halves of surrogate pairs",
    }
)


def _parse_event(document: Any, now: datetime) -> CustomEvent:
    return _EVENT.validate_python(document, context={"now": now})


def _problems(place: str, error: ValidationError) -> Iterator[Problem]:
    told = explain(CustomEvent, error)
    for details, problem in zip(error.errors(include_url=False), told, strict=True):
        # Pydantic marks a key that is wrong itself; it has no place of its own.
        pointer = _pointer(part for part in details["loc"] if part != "[key]")
        message = _PLAIN_WORDS.get(details["type"], problem.message)
        # It repeats what was sent, which may be a megabyte.
        yield Problem(place + pointer, message[:_LONGEST_MESSAGE])


def _pointer(parts: Iterable[str | int]) -> str:
    return "".join(
        "/" + str(part)[:_LONGEST_KEY].replace("~", "~0").replace("/", "~1") for part in parts
    )
