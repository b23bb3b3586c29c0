"""What is wrong with a trigger is said with its place, and what to write instead."""

from __future__ import annotations

from typing import Any

import pytest

from fixlify.domain.automation import parse_definition
from fixlify.domain.errors import DefinitionError
from fixlify.domain.triggers import InvoiceOverdue, MaintenanceDue, Trigger

SMS = {"type": "send_sms", "text": "x"}
DAYS = "a whole number of days between 1 and 365, or a list of them"
WORDS = "one word or a list of them, as text"


def parse(trigger: dict[str, Any]) -> Trigger:
    return parse_definition("x.yaml", {"name": "x", "trigger": trigger, "steps": [SMS]}).trigger


def problems(trigger: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(DefinitionError) as refused:
        parse(trigger)
    return [(problem.path, problem.message) for problem in refused.value.problems]


NOT_DAYS: list[Any] = [0, -3, True, "seven", "7", 400, 7.0, None, {}, [3, 0], [3, "x"], [[3]]]

# The trigger, its keys, where they are wrong, and what must be said about it.
MISTAKES: list[tuple[str, dict[str, Any], str, str]] = [
    ("estimate_approved", {}, "type", "did you mean 'estimate_accepted'?"),
    ("job_scheduled", {"to": "x"}, "to", "unknown key 'to'; valid: type"),
    # Columns.
    ("job_updated", {"fields": "titel"}, "fields", "a job has no 'titel'; did you mean 'title'?"),
    ("job_updated", {"fields": ["total", "Status"]}, "fields", "did you mean 'status'?"),
    ("job_updated", {"fields": []}, "fields", "must not be empty"),
    ("job_updated", {"fields": [7]}, "fields[0]", "must be text"),
    ("job_updated", {"field": "total"}, "field", "did you mean 'fields'?"),
    ("client_updated", {"fields": "job_type"}, "fields", "a client has no 'job_type'; valid: "),
    # Tags.
    ("job_tags_changed", {"added": True}, "added", WORDS),
    ("client_tags_changed", {"removed": ["--"]}, "removed", "at least one letter or digit"),
    ("client_tags_changed", {"tags": "x"}, "tags", "valid: added, removed, type"),
    # Payments.
    ("payment_received", {"amount": 100}, "amount", "write a range: {at_least: 100}, {at_most:"),
    ("payment_received", {"amount": {}}, "amount", "give 'at_least', 'at_most', or both"),
    ("payment_received", {"amount": {"at_least": "x"}}, "amount.at_least", "a finite number"),
    ("payment_received", {"amount": {"at_least": True}}, "amount.at_least", "a finite number"),
    ("payment_received", {"amount": {"at_most": "NaN"}}, "amount.at_most", "a finite number"),
    ("payment_received", {"amount": {"atleast": 5}}, "amount.atleast", "mean 'at_least'?"),
    (
        "payment_received",
        {"amount": {"at_least": 5, "at_most": 1}},
        "amount",
        "'at_least' is more than 'at_most'",
    ),
    ("payment_received", {"method": [7]}, "method[0]", "must be text"),
    # Texts and custom events.
    ("sms_received", {"keywords": []}, "keywords", "must not be empty"),
    ("sms_received", {"keywords": True}, "keywords", WORDS),
    ("sms_received", {"keyword": "x"}, "keyword", "did you mean 'keywords'?"),
    ("custom", {}, "name", "is missing"),
    ("custom", {"name": 7}, "name", "must be text"),
    ("custom", {"name": "Review Submitted"}, "name", "must match the pattern ^[a-z]"),
    # What falls due.
    *[("invoice_overdue", {"days": days}, "days", DAYS) for days in NOT_DAYS],
    ("invoice_overdue", {"days": []}, "days", "must not be empty"),
    ("invoice_overdue", {"days": list(range(1, 22))}, "days", "may hold 20 at most"),
    ("invoice_overdue", {"days": 3, "daysOverdue": 7}, "daysOverdue", "did you mean 'days'?"),
    ("maintenance_due", {}, "months", "is missing"),
    ("maintenance_due", {"months": "6"}, "months", "must be a whole number"),
    ("maintenance_due", {"months": 6.5}, "months", "must be a whole number"),
    ("maintenance_due", {"months": True}, "months", "must be a whole number"),
    ("maintenance_due", {"months": 0}, "months", "must be 1 or more"),
    ("maintenance_due", {"months": 61}, "months", "must be 60 or less"),
    ("stale_job", {"status": "new"}, "days", "is missing"),
    ("stale_job", {"days": 3}, "status", "is missing"),
    ("stale_job", {"status": True, "days": 3}, "status", "one status or a list of them"),
    ("stale_job", {"status": "new", "days": 366}, "days", "must be 365 or less"),
    ("stale_job", {"status": "new", "days": [3]}, "days", "must be a whole number"),
    ("appointment_reminder", {}, "before", "is missing"),
    ("appointment_reminder", {"before": 24}, "before", "write a number with a unit"),
    ("appointment_reminder", {"before": "800d"}, "before", "two years"),
]


@pytest.mark.parametrize(("kind", "keys", "path", "message"), MISTAKES)
def test_a_mistake_is_named_with_its_place(
    kind: str, keys: dict[str, Any], path: str, message: str
) -> None:
    (problem,) = problems({"type": kind, **keys})
    assert problem[0] == f"trigger.{path}"
    assert message in problem[1]
    assert "Input" not in problem[1]


def test_a_missing_key_and_a_wrong_one_are_both_named() -> None:
    assert problems({"type": "invoice_overdue", "day": 7}) == [
        ("trigger.days", "is missing; add it"),
        ("trigger.day", "unknown key 'day'; did you mean 'days'?"),
    ]


@pytest.mark.parametrize("key", ["days", "days_overdue", "daysOverdue"])
@pytest.mark.parametrize(("written", "read"), [(7, [7]), ([14, 3, 7, 3], [3, 7, 14])])
def test_days_overdue_by_any_of_its_names(key: str, written: Any, read: list[int]) -> None:
    """A setting under another name was once ignored."""
    assert parse({"type": "invoice_overdue", key: written}) == InvoiceOverdue(days=read)


@pytest.mark.parametrize("key", ["job_types", "job_type", "jobTypes"])
def test_job_types_by_any_of_their_names(key: str) -> None:
    written = {"type": "maintenance_due", "months": 6, key: "tune-up"}
    assert parse(written) == MaintenanceDue(months=6, job_types=["tune-up"])
