"""What set an execution off, in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

from cli.output import printable
from fixlify.domain.durations import format_duration
from fixlify.domain.events import EventType

_Sentence = Callable[[str, Mapping[str, Any]], str]


def _status(subject: str, data: Mapping[str, Any]) -> str:
    before, after = (data.get(key) or "(none)" for key in ("before", "after"))
    if before == after:
        return f"{subject} got its status again: {after}"
    return f"{subject} changed its status: {before} → {after}"


def _visit(subject: str, data: Mapping[str, Any]) -> str:
    if data.get("before"):
        return f"the visit of {subject} moved: {data['before']} → {data.get('after')}"
    return f"the visit of {subject} was set for {data.get('after')}"


def _tags(subject: str, data: Mapping[str, Any]) -> str:
    came = [f"+{tag}" for tag in data.get("added") or ()]
    went = [f"-{tag}" for tag in data.get("removed") or ()]
    return f"{subject} changed its tags: {' '.join(came + went)}"


def _payment(subject: str, data: Mapping[str, Any]) -> str:
    method = f" by {data['method']}" if data.get("method") else ""
    return f"{subject} of {data.get('amount') or 'an unknown amount'}{method} came in"


def _reminder(subject: str, data: Mapping[str, Any]) -> str:
    seconds = data.get("before")
    before = (
        format_duration(timedelta(seconds=seconds)) if isinstance(seconds, int) else "some time"
    )
    return f"{before} before the visit of {subject} at {data.get('visit')}"


def _entered(subject: str, _: Mapping[str, Any]) -> str:
    return f"{subject} was entered"


def _edited(subject: str, data: Mapping[str, Any]) -> str:
    return f"{subject} was edited: {', '.join(map(str, data.get('changed') or ()))}"


_SENTENCES: Final[Mapping[EventType, _Sentence]] = MappingProxyType(
    {
        EventType.JOB_CREATED: _entered,
        EventType.JOB_STATUS_CHANGED: _status,
        EventType.JOB_SCHEDULED: _visit,
        EventType.JOB_TAGS_CHANGED: _tags,
        EventType.JOB_UPDATED: _edited,
        EventType.CLIENT_CREATED: _entered,
        EventType.CLIENT_UPDATED: _edited,
        EventType.CLIENT_TAGS_CHANGED: _tags,
        EventType.ESTIMATE_STATUS_CHANGED: _status,
        EventType.INVOICE_STATUS_CHANGED: _status,
        EventType.PAYMENT_RECEIVED: _payment,
        EventType.TASK_CREATED: _entered,
        EventType.TASK_STATUS_CHANGED: _status,
        # What it said is the client's; it stands with the message itself.
        EventType.SMS_RECEIVED: lambda subject, _: f"{subject} came in",
        EventType.CUSTOM: lambda subject, data: f"{data.get('name')} was reported of {subject}",
        EventType.SCHEDULED: lambda subject, data: (
            f"the clock struck {data.get('local')} for {subject}"
        ),
        EventType.INVOICE_OVERDUE: lambda subject, data: (
            f"{subject} was due on {data.get('due_date')}, {data.get('days')} days before"
        ),
        EventType.MAINTENANCE_DUE: lambda subject, data: (
            f"{subject} was served last on"
            f" {data.get('last_service')}, {data.get('months')} months before"
        ),
        EventType.STALE_JOB: lambda subject, data: (
            f"{subject} has stood at {data.get('status')} since {data.get('since')}"
        ),
        EventType.APPOINTMENT_REMINDER: _reminder,
    }
)


def what_happened(subject_type: str, subject_id: str, data: Mapping[str, Any]) -> str:
    """Return what set an execution off, as one line.

    Args:
        subject_type: Such as ``job``.
        subject_id: Its id.
        data: The execution's ``trigger_data``.
    """
    subject = f"{subject_type} {subject_id}"
    try:
        sentence = _SENTENCES[EventType(data.get("event_type", ""))]
    except ValueError:
        # A newer program recorded it.
        return printable(f"{data.get('event_type') or 'something'} happened to {subject}")
    return printable(sentence(subject, data))
