"""A definition is accepted as people write it, or refused with a path and the nearest name."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import yaml

from fixlify.domain.automation import (
    AutomationDefinition,
    AutomationStatus,
    PinnedDefinition,
    TemplateSource,
    parse_definition,
)
from fixlify.domain.errors import DefinitionError
from fixlify.domain.steps import Recipient, SendEmail, SendSms, Wait
from fixlify.domain.triggers import JobStatusChanged

# Every kind of step and condition this version knows, as the design writes them.
WHOLE = """
name: Visit reminder and review
description: Thank the client.
trigger:
  type: job_status_changed
  to: [scheduled]
conditions:
  all:
    - {field: job.job_type, operator: in, value: [repair, installation]}
    - not: {field: client.tags, operator: contains, value: do-not-disturb}
    - any:
        - {field: job.total, operator: greater_than, value: 100}
        - {field: job.schedule_start, operator: less_than, value: 2027-01-01}
steps:
  - id: remind
    type: send_sms
    to: client
    template: visit-reminder
  - id: cool-down
    type: wait
    for: 2d
  - type: send_email
    to: technician
    subject: Done
    text: "{{ job.title }}"
"""

GOOD: dict[str, Any] = {
    "name": "Thanks",
    "trigger": {"type": "job_completed"},
    "steps": [{"type": "send_sms", "text": "Thank you."}],
}


def parse(**changes: Any) -> AutomationDefinition:
    return parse_definition("thanks.yaml", GOOD | changes)


def problems(**changes: Any) -> list[tuple[str, str]]:
    with pytest.raises(DefinitionError) as refused:
        parse(**changes)
    return [(problem.path, problem.message) for problem in refused.value.problems]


def test_an_automation_reads_as_it_is_written() -> None:
    definition = parse_definition("whole.yaml", yaml.safe_load(WHOLE))

    assert definition.status is None
    assert definition.trigger == JobStatusChanged(to=["scheduled"])
    assert definition.steps == (
        SendSms(id="remind", template="visit-reminder"),
        Wait(id="cool-down", for_=timedelta(days=2)),
        SendEmail(
            id="send_email-3", to=Recipient.TECHNICIAN, subject="Done", text="{{ job.title }}"
        ),
    )
    assert definition.template_names == ("visit-reminder",)


def test_a_stored_definition_reads_back_the_same() -> None:
    definition = parse_definition("whole.yaml", yaml.safe_load(WHOLE))
    pinned = PinnedDefinition(
        definition=definition, templates={"visit-reminder": TemplateSource(sms="Tomorrow!")}
    )
    stored = pinned.model_dump(mode="json", by_alias=True, exclude_none=True)
    again = PinnedDefinition.model_validate(stored)
    assert again.model_dump(mode="json") == pinned.model_dump(mode="json")
    assert again.definition.steps == definition.steps


@pytest.mark.parametrize("status", list(AutomationStatus))
def test_every_status_can_be_asked_for(status: AutomationStatus) -> None:
    assert parse(status=status.value).status is status


def test_an_automation_without_steps_may_be_a_draft() -> None:
    assert parse(steps=[]).steps == ()
    assert parse(steps=[], status="draft").status is AutomationStatus.DRAFT


def test_an_automation_without_steps_cannot_be_active() -> None:
    assert problems(steps=[], status="active") == [
        ("", "an automation cannot be active without steps; add one to 'steps'")
    ]


def test_steps_without_an_id_are_numbered_by_their_place() -> None:
    text = {"type": "send_sms", "text": "x"}
    steps = parse(steps=[text, {**text, "id": "mine"}, text]).steps
    assert [step.id for step in steps] == ["send_sms-1", "mine", "send_sms-3"]


def test_one_status_need_not_be_a_list() -> None:
    definition = parse(trigger={"type": "job_status_changed", "from": "new", "to": "completed"})
    assert definition.trigger == JobStatusChanged(from_=["new"], to=["completed"])


def test_the_keys_of_the_replaced_system_mean_the_same() -> None:
    written = {"type": "job_status_changed", "from_status": "new", "to_status": ["done"]}
    assert parse(trigger=written).trigger == JobStatusChanged(from_=["new"], to=["done"])


def test_a_missing_to_is_any_status() -> None:
    assert parse(trigger={"type": "job_status_changed"}).trigger == JobStatusChanged()


def test_a_step_is_found_by_its_id() -> None:
    definition = parse()
    assert definition.step("send_sms-1") is definition.steps[0]
    with pytest.raises(KeyError):
        definition.step("send_sms-2")


SMS = {"type": "send_sms", "text": "x"}
CHECK = {"field": "job.total", "operator": "equals", "value": 1}

# What is wrong, where it is said to be, and what must be said about it.
MISTAKES: list[tuple[dict[str, Any], str, str]] = [
    # The automation itself.
    ({"nmae": "x"}, "nmae", "did you mean 'name'?"),
    ({"exit_wen": CHECK}, "exit_wen", "did you mean 'exit_when'?"),
    (
        {"exit_when": {"any": [{**CHECK, "field": "job.totl"}]}},
        "exit_when.any[0].field",
        "job.total",
    ),
    ({"exit_when": {"all": []}}, "exit_when", "whatever the facts are"),
    ({"exit_when": {"not": {"all": []}}}, "exit_when", "whatever the facts are"),
    ({"exit_when": CHECK, "conditions": CHECK}, "", "every run would end as it begins"),
    ({"message_class": "markting"}, "message_class", "did you mean 'marketing'?"),
    ({"start_within": "0h"}, "start_within", "longer than zero"),
    ({"start_within": "731d"}, "start_within", "two years"),
    ({"rules": {"quiet_ours": "off"}}, "rules.quiet_ours", "did you mean 'quiet_hours'?"),
    ({"name": ""}, "name", "must not be empty"),
    ({"name": " \t"}, "name", "one line of visible text"),
    ({"name": "Thanks\nagain"}, "name", "one line of visible text"),
    ({"name": 2019}, "name", "must be text; put it in quotes"),
    ({"name": "x" * 201}, "name", "at most 200"),
    ({"status": "actve"}, "status", "did you mean 'active'?"),
    ({"status": True}, "status", "valid: active, archived, draft, paused"),
    # Triggers.
    ({"trigger": "job_completed"}, "trigger", "must be a mapping"),
    ({"trigger": None}, "trigger", "must be a mapping"),
    ({"trigger": {}}, "trigger", "with the key 'type'"),
    ({"trigger": {"type": "job_complete"}}, "trigger.type", "did you mean 'job_completed'?"),
    ({"trigger": {"type": "job_deleted"}}, "trigger.type", "unknown type 'job_deleted'"),
    (
        {"trigger": {"type": "job_status_changed", "too": ["x"]}},
        "trigger.too",
        "did you mean 'to'?",
    ),
    ({"trigger": {"type": "job_status_changed", "to": []}}, "trigger.to", "must not be empty"),
    ({"trigger": {"type": "job_status_changed", "to": ["--"]}}, "trigger.to", "at least one"),
    ({"trigger": {"type": "job_status_changed", "to": True}}, "trigger.to", "one status or a list"),
    ({"trigger": {"type": "job_status_changed", "to": [True]}}, "trigger.to[0]", "must be text"),
    (
        {"trigger": {"type": "job_status_changed", "from": "a", "from_status": "b"}},
        "trigger.from_status",
        "did you mean 'from'?",
    ),
    ({"trigger": {"type": "job_completed", "to": "x"}}, "trigger.to", "unknown key 'to'"),
    # Conditions.
    ({"conditions": [CHECK]}, "conditions", "must be a mapping"),
    ({"conditions": {}}, "conditions", "'field' and 'operator', or one of"),
    ({"conditions": {"al": [CHECK]}}, "conditions", "did you mean 'all'?"),
    ({"conditions": {"all": CHECK}}, "conditions.all", "must be a list"),
    ({"conditions": {"any": []}}, "conditions.any", "must not be empty"),
    ({"conditions": {"all": [], "any": [CHECK]}}, "conditions.any", "unknown key 'any'"),
    ({"conditions": {"not": [CHECK]}}, "conditions.not", "must be a mapping"),
    (
        {"conditions": {"all": [CHECK, {**CHECK, "field": "job.totl"}]}},
        "conditions.all[1].field",
        "did you mean 'job.total'?",
    ),
    (
        {"conditions": {"not": {"any": [{**CHECK, "operator": "equal"}]}}},
        "conditions.not.any[0].operator",
        "did you mean 'equals'?",
    ),
    ({"conditions": {**CHECK, "vale": 1}}, "conditions.vale", "did you mean 'value'?"),
    ({"conditions": {**CHECK, "value": {"a": 1}}}, "conditions.value", "text, a number, a date"),
    ({"conditions": {**CHECK, "value": [[1]], "operator": "in"}}, "conditions.value", "a list"),
    ({"conditions": {**CHECK, "value": None}}, "conditions", "needs a value"),
    ({"conditions": {**CHECK, "value": float("nan")}}, "conditions.value", "finite"),
    # Steps.
    ({"steps": {"send_sms": {}}}, "steps", "must be a list"),
    ({"steps": None}, "steps", "must be a list"),
    ({"steps": ["send_sms"]}, "steps[0]", "must be a mapping"),
    ({"steps": [SMS, {"typ": "wait"}]}, "steps[1]", "with the key 'type'"),
    ({"steps": [{"type": "Send SMS"}]}, "steps[0].type", "did you mean 'send_sms'?"),
    ({"steps": [{**SMS, "tpye": 1}]}, "steps[0].tpye", "did you mean 'type'?"),
    (
        {"steps": [{**SMS, "subject": "x"}]},
        "steps[0].subject",
        "unknown key 'subject'; valid: enabled",
    ),
    ({"steps": [{**SMS, "enabled": "maybe"}]}, "steps[0].enabled", "must be true or false"),
    ({"steps": [{**SMS, "on_error": "stpo"}]}, "steps[0].on_error", "did you mean 'stop'?"),
    ({"steps": [{**SMS, "enabled": False, "text": ""}]}, "steps[0]", "either a 'template' or a"),
    ({"steps": [{**SMS, "to": "clients"}]}, "steps[0].to", "did you mean 'client'?"),
    ({"steps": [{**SMS, "id": "My step"}]}, "steps[0].id", "pattern"),
    ({"steps": [{**SMS, "id": "a"}, {**SMS, "id": "a"}]}, "steps[1]", "two steps have the id 'a'"),
    ({"steps": [{"type": "send_sms"}]}, "steps[0]", "either a 'template' or a 'text'"),
    ({"steps": [{"type": "send_sms", "text": ""}]}, "steps[0]", "either a 'template' or a 'text'"),
    ({"steps": [{**SMS, "template": "x"}]}, "steps[0]", "either a 'template' or a 'text'"),
    ({"steps": [{"type": "send_email", "subject": "x"}]}, "steps[0]", "a 'subject' and a 'text'"),
    (
        {"steps": [{"type": "send_email", "template": "x", "html": "y"}]},
        "steps[0]",
        "not both",
    ),
    ({"steps": [{"type": "wait"}]}, "steps[0].for", "is missing"),
    ({"steps": [{"type": "wait", "for": 90}]}, "steps[0].for", "'90' is not a duration"),
    ({"steps": [{"type": "wait", "for": "1h", "form": 1}]}, "steps[0].form", "did you mean 'for'?"),
]


@pytest.mark.parametrize(("changes", "path", "message"), MISTAKES)
def test_a_mistake_is_named_with_its_path(changes: dict[str, Any], path: str, message: str) -> None:
    (problem,) = problems(**changes)
    assert problem[0] == path
    assert message in problem[1]


@pytest.mark.parametrize("missing", ["name", "trigger"])
def test_what_every_automation_needs(missing: str) -> None:
    data = {key: value for key, value in GOOD.items() if key != missing}
    with pytest.raises(DefinitionError) as refused:
        parse_definition("thanks.yaml", data)
    assert str(refused.value) == f"thanks.yaml: {missing}: is missing; add it"


@pytest.mark.parametrize("data", [None, [], "name: x", 5])
def test_a_file_that_holds_no_mapping(data: Any) -> None:
    with pytest.raises(DefinitionError, match="an automation is a mapping"):
        parse_definition("thanks.yaml", data)


def test_a_key_that_is_no_text() -> None:
    with pytest.raises(DefinitionError, match="a key must be text"):
        parse_definition("thanks.yaml", GOOD | {1: 2})


@pytest.mark.parametrize("character", ["\0", "\ud800"])
@pytest.mark.parametrize(
    ("place", "path"),
    [
        (lambda text: {"name": text}, "name"),
        (lambda text: {"steps": [{**SMS, "text": text}]}, "steps[0].text"),
        (lambda text: {"conditions": {**CHECK, "value": text}}, "conditions.value"),
        (lambda text: {"trigger": {"type": "job_status_changed", "to": [text]}}, "trigger.to[0]"),
    ],
)
def test_text_that_no_database_keeps(place: Any, path: str, character: str) -> None:
    assert problems(**place(f"a{character}b")) == [
        (path, "holds a character that cannot be stored; remove it")
    ]


@pytest.mark.parametrize("name", ["Rückruf №1", "👩‍🔧 Besuch", "a\u00a0b", "x" * 200])
def test_any_visible_name(name: str) -> None:
    assert parse(name=name).name == name


def test_every_problem_is_reported_at_once() -> None:
    found = problems(
        name="",
        trigger={"type": "job_created", "to": "x"},
        steps=[{"type": "wait", "for": "soon"}, {"type": "send_mail"}],
    )
    assert [path for path, _ in found] == ["name", "trigger.to", "steps[0].for", "steps[1].type"]


def test_no_sentence_speaks_of_python() -> None:
    for changes, _, _ in MISTAKES:
        for _, message in problems(**changes):
            assert not any(
                word in message for word in ("Input should", "tuple", "dict", "instance")
            )


def test_nesting_without_end_is_refused_rather_than_followed() -> None:
    nested: dict[str, Any] = CHECK
    for _ in range(2_000):
        nested = {"not": nested}
    assert problems(conditions=nested)


def test_a_list_that_contains_itself_is_refused() -> None:
    cyclic = yaml.safe_load("&again [*again]")
    assert [path for path, _ in problems(steps=cyclic)] == ["steps[0]"]
    nested = yaml.safe_load("&again {all: [*again]}")
    assert problems(conditions=nested)
