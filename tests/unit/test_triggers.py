"""Which events set an automation off: statuses come and go, and are spelled in many ways."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from pydantic import TypeAdapter

from fixlify.domain.events import Event, EventType
from fixlify.domain.names import did_you_mean, nearest, normalized
from fixlify.domain.triggers import (
    TRIGGERS_BY_EVENT,
    JobCompleted,
    JobCreated,
    JobStatusChanged,
    Trigger,
)

TRIGGER: TypeAdapter[JobCreated | JobStatusChanged | JobCompleted] = TypeAdapter(Trigger)


def event(
    before: str | None = None,
    after: str | None = None,
    kind: EventType = EventType.JOB_STATUS_CHANGED,
) -> Event:
    return Event(
        id=1,
        organization_id=UUID(int=1),
        type=kind,
        subject_id="J-2019",
        before=before,
        after=after,
        occurred_at=datetime(2026, 11, 26, tzinfo=UTC),
    )


def trigger(**config: Any) -> JobStatusChanged:
    return JobStatusChanged.model_validate(config)


ANY = trigger()
TO = trigger(to="completed")
FROM = trigger(**{"from": "scheduled"})
BOTH = trigger(**{"from": ["scheduled", "in progress"], "to": ["completed", "closed"]})


@pytest.mark.parametrize(
    ("before", "after", "matching"),
    [
        # From nothing, and to nothing, are changes like any other.
        (None, "completed", [ANY, TO]),
        ("", "completed", [ANY, TO]),
        (None, "scheduled", [ANY]),
        ("completed", None, [ANY]),
        ("scheduled", None, [ANY, FROM]),
        ("scheduled", "", [ANY, FROM]),
        # Plain changes.
        ("scheduled", "completed", [ANY, TO, FROM, BOTH]),
        ("scheduled", "closed", [ANY, FROM, BOTH]),
        ("scheduled", "cancelled", [ANY, FROM]),
        ("new", "completed", [ANY, TO]),
        ("new", "cancelled", [ANY]),
        ("completed", "scheduled", [ANY]),
        # Every spelling of a status is that status.
        ("SCHEDULED", "Completed", [ANY, TO, FROM, BOTH]),
        ("In-Progress", " completed ", [ANY, TO, BOTH]),
        ("in_progress", "_completed_", [ANY, TO, BOTH]),
        ("inprogress", "completed", [ANY, TO]),
        # Written again: matched by where it arrived, whatever it was to come from.
        ("completed", "completed", [ANY, TO, BOTH, FROM]),
        ("completed", "Completed", [ANY, TO, BOTH, FROM]),
        ("new", "new", [ANY, FROM]),
        (None, None, [ANY, FROM]),
        (None, "", [ANY, FROM]),
    ],
)
def test_status_changes(
    before: str | None, after: str | None, matching: list[JobStatusChanged]
) -> None:
    found = [each for each in (ANY, TO, FROM, BOTH) if each.matches(event(before, after))]
    assert found == [each for each in (ANY, TO, FROM, BOTH) if each in matching]


@pytest.mark.parametrize("spelling", ["completed", "Completed", "COMPLETED ", "-completed-"])
def test_a_job_is_completed_however_that_is_spelled(spelling: str) -> None:
    assert JobCompleted().matches(event("scheduled", spelling))
    assert JobCompleted().matches(event(None, spelling))
    assert JobCompleted().value_of(event(None, spelling)) == "completed"


@pytest.mark.parametrize("after", [None, "", "complete", "not completed", "completed 2"])
def test_other_statuses_do_not_complete_a_job(after: str | None) -> None:
    assert not JobCompleted().matches(event("completed", after))


def test_a_created_job_sets_off_only_what_listens_for_it() -> None:
    created = event(None, "completed", EventType.JOB_CREATED)
    assert JobCreated().matches(created)
    assert not JobCompleted().matches(created)
    assert not any(each.matches(created) for each in (ANY, TO, FROM, BOTH))
    assert not JobCreated().matches(event("scheduled", "completed"))


@pytest.mark.parametrize(
    ("before", "after", "rewritten"),
    [
        ("completed", "completed", True),
        ("in_progress", "In-Progress", True),
        (None, None, True),
        (None, "", True),
        ("", " - ", True),
        (None, "new", False),
        ("new", None, False),
        ("new", "newer", False),
    ],
)
def test_a_rewrite_changes_nothing_but_the_spelling(
    before: str | None, after: str | None, rewritten: bool
) -> None:
    assert event(before, after).is_rewrite is rewritten


def test_a_created_job_is_no_rewrite() -> None:
    assert not event(None, None, EventType.JOB_CREATED).is_rewrite


def test_the_window_compares_the_status_arrived_at() -> None:
    assert ANY.value_of(event("a", "In-Progress")) == ANY.value_of(event("b", "in progress"))
    assert ANY.value_of(event("a", "b")) != ANY.value_of(event("a", "c"))
    assert ANY.value_of(event("a", None)) == ANY.value_of(event("a", "")) == ""


@pytest.mark.parametrize("kind", list(EventType))
def test_every_event_is_looked_for_by_every_trigger_it_can_set_off(kind: EventType) -> None:
    """The relay asks only for these, so one missing here would never fire."""
    everything = [
        {"type": "job_created"},
        {"type": "job_status_changed"},
        {"type": "job_completed"},
    ]
    triggers = [TRIGGER.validate_python(each) for each in everything]
    matching = {t.type for t in triggers if t.matches(event("scheduled", "completed", kind))}
    assert matching == set(TRIGGERS_BY_EVENT[kind])


@pytest.mark.parametrize(
    ("written", "compared"),
    [
        ("In-Progress", "in_progress"),
        ("  in \t progress\n", "in_progress"),
        ("in__--  progress", "in_progress"),
        ("in\u00a0progress", "in_progress"),
        ("", None),
        (" _- ", None),
        (None, None),
        ("1", "1"),
        ("ÄNDERUNG", "änderung"),
    ],
)
def test_statuses_are_compared_normalized(written: str | None, compared: str | None) -> None:
    assert normalized(written) == compared


def test_the_nearest_name_is_offered_and_else_all_of_them() -> None:
    assert nearest("job.titel", ["job.title", "job.total"]) == "job.title"
    assert nearest("JOB.TITLE", ["job.title"]) == "job.title"
    assert nearest("zzz", ["job.title"]) is None
    assert did_you_mean("zzz", ["b", "a"]) == "valid: a, b"
