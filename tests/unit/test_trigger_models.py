"""Every trigger is written, stored and read back the same, and is looked for by its event."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from fixlify.domain.events import EventType
from fixlify.domain.triggers import TRIGGERS_BY_EVENT, AppointmentReminder, Trigger
from tests.unit.sample_events import event

TRIGGER: TypeAdapter[Any] = TypeAdapter(Trigger)
MODELS = {model.model_fields["type"].default: model for model in get_args(get_args(Trigger)[0])}

words = st.text(alphabet="abcXYZ äß-_7", min_size=1).filter(lambda w: any(c.isalnum() for c in w))
some_words = words | st.lists(words, min_size=1, max_size=3)
amounts = st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=0, max_value=10**9)
ranges = (
    st.tuples(amounts, amounts)
    .map(sorted)
    .flatmap(
        lambda pair: st.sampled_from(
            [{"at_least": pair[0]}, {"at_most": pair[1]}, {"at_least": pair[0], "at_most": pair[1]}]
        )
    )
)
days = st.integers(1, 365)
JOB_COLUMNS = st.sampled_from(["status", "title", "total", "technician_id"])
CLIENT_COLUMNS = st.sampled_from(["email", "phone", "tags"])
STATUS = {"from": some_words, "to": some_words}
TAGS = {"added": some_words, "removed": some_words}

# The keys each trigger needs, and the ones it may have.
KEYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "job_status_changed": ({}, STATUS),
    "estimate_status_changed": ({}, STATUS),
    "job_tags_changed": ({}, TAGS),
    "client_tags_changed": ({}, TAGS),
    "job_updated": ({}, {"fields": JOB_COLUMNS | st.lists(JOB_COLUMNS, min_size=1)}),
    "client_updated": ({}, {"fields": CLIENT_COLUMNS}),
    "payment_received": ({}, {"amount": ranges, "method": some_words}),
    "sms_received": ({}, {"keywords": some_words}),
    "custom": ({"name": st.from_regex(r"[a-z][a-z0-9_.-]{0,99}", fullmatch=True)}, {}),
    "scheduled": (
        {"frequency": st.just("daily"), "hour": st.integers(0, 23)},
        {"minute": st.integers(0, 59), "audience": st.sampled_from(["clients", "jobs"])},
    ),
    "invoice_overdue": ({"days": days | st.lists(days, min_size=1, max_size=20)}, {}),
    "maintenance_due": ({"months": st.integers(1, 60)}, {"job_types": some_words}),
    "stale_job": ({"status": some_words, "days": days}, {}),
    "appointment_reminder": ({"before": st.integers(1, 700).map("{}h".format)}, {}),
}


@pytest.mark.parametrize("kind", sorted(MODELS))
@given(data=st.data())
def test_what_is_stored_reads_back_the_same(kind: str, data: st.DataObject) -> None:
    needed, optional = KEYS.get(kind, ({}, {}))
    keys = data.draw(st.fixed_dictionaries(needed, optional=optional))
    trigger = TRIGGER.validate_python({"type": kind, **keys})
    stored = trigger.model_dump(mode="json", by_alias=True, exclude_none=True)
    again = TRIGGER.validate_python(json.loads(json.dumps(stored)))
    assert again == trigger
    assert again.model_dump(mode="json", by_alias=True, exclude_none=True) == stored
    assert TRIGGER.validate_json(trigger.model_dump_json(by_alias=True)) == trigger


# One event of each type that sets off whatever can be set off by its type.
SETTING_OFF: dict[EventType, dict[str, Any]] = {
    EventType.JOB_TAGS_CHANGED: {"added": ["a"], "removed": []},
    EventType.CLIENT_TAGS_CHANGED: {"added": ["a"], "removed": []},
    EventType.CUSTOM: {"name": "x"},
}
LEAST: dict[str, dict[str, Any]] = {
    "custom": {"name": "x"},
    "scheduled": {"frequency": "daily", "hour": 9},
    "invoice_overdue": {"days": 3},
    "maintenance_due": {"months": 6},
    "stale_job": {"status": "new", "days": 3},
    "appointment_reminder": {"before": "24h"},
}
DATA = ("before", "after", "added", "removed", "changed", "amount", "method", "body", "name")
REACHED = ("completed", "sent", "accepted", "declined", "paid")


@pytest.mark.parametrize("kind", list(EventType))
def test_every_event_is_looked_for_by_every_trigger_it_can_set_off(kind: EventType) -> None:
    """The relay asks only for these, so one missing here would never fire."""
    matching = set()
    for after in REACHED:
        happened = event(kind, **{"before": "x", "after": after} | SETTING_OFF.get(kind, {}))
        for name in MODELS:
            trigger = TRIGGER.validate_python({"type": name, **LEAST.get(name, {})})
            if trigger.matches(happened):
                matching.add(name)
                assert isinstance(trigger.value_of(happened), str)
    assert matching == set(TRIGGERS_BY_EVENT[kind])


@pytest.mark.parametrize("kind", list(EventType))
@pytest.mark.parametrize("garbage", [None, 7, "x", ["x"], {"x": 1}, True, float("nan")])
def test_data_of_any_shape_stops_nobody(kind: EventType, garbage: Any) -> None:
    """One strange row must not keep its neighbours in the batch from being matched."""
    happened = event(kind, **dict.fromkeys(DATA, garbage))
    for name in MODELS:
        trigger = TRIGGER.validate_python({"type": name, **LEAST.get(name, {})})
        assert trigger.matches(happened) in (True, False)
        assert isinstance(trigger.value_of(happened), str)
        assert happened.is_rewrite in (True, False)


@pytest.mark.parametrize(
    ("before", "tolerance"),
    [("30m", timedelta(minutes=15)), ("4h", timedelta(hours=2)), ("2d", timedelta(hours=2))],
)
def test_a_reminder_may_be_half_its_lead_late(before: str, tolerance: timedelta) -> None:
    reminder = AppointmentReminder.model_validate({"before": before})
    assert reminder.tolerance == tolerance
