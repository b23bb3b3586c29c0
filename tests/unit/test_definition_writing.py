"""A definition is written as people write it, and reads back as the same, whatever it says."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from cli.automation_output import definition_yaml
from fixlify.domain.automation import (
    AutomationDefinition,
    AutomationStatus,
    PinnedDefinition,
    TemplateSource,
    parse_definition,
)
from fixlify.domain.durations import format_duration
from fixlify.domain.errors import DefinitionError
from fixlify.domain.rules import MessageClass
from fixlify.domain.writing import what_changed, write_definition
from fixlify.library import read_yaml, shipped_automations
from tests.broken_automations import BROKEN

SCHEMA: Final = Draft202012Validator(AutomationDefinition.model_json_schema())

SMS: dict[str, Any] = {"type": "send_sms", "text": "Thanks"}
GOOD: dict[str, Any] = {"name": "Thanks", "trigger": {"type": "job_completed"}, "steps": [SMS]}

# Whatever people may write, the awkward included: quotes, line breaks, words YAML has for others.
texts = st.one_of(
    st.sampled_from(["yes", "null", "12:30", "1e3", "- a", "a: b", "# x", "two\nlines\n", " x "]),
    st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=30),
).filter(str.strip)
lengths = st.integers(1, 730 * 86_400).map(lambda seconds: timedelta(seconds=seconds))
durations = lengths.map(format_duration)
offsets = st.tuples(st.sampled_from(["", "-"]), durations).map("".join)
clocks = st.times().map(lambda at: f"{at:%H:%M}")
moment_fields = st.sampled_from(["job.schedule_start", "invoice.due_date", "event.on"])
words = st.one_of(texts, st.integers(-1000, 1000), st.booleans(), st.dates())


def mapping(required: dict[str, Any], **optional: st.SearchStrategy[Any]) -> Any:
    return st.fixed_dictionaries(required, optional=optional)


checks = st.one_of(
    mapping(
        {
            "field": st.sampled_from(["job.total", "client.tags", "invoice.status", "event.on"]),
            "operator": st.sampled_from(["equals", "not_equals", "contains", "greater_than"]),
            "value": words,
        }
    ),
    mapping(
        {
            "field": st.just("job.status"),
            "operator": st.sampled_from(["in", "not_in"]),
            "value": st.lists(words, min_size=1, max_size=3),
        }
    ),
    mapping({"field": st.just("job.total"), "operator": st.just("is_empty")}),
)
conditions = st.recursive(
    checks,
    lambda inner: st.one_of(
        mapping({"all": st.lists(inner, min_size=1, max_size=2)}),
        mapping({"any": st.lists(inner, min_size=1, max_size=2)}),
        mapping({"not": inner}),
    ),
    max_leaves=4,
)
events = st.sampled_from(
    [{"type": "job_completed"}, {"type": "job_status_changed", "to": ["completed", "on the way"]}]
)
moments = st.one_of(
    mapping({"field": moment_fields}, offset=offsets, time=clocks),
    clocks,
    st.dates(date(2026, 1, 1)),
    st.datetimes(datetime(2026, 1, 1)).map("{:%Y-%m-%dT%H:%M:%S}".format),  # noqa: DTZ001 - a wall
)
shared: dict[str, st.SearchStrategy[Any]] = {
    "enabled": st.booleans(),
    "on_error": st.sampled_from(["stop", "continue"]),
}
people = st.sampled_from(["client", "technician", "owner"])
message: dict[str, st.SearchStrategy[Any]] = {
    "message_class": st.sampled_from(list(MessageClass)).map(str),
    "good_for": durations,
}
phones = st.one_of(people, st.just({"address": "+12125550100"}), st.just({"field": "event.phone"}))
mailboxes = st.one_of(people, st.just({"address": "a@example.com"}), st.just({"field": "event.to"}))


def step(type_: str, required: dict[str, Any], **optional: st.SearchStrategy[Any]) -> Any:
    return mapping({"type": st.just(type_), **required}, **shared, **optional)


plain_steps = st.one_of(
    step("send_sms", {"text": texts}, to=phones, **message),
    step("send_email", {"subject": texts, "text": texts}, to=mailboxes, html=texts, **message),
    step("wait", {"for": durations}),
    step(
        "wait_until",
        {"at": moments},
        if_late=st.one_of(st.sampled_from(["send", "skip"]), mapping({"within": durations})),
    ),
    step(
        "wait_for_event",
        {"event": events, "timeout": durations},
        conditions=conditions,
        on_timeout=st.sampled_from(["exit", "continue"]),
    ),
    step("call_webhook", {"url": st.just("https://example.com/x")}, fields=st.just(["job.total"])),
    step("update_record", {"set": st.just({"status": "done"})}, add_tags=st.just(["a"])),
    step("create_task", {"title": texts}, due_in=durations),
)
steps = st.recursive(
    plain_steps,
    lambda inner: st.one_of(
        step(
            "branch",
            {"if": conditions, "then": st.lists(inner, min_size=1, max_size=2)},
            **{"else": st.lists(inner, max_size=2)},
        ),
    ),
    max_leaves=5,
)
definitions = mapping(
    {
        "name": texts.map(str.strip).filter(lambda name: name.splitlines() == [name]),
        "trigger": events,
    },
    description=texts,
    conditions=conditions,
    exit_when=conditions,
    message_class=st.sampled_from(list(MessageClass)).map(str),
    start_within=durations,
    rules=st.sampled_from([{"quiet_hours": "off"}, {"caps": [{"at_most": 2, "per": "1d"}]}]),
    steps=st.lists(steps, max_size=4),
).filter(lambda data: "exit_when" not in data or data["exit_when"] != data.get("conditions"))


def parsed(data: dict[str, Any]) -> AutomationDefinition:
    """Return what *data* describes, unless a branch in it asks what is decided already."""
    try:
        return parse_definition("random.yaml", data)
    except DefinitionError as error:
        if all("can only go one way" in problem.message for problem in error.problems):
            reject()
        raise


@settings(deadline=None, max_examples=80)
@given(definitions)
def test_what_is_written_reads_back_as_the_same(data: dict[str, Any]) -> None:
    definition = parsed(data)
    (again,) = read_yaml(definition_yaml(definition), "random.yaml")
    # As ``apply`` compares them: a date is written as text, and compared as one either way.
    found = parse_definition("random.yaml", again)
    assert found.model_dump(mode="json") == definition.model_dump(mode="json")


@settings(deadline=None, max_examples=80)
@given(definitions)
def test_what_is_written_is_what_the_schema_describes(data: dict[str, Any]) -> None:
    SCHEMA.validate(write_definition(parsed(data)))


@pytest.mark.parametrize("name", sorted(shipped_automations()))
def test_a_shipped_automation_is_what_the_schema_describes(name: str) -> None:
    SCHEMA.validate(shipped_automations()[name])


@pytest.mark.parametrize(
    "broken",
    [each for each in BROKEN if each.what in ("key", "operator", "step type", "trigger type")],
    ids=lambda broken: broken.what,
)
def test_the_schema_finds_what_is_misspelled(broken: Any) -> None:
    (data,) = read_yaml(broken.yaml, "broken.yaml")
    assert list(SCHEMA.iter_errors(data))


@pytest.mark.parametrize("name", sorted(shipped_automations()))
def test_a_shipped_automation_is_written_as_it_stands(name: str) -> None:
    """It holds nothing that goes without saying, and nothing is added to it."""
    data = shipped_automations()[name]
    assert _keys(write_definition(parse_definition(name, data))) == _keys(data)


def _keys(value: Any) -> Any:
    """Return *value* without its words: ``24h`` is written ``1d``, one status as a list of one."""
    if isinstance(value, dict):
        return {key: _keys(each) for key, each in value.items()}
    is_list = isinstance(value, list) and value and isinstance(value[0], dict)
    return [_keys(each) for each in value] if is_list else None


def test_what_goes_without_saying_is_not_written() -> None:
    said = {
        **GOOD,
        "message_class": "transactional",
        "start_within": "3d",
        "steps": [{**SMS, "id": "a", "to": "client", "enabled": True, "on_error": "continue"}],
    }
    written = write_definition(parse_definition("thanks.yaml", said))
    assert written == {
        **GOOD,
        "steps": [{"id": "a", "type": "send_sms", "to": "client", "text": "Thanks"}],
    }
    assert list(written["steps"][0]) == ["id", "type", "to", "text"]


def test_who_gets_it_and_what_is_late_are_always_written() -> None:
    wait = {"type": "wait_until", "at": "09:30"}
    written = write_definition(parse_definition("thanks.yaml", {**GOOD, "steps": [wait, SMS]}))
    assert written["steps"][0]["if_late"] == "skip"
    assert written["steps"][1]["to"] == "client"


def pinned(**changes: Any) -> PinnedDefinition:
    return PinnedDefinition(definition=parse_definition("thanks.yaml", GOOD | changes))


@pytest.mark.parametrize(
    ("changes", "changed"),
    [
        ({}, ()),
        ({"status": AutomationStatus.PAUSED}, ()),
        ({"start_within": "3d"}, ()),
        ({"start_within": "2h"}, ("start_within",)),
        ({"steps": [{**SMS, "text": "Thank you"}]}, ("steps",)),
        ({"trigger": {"type": "job_created"}, "steps": []}, ("trigger", "steps")),
    ],
)
def test_what_changed_between_two_versions_is_named(
    changes: dict[str, Any], changed: tuple[str, ...]
) -> None:
    assert what_changed(pinned(), pinned(**changes)) == changed


def test_a_template_that_was_rewritten_is_a_change() -> None:
    later = pinned().model_copy(update={"templates": {"thanks": TemplateSource(sms="x")}})
    assert what_changed(pinned(), later) == ("templates",)
