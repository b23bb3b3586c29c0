"""Which changes of status set an automation off: they come and go, and are spelled in many ways."""

from __future__ import annotations

from typing import Any

import pytest

from fixlify.domain.events import EventType
from fixlify.domain.triggers import (
    EstimateAccepted,
    EstimateDeclined,
    EstimateSent,
    InvoicePaid,
    InvoiceSent,
    JobCompleted,
    JobCreated,
    JobStatusChanged,
    TaskCompleted,
)
from fixlify.domain.triggers.changes import StatusReached
from tests.unit.sample_events import change, event


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
    found = [each for each in (ANY, TO, FROM, BOTH) if each.matches(change(before, after))]
    assert found == [each for each in (ANY, TO, FROM, BOTH) if each in matching]


@pytest.mark.parametrize(
    ("reached", "words"),
    [
        (JobCompleted(), ["completed", "Completed", "COMPLETED ", "-completed-"]),
        (TaskCompleted(), ["completed", "done", " Done"]),
        (EstimateSent(), ["sent", "SENT"]),
        (EstimateAccepted(), ["accepted", "approved", "Approved "]),
        (EstimateDeclined(), ["declined", "rejected"]),
        (InvoiceSent(), ["sent"]),
        (InvoicePaid(), ["paid", "Paid", "paid-in-full", "Paid In Full"]),
    ],
)
def test_a_status_is_reached_by_any_of_its_words(reached: StatusReached, words: list[str]) -> None:
    kind = reached.event_type
    for word in words:
        assert reached.matches(change("new", word, kind))
        assert reached.matches(change(None, word, kind))
        assert not reached.matches(change(word, "new", kind))
        assert not reached.matches(change(word, None, kind))
        assert reached.value_of(change(None, word, kind)) == words[0], "all are one"
        for other in EventType:
            assert reached.matches(change("new", word, other)) is (other is kind)


@pytest.mark.parametrize(
    ("before", "after", "fires"),
    [
        ("approved", "accepted", False),
        ("accepted", "Approved", False),
        ("sent", "approved", True),
        ("declined", "approved", True),
        # The relay looks at a rewrite beside what it repeats, so it is matched.
        ("approved", "Approved", True),
    ],
)
def test_from_one_word_to_the_other_is_no_news(before: str, after: str, fires: bool) -> None:
    event = change(before, after, EventType.ESTIMATE_STATUS_CHANGED)
    assert EstimateAccepted().matches(event) is fires


@pytest.mark.parametrize("after", [None, "", "complete", "not completed", "completed 2"])
def test_other_statuses_do_not_complete_a_job(after: str | None) -> None:
    assert not JobCompleted().matches(change("completed", after))


def test_a_created_job_sets_off_only_what_listens_for_it() -> None:
    created = event(EventType.JOB_CREATED, after="completed")
    assert JobCreated().matches(created)
    assert not JobCompleted().matches(created)
    assert not any(each.matches(created) for each in (ANY, TO, FROM, BOTH))
    assert not JobCreated().matches(change("scheduled", "completed"))


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
@pytest.mark.parametrize("kind", [each for each in EventType if each.endswith("status_changed")])
def test_a_rewrite_changes_nothing_but_the_spelling(
    kind: EventType, before: str | None, after: str | None, rewritten: bool
) -> None:
    assert change(before, after, kind).is_rewrite is rewritten


def test_a_created_job_is_no_rewrite() -> None:
    assert not event(EventType.JOB_CREATED, after=None).is_rewrite


def test_the_window_compares_the_status_arrived_at() -> None:
    assert ANY.value_of(change("a", "In-Progress")) == ANY.value_of(change("b", "in progress"))
    assert ANY.value_of(change("a", "b")) != ANY.value_of(change("a", "c"))
    assert ANY.value_of(change("a", None)) == ANY.value_of(change("a", "")) == ""
