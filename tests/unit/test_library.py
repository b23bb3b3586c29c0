"""Automations are read from YAML as they are written, and the shipped ones are valid."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest

from fixlify.domain.automation import AutomationDefinition, parse_definition
from fixlify.domain.errors import DefinitionError
from fixlify.domain.facts import Estimate, Facts
from fixlify.domain.moments import find_arrival
from fixlify.domain.rules import MessageClass
from fixlify.domain.steps import (
    Branch,
    SendEmail,
    SendSms,
    Step,
    UpdateRecord,
    Wait,
    WaitUntil,
    every_step,
)
from fixlify.domain.steps.recipients import FieldRecipient, Recipient
from fixlify.library import read_yaml, read_yaml_file, shipped_automations
from fixlify.rendering import Channel, check_template, resolve, shipped_templates
from starter.definitions import validate_definition
from tests.unit.sample_facts import ORGANIZATION, facts

NAMES = sorted(shipped_automations())


MARKETING = {"maintenance-due", "review-request", "welcome", "win-back"}
"""The templates that the company would like to be read, rather than the client to have."""


def test_the_common_occasions_have_an_automation() -> None:
    visits = {"visit-scheduled", "visit-reminder", "visit-rescheduled", "visit-cancelled"}
    work = {"job-received", "on-the-way", "job-completed", "estimate-follow-up"}
    money = {"invoice-overdue", "payment-received"}
    people = {"welcome", "missed-call", "review-request", "maintenance-due", "win-back"}
    assert visits | work | money | people <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_automation_is_valid_to_the_last_variable(name: str) -> None:
    definition = validate_definition(f"{name}.yaml", shipped_automations()[name]).definition
    assert definition.description
    assert definition.steps
    templates = resolve(definition.template_names)
    for step in sends(definition):
        channel: Channel = "email" if isinstance(step, SendEmail) else "sms"
        assert step.template
        assert check_template(templates[step.template], channel=channel) == []


def sends(definition: AutomationDefinition) -> list[SendEmail | SendSms]:
    return [step for step in every_step(definition.steps) if isinstance(step, SendEmail | SendSms)]


def test_each_shipped_template_is_used_by_a_shipped_automation() -> None:
    used = {step.template for name in NAMES for step in sends(shipped(name))}
    assert used == set(shipped_templates())


@pytest.mark.parametrize("name", NAMES)
def test_a_landline_gets_the_email_unless_one_goes_anyway(name: str) -> None:
    definition = shipped(name)
    emails = {step.template for step in sends(definition) if isinstance(step, SendEmail)}
    for step in sends(definition):
        if isinstance(step, SendSms) and step.to == Recipient.CLIENT:
            assert (step.if_landline == "email") == (step.template not in emails)


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


@pytest.mark.parametrize("name", NAMES)
def test_what_the_company_would_like_is_marketing_and_the_rest_is_not(name: str) -> None:
    definition = shipped(name)
    for step in sends(definition):
        message_class = step.message_class or definition.message_class
        assert (message_class is MessageClass.MARKETING) == (step.template in MARKETING)


def way(branch: Branch, about: Facts) -> list[Step]:
    """Return the steps that a run about *about* does, through branches of branches."""
    chosen = branch.then if branch.if_.holds(about) else branch.otherwise
    return [
        each
        for step in chosen
        for each in (way(step, about) if isinstance(step, Branch) else [step])
    ]


@pytest.mark.parametrize(
    ("days", "template"),
    [
        (3, "invoice-overdue"),
        (7, "invoice-overdue-second"),
        (14, "invoice-overdue-final"),
        (None, "invoice-overdue"),
    ],
)
def test_the_reminder_of_an_invoice_is_as_firm_as_it_is_late(
    days: int | None, template: str
) -> None:
    """A rehearsal knows of no day, and shows the first."""
    (branch,) = shipped("invoice-overdue").steps
    assert isinstance(branch, Branch)
    reminders = way(branch, facts(event={"days": days}))
    assert [(step.type, getattr(step, "template", None)) for step in reminders] == [
        ("send_email", template),
        ("send_sms", template),
    ]


def test_dunning_grows_firmer_before_the_owner_calls() -> None:
    dunning = shipped("invoice-dunning")
    assert [step.template for step in sends(dunning)] == [
        "invoice-overdue",
        "invoice-overdue-second",
        "invoice-overdue-final",
    ]
    assert dunning.steps[-1].type == "create_task"


def test_a_first_time_is_not_a_new_one() -> None:
    conditions = shipped("visit-rescheduled").conditions
    assert conditions is not None
    scheduled = facts(job={"status": "scheduled"})
    was, will_be = "2026-11-25T16:00:00+00:00", "2026-11-26T16:00:00+00:00"
    assert conditions.holds(scheduled.with_event({"before": was, "after": will_be}))
    assert not conditions.holds(scheduled.with_event({"before": None, "after": will_be}))
    done = facts(job={"status": "Completed"})
    assert not conditions.holds(done.with_event({"before": was, "after": will_be}))


@pytest.mark.parametrize("name", ["visit-rescheduled", "visit-cancelled"])
def test_a_visit_that_is_over_is_not_spoken_of(name: str) -> None:
    (still_ahead,) = [step for step in shipped(name).steps if isinstance(step, WaitUntil)]
    start = datetime(2026, 11, 26, 16, 0, tzinfo=UTC)
    ahead = find_arrival(still_ahead, facts(), start - timedelta(hours=1))
    assert ahead.until is not None
    assert ahead.until < start - timedelta(days=700)
    assert (ahead.late, ahead.good_until) == (None, start)
    assert find_arrival(still_ahead, facts(), start + timedelta(hours=1)).late


def test_a_cancellation_that_is_taken_back_is_not_told() -> None:
    exit_when = shipped("visit-cancelled").exit_when
    assert exit_when is not None
    assert exit_when.holds(facts(job={"status": "scheduled"}))
    assert not exit_when.holds(facts(job={"status": "Canceled"}))


def test_whoever_calls_twice_is_texted_once() -> None:
    """The tag is there before the text goes, and until the window is over."""
    missed = shipped("missed-call")
    assert missed.conditions is not None
    (known,) = missed.steps
    assert isinstance(known, Branch)
    remember, _, window, forget = known.then
    assert isinstance(remember, UpdateRecord)
    assert isinstance(window, Wait)
    assert isinstance(forget, UpdateRecord)
    assert remember.add_tags == forget.remove_tags
    assert window.for_ == timedelta(hours=4)
    assert missed.conditions.holds(facts())
    assert not missed.conditions.holds(facts(client={"tags": tuple(remember.add_tags)}))


def test_a_caller_whom_nobody_knows_is_texted_at_the_number_reported() -> None:
    missed = shipped("missed-call")
    caller = Facts(organization=ORGANIZATION).with_event({"name": "call.missed", "phone": "+1"})
    assert missed.conditions is not None
    assert missed.conditions.holds(caller)
    (known,) = missed.steps
    assert isinstance(known, Branch)
    (text,) = way(known, caller)
    assert isinstance(text, SendSms)
    assert text.to == FieldRecipient(field="event.phone")


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
