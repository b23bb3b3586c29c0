"""Automations are read from YAML as they are written, and the shipped ones are valid."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest

from fixlify.domain.automation import AutomationDefinition, parse_definition
from fixlify.domain.errors import DefinitionError
from fixlify.domain.facts import Estimate
from fixlify.domain.rules import MessageClass
from fixlify.domain.steps import Branch, SendEmail, SendSms, every_step
from fixlify.library import read_yaml, read_yaml_file, shipped_automations
from fixlify.rendering import Channel, check_template, resolve
from starter.definitions import validate_definition
from tests.unit.sample_facts import facts

NAMES = sorted(shipped_automations())


def test_the_common_occasions_have_an_automation() -> None:
    assert {"job-completed", "job-received", "visit-scheduled"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_automation_is_valid_to_the_last_variable(name: str) -> None:
    definition = validate_definition(f"{name}.yaml", shipped_automations()[name]).definition
    assert definition.description
    assert definition.steps
    templates = resolve(definition.template_names)
    for step in every_step(definition.steps):
        if isinstance(step, SendEmail | SendSms):
            channel: Channel = "email" if isinstance(step, SendEmail) else "sms"
            assert step.template
            assert check_template(templates[step.template], channel=channel) == []


def test_shipped_automations_have_names_of_their_own() -> None:
    names = [data["name"] for data in shipped_automations().values()]
    assert len(set(names)) == len(names)


def test_the_thank_you_goes_out_both_ways_and_at_once() -> None:
    definition = parse_definition("job-completed.yaml", shipped_automations()["job-completed"])
    assert [step.type for step in definition.steps] == ["send_email", "send_sms"]


def test_the_most_wanted_promises_ship_with_what_sets_them_off() -> None:
    triggers = {name: data["trigger"] for name, data in shipped_automations().items()}
    assert triggers["invoice-overdue"] == {"type": "invoice_overdue", "days": [3, 7, 14]}
    assert triggers["maintenance-due"] == {"type": "maintenance_due", "months": 12}
    assert triggers["visit-reminder"] == {"type": "appointment_reminder", "before": "24h"}
    assert triggers["estimate-follow-up"] == {"type": "estimate_sent"}
    assert triggers["payment-received"] == {"type": "payment_received"}


def shipped(name: str) -> AutomationDefinition:
    return parse_definition(f"{name}.yaml", shipped_automations()[name])


def test_the_reminder_of_the_design_ships_as_it_is_written_there() -> None:
    reminder = shipped("visit-reminder-and-review")
    assert [step.type for step in reminder.steps] == [
        "wait_until",
        "send_sms",
        "wait_for_event",
        "wait",
        "send_email",
    ]
    assert reminder.template_names == ("visit-reminder", "review-request")
    assert reminder.listens


def test_dunning_ends_with_the_payment() -> None:
    exit_when = shipped("invoice-dunning").exit_when
    assert exit_when is not None
    assert not exit_when.holds(facts(invoice={"status": "sent"}))
    assert exit_when.holds(facts(invoice={"status": "Paid"}))
    assert exit_when.holds(facts(invoice={"status": "sent", "amount_paid": Decimal("1250.5")}))


def test_an_estimate_that_is_accepted_is_not_asked_about() -> None:
    steps = {step.id: step for step in every_step(shipped("estimate-follow-up").steps)}
    accepted = steps["accepted"]
    assert isinstance(accepted, Branch)
    estimate = Estimate(id=uuid4(), status="approved")
    assert accepted.if_.holds(facts().model_copy(update={"estimate": estimate}))
    assert [step.id for step in accepted.then] == ["plan"]


def test_what_the_company_would_like_is_marketing_and_the_rest_is_not() -> None:
    classes = {name: shipped(name).message_class for name in NAMES}
    assert {name for name, each in classes.items() if each is MessageClass.MARKETING} == {
        "maintenance-due",
        "review-request",
    }


def test_on_our_way_is_worth_saying_for_two_hours() -> None:
    assert shipped("on-the-way").start_within == timedelta(hours=2)


def test_one_file_may_hold_several_automations() -> None:
    read = read_yaml("---\nname: a\n---\nname: b\n---\n", "two.yaml")
    assert read == [{"name": "a"}, {"name": "b"}]


def test_words_stay_words() -> None:
    (read,) = read_yaml(
        "on: yes\nno: off\nfor: 12:30\nid: 007\ncount: 7\nreally: true\nnothing: null\n", "a.yaml"
    )
    assert read == {
        "on": "yes",
        "no": "off",
        "for": "12:30",
        "id": "007",
        "count": 7,
        "really": True,
        "nothing": None,
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: a\nsteps: [\n", r"a\.yaml: line 3: "),
        ("name: a\n\tsteps: 1\n", r"a\.yaml: line 2: "),
        ("name: a\nname: b\n", r"a\.yaml: line 2: the key 'name' is there twice"),
        ("steps:\n  - id: a\n    type: wait\n    id: b\n", r"line 4: the key 'id' is there twice"),
        ("name: !!python/object/apply:os.system [ls]\n", r"a\.yaml: line 1: could not determine"),
        ("- name: a\n", r"a\.yaml: line 1: an automation is a mapping"),
        ("name: a\n---\njust words\n", r"a\.yaml: line 3: an automation is a mapping"),
        ("", r"a\.yaml: is empty"),
        ("# nothing yet\n", r"a\.yaml: is empty"),
        ("name: a\x00\n", r"a\.yaml: has a character"),
        ("at: 2026-13-45\n", r"a\.yaml: is not YAML: ValueError"),
        ("[" * 2_000, r"a\.yaml: "),
        ("{a: 1}: b\n", r"a\.yaml: line 1: "),
    ],
)
def test_what_is_not_yaml_is_refused_with_its_line(text: str, expected: str) -> None:
    with pytest.raises(DefinitionError, match=expected):
        read_yaml(text, "a.yaml")


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match=r"nowhere\.yaml: cannot be read: No such file"):
        read_yaml_file(tmp_path / "nowhere.yaml")
    (tmp_path / "picture.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DefinitionError, match="not text in UTF-8"):
        read_yaml_file(tmp_path / "picture.yaml")
    (tmp_path / "large.yaml").write_text("# " + "x" * 1_000_000)
    with pytest.raises(DefinitionError, match="far too large"):
        read_yaml_file(tmp_path / "large.yaml")


def test_a_file_is_read_with_its_path_as_source(tmp_path: Path) -> None:
    file = tmp_path / "one.yaml"
    file.write_text("name: a\nname: b\n")
    with pytest.raises(DefinitionError) as caught:
        read_yaml_file(file)
    assert caught.value.source == str(file)
    file.write_text("name: a\n")
    assert read_yaml_file(file) == [{"name": "a"}]
