"""Steps that act are refused, with the place, before they could write what they must not."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from fixlify.domain.automation import PinnedDefinition
from fixlify.domain.errors import DefinitionError
from fixlify.domain.events import SubjectType
from fixlify.domain.steps import UpdateRecord
from fixlify.domain.steps.records import BELONGS_TO, LONGEST_TEXT, WRITABLE, changed_tags
from fixlify.domain.triggers import Custom, PaymentReceived, Scheduled, Trigger
from fixlify.domain.triggers.scheduled import Audience
from fixlify.domain.triggers.subjects import subject_of
from starter.definitions import validate_definition

UPDATE: dict[str, Any] = {"type": "update_record"}
TASK: dict[str, Any] = {"type": "create_task"}


def accepted(*steps: dict[str, Any], trigger: dict[str, Any] | str = "job_completed") -> Any:
    written = {"type": trigger} if isinstance(trigger, str) else trigger
    return validate_definition(
        "test.yaml", {"name": "Test", "trigger": written, "steps": list(steps)}
    )


def refused(*steps: dict[str, Any], trigger: dict[str, Any] | str = "job_completed") -> str:
    with pytest.raises(DefinitionError) as caught:
        accepted(*steps, trigger=trigger)
    return "\n".join(map(str, caught.value.problems))


class TestUpdateRecord:
    """What an automation may write is a short list."""

    @pytest.mark.parametrize("record", list(WRITABLE))
    def test_every_writable_field_can_be_written(self, record: SubjectType) -> None:
        values = {name: ["vip"] if name == "tags" else "new" for name in WRITABLE[record]}
        UpdateRecord(record=record, set=values)

    def test_the_record_is_the_subject_unless_it_is_named(self) -> None:
        pinned = accepted({**UPDATE, "set": {"status": "reviewed"}})
        assert isinstance(pinned, PinnedDefinition)
        assert pinned.definition.steps[0].fields == ("status",)  # type: ignore[union-attr]

    @pytest.mark.parametrize(
        ("step", "says"),
        [
            ({}, "steps[0]: give 'set', 'add_tags' or 'remove_tags'"),
            ({"set": {"total": 1}}, "steps[0].set: no automation writes 'total'"),
            ({"set": {"email_opted_out": False}}, "no automation writes 'email_opted_out'"),
            ({"set": {"statsu": "x"}}, "did you mean 'status'?"),
            ({"set": {"status": 5}}, "steps[0].set.status: must be text; put it in quotes"),
            ({"set": {"status": None}}, "steps[0].set.status: must be text"),
            ({"set": {"status": " "}}, "steps[0].set.status: must not be empty"),
            ({"set": {"status": "x" * 101}}, "may have 100 characters at most"),
            ({"set": {"tags": "vip"}}, "steps[0].set.tags: must be a list of tags"),
            ({"set": {"tags": [7]}}, "steps[0].set.tags: a tag must be text"),
            ({"set": {"tags": ["t"] * 101}}, "may hold 100 tags at most"),
            ({"add_tags": ["vip", "a\nb"]}, "steps[0].add_tags: a tag is one line"),
            ({"remove_tags": ["_"]}, "steps[0].remove_tags: a tag is one line of visible text"),
            ({"add_tags": ["x" * 101]}, "a tag may have 100 characters at most"),
            ({"set": {"tags": []}, "add_tags": ["vip"]}, "give either 'tags' in 'set', or"),
            ({"add_tags": ["V-I-P"], "remove_tags": ["v i p"]}, "'V-I-P' is both added and"),
            (
                {"record": "payment", "set": {"status": "x"}},
                "no automation writes the payment; valid: client",
            ),
            (
                {"record": "client", "set": {"status": "x"}},
                "no automation writes the client's 'status'",
            ),
            ({"record": "invoice", "add_tags": ["x"]}, "no automation writes the invoice's 'tags'"),
        ],
    )
    def test_what_it_may_not_write_is_refused_with_the_place(
        self, step: dict[str, Any], says: str
    ) -> None:
        assert says in refused({**UPDATE, **step}, trigger="invoice_paid")

    def test_text_may_be_emptied_where_nothing_hangs_on_it(self) -> None:
        accepted({**UPDATE, "set": {"description": None, "lead_source": None}})

    @pytest.mark.parametrize("field", list(LONGEST_TEXT))
    def test_text_may_be_as_long_as_it_says(self, field: str) -> None:
        accepted({**UPDATE, "set": {field: "x" * LONGEST_TEXT[field]}})

    def test_the_trigger_tells_which_fields_there_are(self) -> None:
        step = {**UPDATE, "set": {"description": "x"}}
        accepted(step, trigger="job_completed")
        assert refused(step, trigger="invoice_paid") == (
            "steps[0].set: no automation writes the invoice's 'description'; valid: status"
        )

    def test_another_record_must_be_one_the_subject_belongs_to(self) -> None:
        accepted({**UPDATE, "record": "job", "add_tags": ["paid"]}, trigger="invoice_paid")
        problem = refused({**UPDATE, "record": "task", "set": {"status": "x"}})
        assert problem == "steps[0].record: the job belongs to no task; valid: client, job"

    def test_a_subject_nobody_writes_needs_a_record(self) -> None:
        step = {**UPDATE, "set": {"status": "x"}}
        assert refused(step, trigger="payment_received") == (
            "steps[0]: no automation writes the payment; say with 'record' which it is: "
            "invoice, job, client"
        )
        daily = {"type": "scheduled", "frequency": "daily", "hour": 9}
        assert refused(step, trigger=daily) == "steps[0]: no automation writes the organization"

    def test_a_custom_event_may_be_about_anything(self) -> None:
        accepted({**UPDATE, "set": {"status": "x"}}, trigger={"type": "custom", "name": "seen"})

    def test_a_step_in_a_branch_is_looked_at_too(self) -> None:
        condition = {"field": "job.status", "operator": "equals", "value": "completed"}
        step = {**UPDATE, "record": "task", "set": {"status": "x"}}
        branch = {"type": "branch", "if": condition, "else": [step]}
        assert refused(branch).startswith("steps[0].else[0].record: ")


class TestCreateTask:
    """The texts of a task are checked as those of messages are."""

    def test_variables_are_those_of_messages(self) -> None:
        accepted(
            {**TASK, "title": "Call {{ client.first_name }}", "description": "{{ job.title }}"}
        )

    @pytest.mark.parametrize(
        ("step", "says"),
        [
            ({}, "steps[0].title: is missing"),
            ({"title": ""}, "steps[0].title: must not be empty"),
            ({"title": "{{ client.frist_name }}"}, "steps[0].title line 1: unknown variable"),
            ({"title": "x", "description": "a\n{{ clint.name }}"}, "steps[0].description line 2"),
            ({"title": "x", "assign_to": "client"}, "steps[0].assign_to: unknown value 'client'"),
            ({"title": "x", "due_in": "-2h"}, "steps[0].due_in: "),
        ],
    )
    def test_what_it_cannot_say_is_refused_with_the_place(
        self, step: dict[str, Any], says: str
    ) -> None:
        assert says in refused({**TASK, **step})


class TestTags:
    """Tags are compared as statuses are, and all the others are left alone."""

    @pytest.mark.parametrize(
        ("tags", "add", "remove", "result"),
        [
            ([], ["vip"], [], ["vip"]),
            (["VIP"], ["vip"], [], ["VIP"]),
            ([], ["vip", "V.I.P", "Vip"], [], ["vip", "V.I.P"]),
            (["a", "do-not-call", "b"], [], ["Do Not Call"], ["a", "b"]),
            (["vip", "Vip", "a"], [], ["VIP"], ["a"]),
            (["a", "a", None], ["b"], ["c"], ["a", "a", None, "b"]),
        ],
    )
    def test_adding_and_removing(
        self, tags: list[str | None], add: list[str], remove: list[str], result: list[str | None]
    ) -> None:
        assert changed_tags(tags, add, remove) == result


class TestSubjects:
    """A trigger tells what its runs are about, where it can."""

    @pytest.mark.parametrize("trigger", get_args(get_args(Trigger)[0]))
    def test_every_trigger_tells_but_the_one_for_anything(self, trigger: type[Any]) -> None:
        told = subject_of(trigger.model_construct())
        assert (told is None) == (trigger is Custom)

    def test_of_a_payment_it_is_the_payment(self) -> None:
        assert subject_of(PaymentReceived()) is SubjectType.PAYMENT

    @pytest.mark.parametrize("audience", list(Audience))
    def test_of_a_schedule_it_is_the_audience(self, audience: Audience) -> None:
        trigger = Scheduled.model_validate(
            {"frequency": "daily", "hour": 9, "audience": audience.value}
        )
        assert f"{subject_of(trigger)}".removesuffix("s") == audience.removesuffix("s")

    def test_every_subject_says_what_it_belongs_to(self) -> None:
        assert BELONGS_TO.keys() == set(SubjectType)
