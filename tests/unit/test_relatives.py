"""A run hears of its own subject, of what belongs to it, and of its client; of nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from fixlify.domain.automation import AutomationDefinition, parse_definition
from fixlify.domain.errors import DefinitionError, Problem
from fixlify.domain.events import EventType, SubjectType
from fixlify.domain.relatives import BELONGS_TO, SUBJECTS, can_hear, heard_by, subject_of
from fixlify.domain.triggers.scheduled import Audience

THE_CLIENT = {"client", "sms"}


@pytest.mark.parametrize(
    ("run", "hears"),
    [
        ("organization", {"organization"}),
        ("client", THE_CLIENT | {"job", "estimate", "invoice", "payment", "task"}),
        ("job", THE_CLIENT | {"job", "estimate", "invoice", "payment", "task"}),
        ("estimate", THE_CLIENT | {"estimate"}),
        ("invoice", THE_CLIENT | {"invoice", "payment"}),
        ("payment", THE_CLIENT | {"payment"}),
        ("task", THE_CLIENT | {"task"}),
        ("sms", THE_CLIENT),
    ],
)
def test_what_a_run_hears_of(run: str, hears: set[str]) -> None:
    heard = {each.value for each in SubjectType if can_hear(SubjectType(run), each)}
    assert heard == hears
    assert {each.value for each in heard_by(SubjectType(run))} == hears


def test_its_own_subject_is_named_first() -> None:
    assert heard_by(SubjectType.INVOICE)[0] is SubjectType.INVOICE


def test_every_subject_and_every_event_is_known() -> None:
    assert set(BELONGS_TO) == set(SubjectType)
    assert set(SUBJECTS) == set(EventType)


def definition(trigger: dict[str, Any], *steps: dict[str, Any]) -> AutomationDefinition:
    return parse_definition("test", {"name": "Test", "trigger": trigger, "steps": list(steps)})


def waiting_for(event: dict[str, Any]) -> dict[str, Any]:
    return {"type": "wait_for_event", "event": event, "timeout": "7d"}


@pytest.mark.parametrize(
    ("audience", "subject"),
    [
        (Audience.ORGANIZATION, SubjectType.ORGANIZATION),
        (Audience.CLIENTS, SubjectType.CLIENT),
        (Audience.JOBS, SubjectType.JOB),
        (Audience.INVOICES, SubjectType.INVOICE),
    ],
)
def test_the_runs_of_a_clock_are_about_its_audience(
    audience: Audience, subject: SubjectType
) -> None:
    clock = {"type": "scheduled", "cron": "0 9 * * *", "audience": audience.value}
    assert subject_of(definition(clock).trigger) is subject


@pytest.mark.parametrize(
    ("trigger", "event"),
    [
        ("job_created", "job_completed"),
        ("job_completed", "payment_received"),
        ("estimate_sent", "estimate_accepted"),
        ("estimate_sent", "sms_received"),
        ("invoice_sent", "invoice_paid"),
        ("invoice_sent", "payment_received"),
        ("client_created", "job_created"),
        ("maintenance_due", "job_created"),
        ("invoice_overdue", "invoice_paid"),
        ("task_created", "client_updated"),
    ],
)
def test_a_run_may_wait_for_what_it_hears_of(trigger: str, event: str) -> None:
    config = {"invoice_overdue": {"days": 7}, "maintenance_due": {"months": 12}}
    accepted = definition(
        {"type": trigger, **config.get(trigger, {})}, waiting_for({"type": event})
    )
    assert accepted.listens


@pytest.mark.parametrize(
    ("trigger", "event"),
    [
        ({"type": "custom", "name": "review.asked"}, {"type": "invoice_paid"}),
        ({"type": "invoice_paid"}, {"type": "custom", "name": "review.written"}),
    ],
)
def test_what_programs_report_may_be_about_anything(
    trigger: dict[str, Any], event: dict[str, Any]
) -> None:
    assert definition(trigger, waiting_for(event)).listens


class TestWhatIsNeverHeard:
    """A wait that could only end by its time-out is refused, with its place and the reason."""

    @staticmethod
    def problem(trigger: dict[str, Any], *steps: dict[str, Any]) -> Problem:
        with pytest.raises(DefinitionError) as refused:
            definition(trigger, *steps)
        [problem] = refused.value.problems
        return problem

    def test_a_job_is_nothing_to_an_invoice(self) -> None:
        problem = self.problem({"type": "invoice_paid"}, waiting_for({"type": "job_created"}))
        assert problem == Problem(
            "steps[0].event",
            "'job_created' happens to a record of the kind job, and a run set off by "
            "'invoice_paid' never hears of those: only of invoice, client, payment, sms",
        )

    def test_inside_a_branch(self) -> None:
        repair = {"field": "job.job_type", "operator": "equals", "value": "repair"}
        wait = waiting_for({"type": "task_completed"})
        branch = {"type": "branch", "if": repair, "then": [], "else": [wait]}
        sms = {"type": "send_sms", "text": "x"}
        problem = self.problem({"type": "estimate_sent"}, sms, branch)
        assert problem.path == "steps[1].else[0].event"

    @pytest.mark.parametrize("event", ["job_created", "client_created", "sms_received"])
    def test_a_run_about_the_whole_company_hears_of_nobody(self, event: str) -> None:
        clock = {"type": "scheduled", "cron": "0 9 * * *"}
        assert self.problem(clock, waiting_for({"type": event})).message.endswith(
            "only of organization"
        )
