"""Whatever set an execution off is told in a sentence."""

from __future__ import annotations

from typing import Any

import pytest

from cli.happenings import what_happened
from fixlify.domain.events import EventType

TOLD: dict[EventType, tuple[str, dict[str, Any], str]] = {
    EventType.JOB_CREATED: ("job", {"after": "new"}, "job 7 was entered"),
    EventType.JOB_STATUS_CHANGED: (
        "job",
        {"before": None, "after": "on the way"},
        "job 7 changed its status: (none) → on the way",
    ),
    EventType.JOB_SCHEDULED: (
        "job",
        {"before": None, "after": "2026-11-24T10:00:00+00:00"},
        "the visit of job 7 was set for 2026-11-24T10:00:00+00:00",
    ),
    EventType.JOB_TAGS_CHANGED: (
        "job",
        {"added": ["vip"], "removed": ["new"]},
        "job 7 changed its tags: +vip -new",
    ),
    EventType.JOB_UPDATED: ("job", {"changed": ["total"]}, "job 7 was edited: total"),
    EventType.CLIENT_CREATED: ("client", {}, "client 7 was entered"),
    EventType.CLIENT_UPDATED: (
        "client",
        {"changed": ["email", "phone"]},
        "client 7 was edited: email, phone",
    ),
    EventType.CLIENT_TAGS_CHANGED: (
        "client",
        {"added": ["vip"], "removed": []},
        "client 7 changed its tags: +vip",
    ),
    EventType.ESTIMATE_STATUS_CHANGED: (
        "estimate",
        {"before": "draft", "after": "sent"},
        "estimate 7 changed its status: draft → sent",
    ),
    EventType.INVOICE_STATUS_CHANGED: (
        "invoice",
        {"before": "sent", "after": "sent"},
        "invoice 7 got its status again: sent",
    ),
    EventType.PAYMENT_RECEIVED: (
        "payment",
        {"amount": 120.5, "method": "card"},
        "payment 7 of 120.5 by card came in",
    ),
    EventType.TASK_CREATED: ("task", {"after": None}, "task 7 was entered"),
    EventType.TASK_STATUS_CHANGED: (
        "task",
        {"before": "open", "after": "done"},
        "task 7 changed its status: open → done",
    ),
    EventType.SMS_RECEIVED: ("sms", {"body": "a secret"}, "sms 7 came in"),
    EventType.CUSTOM: ("client", {"name": "review.left"}, "review.left was reported of client 7"),
    EventType.SCHEDULED: (
        "client",
        {"local": "2026-11-21T09:00"},
        "the clock struck 2026-11-21T09:00 for client 7",
    ),
    EventType.INVOICE_OVERDUE: (
        "invoice",
        {"days": 7, "due_date": "2026-11-14"},
        "invoice 7 was due on 2026-11-14, 7 days before",
    ),
    EventType.MAINTENANCE_DUE: (
        "client",
        {"months": 6, "last_service": "2026-05-21", "last_job_id": "J-1"},
        "client 7 was served last on 2026-05-21, 6 months before",
    ),
    EventType.STALE_JOB: (
        "job",
        {"days": 3, "status": "quoted", "since": "2026-11-18T10:00:00+00:00"},
        "job 7 has stood at quoted since 2026-11-18T10:00:00+00:00",
    ),
    EventType.APPOINTMENT_REMINDER: (
        "job",
        {"before": 86400, "visit": "2026-11-22T10:00:00+00:00"},
        "1d before the visit of job 7 at 2026-11-22T10:00:00+00:00",
    ),
}


@pytest.mark.parametrize("event_type", list(EventType))
def test_every_event_has_its_sentence(event_type: EventType) -> None:
    subject_type, data, sentence = TOLD[event_type]
    assert what_happened(subject_type, "7", {**data, "event_type": event_type.value}) == sentence


@pytest.mark.parametrize("event_type", list(EventType))
def test_data_that_is_missing_costs_no_sentence(event_type: EventType) -> None:
    """An event of an older version, or one edited by hand."""
    subject_type = TOLD[event_type][0]
    assert "7" in what_happened(subject_type, "7", {"event_type": event_type.value})


def test_an_event_of_a_newer_program() -> None:
    assert what_happened("robot", "7", {"event_type": "robot_built"}) == (
        "robot_built happened to robot 7"
    )
