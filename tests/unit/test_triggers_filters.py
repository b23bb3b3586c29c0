"""Which edits, tags, payments and texts an automation asks for."""

from __future__ import annotations

from typing import Any

import pytest

from fixlify.domain.events import EventType
from fixlify.domain.triggers import (
    ClientTagsChanged,
    ClientUpdated,
    Custom,
    JobScheduled,
    JobUpdated,
    PaymentReceived,
    SmsReceived,
)
from tests.unit.sample_events import event


@pytest.mark.parametrize(
    ("fields", "changed", "fires"),
    [
        (None, ["title"], True),
        (None, ["a column of the company's own"], True),
        (["total"], ["title", "total"], True),
        (["total", "status"], ["status"], True),
        (["total"], ["title"], False),
    ],
)
def test_an_edit_is_narrowed_by_its_columns(
    fields: list[str] | None, changed: list[str], fires: bool
) -> None:
    edit = event(EventType.JOB_UPDATED, changed=changed)
    assert JobUpdated(fields=fields).matches(edit) is fires
    assert not ClientUpdated().matches(edit)


def test_edits_of_other_columns_are_other_edits() -> None:
    def value(*columns: str) -> str:
        return JobUpdated().value_of(event(EventType.JOB_UPDATED, changed=columns))

    assert value("title", "total") == value("total", "title")
    assert value("title") != value("total")


@pytest.mark.parametrize(
    ("filters", "added", "removed", "fires"),
    [
        ({}, ["a"], [], True),
        ({}, [], ["a"], True),
        ({}, [], [], False),
        ({}, ["VIP"], ["vip"], False),
        ({}, [None], [], False),
        ({}, None, None, False),
        ({"added": "do-not-disturb"}, ["Do not disturb"], [], True),
        ({"added": ["x", "a"]}, ["a", "b"], [], True),
        ({"added": "a"}, [], ["a"], False),
        ({"removed": "a"}, [], ["a"], True),
        ({"removed": "a"}, ["a"], [], False),
        ({"added": "a", "removed": "b"}, ["a"], [], True),
        ({"added": "a", "removed": "b"}, [], ["b"], True),
        ({"added": "a", "removed": "b"}, ["b"], ["a"], False),
        ({"added": "none"}, [None], [], False),
        ({"added": "7"}, [7], [], True),
        ({"added": "a"}, "a", {"a": 1}, False),
    ],
)
def test_tags_that_come_and_go(
    filters: dict[str, Any], added: Any, removed: Any, fires: bool
) -> None:
    moved = event(EventType.CLIENT_TAGS_CHANGED, added=added, removed=removed)
    assert ClientTagsChanged.model_validate(filters).matches(moved) is fires


def test_the_window_tells_a_tag_that_came_from_one_that_went() -> None:
    def value(added: list[str], removed: list[str]) -> str:
        kind = EventType.CLIENT_TAGS_CHANGED
        return ClientTagsChanged().value_of(event(kind, added=added, removed=removed))

    assert value(["b", "A"], ["c"]) == value(["a", "b"], ["C"]) == "+a,+b,-c"
    assert value(["a"], []) != value([], ["a"])


@pytest.mark.parametrize(
    ("amount", "found", "fires"),
    [
        ({"at_least": 100}, 100, True),
        ({"at_least": 100}, "100.00", True),
        ({"at_least": 100}, 99.99, False),
        ({"at_most": "99.99"}, 99.99, True),
        ({"at_most": 0}, -5, True),
        ({"at_least": 1, "at_most": 2}, 3, False),
        ({"at_least": 1}, None, False),
        ({"at_least": 1}, "NaN", False),
        ({"at_least": 1}, "Infinity", False),
        ({"at_least": 1}, "a lot", False),
        ({"at_least": 1}, [5], False),
    ],
)
def test_amounts_of_payments(amount: dict[str, Any], found: Any, fires: bool) -> None:
    payment = event(EventType.PAYMENT_RECEIVED, amount=found, method="card")
    assert PaymentReceived.model_validate({"amount": amount}).matches(payment) is fires


@pytest.mark.parametrize(
    ("method", "found", "fires"),
    [
        (["Bank transfer"], "bank_transfer", True),
        (["cash", "card"], "CARD", True),
        (["cash"], "cashback", False),
        (["cash"], None, False),
        (["cash"], 7, False),
    ],
)
def test_methods_of_payments(method: list[str], found: Any, fires: bool) -> None:
    payment = event(EventType.PAYMENT_RECEIVED, amount=1, method=found)
    assert PaymentReceived(method=method).matches(payment) is fires


@pytest.mark.parametrize(
    ("keywords", "body", "fires"),
    [
        (None, "", True),
        (["yes"], "Yes.", True),
        (["yes"], "YES!!!", True),
        (["yes"], "yesterday", False),
        (["call me"], "Please call\nme, thanks", True),
        (["call me"], "call him or me", False),
        (["don't"], "I DON\u2019T know", True),
        (["stop", "no"], "oh no", True),
        (["café"], "at the cafe\u0301", True),
        (["ÜBERMORGEN"], "übermorgen?", True),
        (["👍"], "ok👍", True),
        (["👍"], "ok", False),
        (["👍"], "", False),
        (["yes"], None, False),
        (["yes"], 7, False),
    ],
)
def test_keywords_of_text_messages(keywords: list[str] | None, body: Any, fires: bool) -> None:
    text = event(EventType.SMS_RECEIVED, body=body)
    assert SmsReceived(keywords=keywords).matches(text) is fires


def test_a_custom_event_is_known_by_its_name_alone() -> None:
    trigger = Custom(name="review.submitted")
    assert trigger.matches(event(EventType.CUSTOM, name="review.submitted", data={"stars": 5}))
    assert not trigger.matches(event(EventType.CUSTOM, name="Review.Submitted"))
    assert not trigger.matches(event(EventType.CUSTOM))
    assert not trigger.matches(event(EventType.JOB_CREATED, name="review.submitted"))


def test_a_visit_that_moves_twice_is_two_things() -> None:
    moved = [
        event(EventType.JOB_SCHEDULED, before=None, after=at)
        for at in ("2026-11-26T15:00:00+00:00", "2026-11-27T15:00:00+00:00")
    ]
    assert all(JobScheduled().matches(each) for each in moved)
    assert JobScheduled().value_of(moved[0]) != JobScheduled().value_of(moved[1])
