"""Waits, branches and exits are accepted as people write them, or refused with their place."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

import pytest
import yaml

from fixlify.domain.automation import AutomationDefinition, parse_definition
from fixlify.domain.errors import DefinitionError
from fixlify.domain.steps import (
    Branch,
    Exit,
    FieldMoment,
    IfLate,
    OnTimeout,
    WaitForEvent,
    WaitUntil,
    Within,
    every_step,
    placed_steps,
)
from fixlify.domain.steps.numbering import DEEPEST, MOST_STEPS
from fixlify.domain.triggers import JobStatusChanged

SMS: dict[str, Any] = {"type": "send_sms", "text": "x"}
EXIT: dict[str, Any] = {"type": "exit"}
WAIT: dict[str, Any] = {"type": "wait", "for": "1d"}
PAID: dict[str, Any] = {"field": "invoice.status", "operator": "equals", "value": "paid"}
LARGE: dict[str, Any] = {"field": "job.total", "operator": "greater_than", "value": 100}
FALLS_DUE: dict[str, Any] = {"type": "wait_until", "at": {"field": "invoice.due_date"}}


def branch(*then: Any, if_: Any = LARGE, **keys: Any) -> dict[str, Any]:
    return {"type": "branch", "if": if_, "then": list(then), **keys}


def parse(*steps: Any, **keys: Any) -> AutomationDefinition:
    data = {"name": "Steps", "trigger": {"type": "job_completed"}, "steps": list(steps), **keys}
    return parse_definition("steps.yaml", data)


def problem(*steps: Any) -> tuple[str, str]:
    with pytest.raises(DefinitionError) as refused:
        parse(*steps)
    (found,) = refused.value.problems
    return found.path, found.message


def at(written: Any) -> Any:
    (step,) = parse({"type": "wait_until", "at": written}).steps
    assert isinstance(step, WaitUntil)
    return step.at


def test_the_automation_of_the_design_is_read_as_it_is_written() -> None:
    definition = parse_definition(
        "review.yaml",
        yaml.safe_load("""
            name: Visit reminder and review
            trigger: {type: job_status_changed, to: [scheduled]}
            exit_when:
              any:
                - {field: job.status, operator: equals, value: cancelled}
            steps:
              - id: day-before
                type: wait_until
                at: {field: job.schedule_start, offset: -24h}
                if_late: skip
              - {id: remind, type: send_sms, to: client, template: visit-reminder}
              - id: after
                type: wait_for_event
                event: {type: job_status_changed, to: [completed]}
                timeout: 7d
                on_timeout: exit
        """),
    )
    assert definition.listens
    assert definition.step("day-before") == WaitUntil(
        id="day-before",
        at=FieldMoment(field="job.schedule_start", offset=timedelta(days=-1)),
        if_late=IfLate.SKIP,
    )
    assert definition.step("after") == WaitForEvent(
        id="after",
        event=JobStatusChanged(to=["completed"]),
        timeout=timedelta(days=7),
        on_timeout=OnTimeout.EXIT,
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("10:00", time(10)),
        ("2027-03-01", date(2027, 3, 1)),
        (date(2027, 3, 1), date(2027, 3, 1)),
        ("2027-03-01T10:30", datetime(2027, 3, 1, 10, 30)),  # noqa: DTZ001 - the client's wall
        ({"field": "invoice.due_date"}, FieldMoment(field="invoice.due_date")),
        (
            {"field": "job.schedule_start", "offset": "2h", "time": "9:30"},
            FieldMoment(field="job.schedule_start", offset=timedelta(hours=2), time=time(9, 30)),
        ),
        ({"field": "event.on"}, FieldMoment(field="event.on")),
    ],
)
def test_a_moment_is_of_a_field_a_date_or_a_time_of_day(written: Any, meant: object) -> None:
    assert at(written) == meant
    assert type(at(written)) is type(meant)


@pytest.mark.parametrize(
    ("written", "meant"),
    [("send", IfLate.SEND), ("skip", IfLate.SKIP), ({"within": "2h"}, timedelta(hours=2))],
)
def test_what_is_late_is_sent_skipped_or_sent_within_a_limit(written: Any, meant: object) -> None:
    (step,) = parse({**FALLS_DUE, "if_late": written}).steps
    assert isinstance(step, WaitUntil)
    assert (step.if_late.within if isinstance(step.if_late, Within) else step.if_late) == meant


def test_what_says_nothing_is_on_goes_on_and_skips_what_is_late() -> None:
    (step,) = parse(FALLS_DUE).steps
    assert isinstance(step, WaitUntil)
    assert (step.enabled, step.on_error, step.if_late) == (True, "continue", IfLate.SKIP)


# What is wrong with one step, where it is said to be, and what must be said about it.
MISTAKES: list[tuple[dict[str, Any], str, str]] = [
    ({**WAIT, "for": "0h"}, "for", "longer than zero"),
    ({**WAIT, "for": "-2h"}, "for", "'-2h' is not a duration"),
    ({**WAIT, "for": "730d1s"}, "for", "two years (730d) at most"),
    ({"type": "wait_untli", "at": "10:00"}, "type", "did you mean 'wait_until'?"),
    ({"type": "wait_until"}, "at", "is missing"),
    # YAML reads a bare 10:00 as 600, in base 60.
    ({"type": "wait_until", "at": 600}, "at", "'600' is no moment; write {field: job.schedule_"),
    ({"type": "wait_until", "at": "soon"}, "at", 'a time of day in quotes, such as "09:30"'),
    ({"type": "wait_until", "at": None}, "at", "'None' is no moment"),
    ({"type": "wait_until", "at": ["10:00"]}, "at", "is no moment"),
    ({"type": "wait_until", "at": {"field": "job.status"}}, "at.field", "'job.status' holds no d"),
    (
        {"type": "wait_until", "at": {"field": "job.schedule_strat"}},
        "at.field",
        "did you mean 'job.schedule_start'?",
    ),
    ({**FALLS_DUE, "at": {**FALLS_DUE["at"], "ofset": "2h"}}, "at.ofset", "did you mean 'offset'?"),
    ({**FALLS_DUE, "at": {**FALLS_DUE["at"], "offset": "0h"}}, "at.offset", "longer than zero"),
    ({**FALLS_DUE, "at": {**FALLS_DUE["at"], "offset": "-731d"}}, "at.offset", "two years"),
    ({**FALLS_DUE, "at": {**FALLS_DUE["at"], "offset": 24}}, "at.offset", "'24' is not a duration"),
    ({**FALLS_DUE, "at": {**FALLS_DUE["at"], "time": 600}}, "at.time", "write it in quotes"),
    ({**FALLS_DUE, "if_late": "skp"}, "if_late", "unknown policy 'skp'; did you mean 'skip'?"),
    ({**FALLS_DUE, "if_late": 5}, "if_late", "valid: send, skip, {within: 2h}"),
    ({**FALLS_DUE, "if_late": {"within": "0h"}}, "if_late.within", "longer than zero"),
    (
        {"type": "wait_for_event", "event": {"type": "job_completed"}},
        "timeout",
        "is missing",
    ),
    (
        {"type": "wait_for_event", "event": {"type": "job_complete"}, "timeout": "1d"},
        "event.type",
        "did you mean 'job_completed'?",
    ),
    (
        {"type": "wait_for_event", "event": {"type": "job_completed"}, "timeout": "0d"},
        "timeout",
        "longer than zero",
    ),
    (
        {
            "type": "wait_for_event",
            "event": {"type": "job_completed"},
            "timeout": "1d",
            "on_timeout": "ext",
        },
        "on_timeout",
        "did you mean 'exit'?",
    ),
    (
        {
            "type": "wait_for_event",
            "event": {"type": "invoice_overdue", "days": 7},
            "timeout": "1d",
        },
        "event",
        "nothing happens to a subject when 'invoice_overdue' fires",
    ),
    (
        {
            "type": "wait_for_event",
            "event": {"type": "scheduled", "cron": "0 9 * * *"},
            "timeout": "1d",
        },
        "event",
        "nothing happens to a subject when 'scheduled' fires",
    ),
    ({"type": "branch", "then": [SMS]}, "if", "is missing"),
    (branch(), "", "give 'then', 'else', or both"),
    (branch(SMS, if_={"all": []}), "", "can only go one way"),
    (branch(SMS, if_={"not": {"all": []}}), "", "can only go one way"),
    (branch(branch(SMS)), ".then[0]", "can only go one way"),
    (branch(branch(SMS, if_={"not": LARGE})), ".then[0]", "can only go one way"),
    (branch(branch(SMS, if_={"any": [LARGE]})), ".then[0]", "can only go one way"),
    (branch(SMS, **{"else": [branch(SMS)]}), ".else[0]", "can only go one way"),
    (branch(EXIT, SMS), ".then[1]", "the step 'send_sms-3' can never be reached"),
    ({**branch(EXIT, SMS), "enabled": False}, ".then[1]", "can never be reached"),
    ({**EXIT, "fro": 1}, "fro", "unknown key 'fro'"),
]


def _below(place: str, path: str) -> str:
    return f"{place}{path}" if path.startswith(".") or not path else f"{place}.{path}"


@pytest.mark.parametrize(("step", "path", "message"), MISTAKES)
def test_a_mistake_is_named_with_its_place(step: dict[str, Any], path: str, message: str) -> None:
    found, said = problem(step)
    assert found == _below("steps[0]", path)
    assert message in said


@pytest.mark.parametrize(("step", "path", "message"), MISTAKES)
def test_inside_branches_its_place_is_as_exact(
    step: dict[str, Any], path: str, message: str
) -> None:
    inner = branch(SMS, if_={**LARGE, "value": 7}, **{"else": [SMS, step]})
    found, said = problem(WAIT, branch(SMS, inner, if_=PAID))
    assert found == _below("steps[1].then[1].else[1]", path)
    assert "{{" not in said


def test_what_follows_the_end_of_every_way_is_refused() -> None:
    both = branch(EXIT, **{"else": [SMS, EXIT]})
    path, said = problem(both, SMS)
    assert path == "steps[1]"
    assert said == (
        "the step 'send_sms-5' can never be reached: the run has ended at 'branch-1'; "
        "remove it, or move it up"
    )


def test_what_follows_one_way_that_goes_on_is_reached() -> None:
    assert parse(branch(EXIT), SMS).steps
    assert parse(branch(SMS, **{"else": [EXIT]}), SMS).steps
    assert parse({**EXIT, "enabled": False}, SMS).steps
    assert parse({**branch(EXIT, **{"else": [EXIT]}), "enabled": False}, SMS).steps


def test_a_question_is_asked_again_once_something_has_happened() -> None:
    """A wait, a message that is held: whatever takes time may change the answer."""
    assert parse(branch(WAIT, branch(SMS))).steps
    assert parse(branch(SMS, branch(SMS))).steps
    assert parse(branch(branch(WAIT, if_=PAID), branch(SMS))).steps
    assert parse(branch(EXIT), SMS, branch(SMS)).steps


def test_a_question_that_ended_the_run_is_not_asked_again_at_once() -> None:
    path, said = problem(branch(EXIT), branch(SMS, if_={"not": LARGE}))
    assert (path, "can only go one way" in said) == ("steps[1]", True)


def test_two_steps_of_one_id_are_refused_across_branches() -> None:
    named = {**SMS, "id": "a"}
    assert problem(named, branch(SMS, **{"else": [named]}))[0] == "steps[1].else[0]"
    assert problem(branch(named, **{"else": [named]}))[0] == "steps[0].else[0]"


def test_steps_are_numbered_and_placed_in_the_order_they_are_written() -> None:
    definition = parse(SMS, branch(SMS, WAIT, **{"else": [branch(SMS, if_=PAID)]}), SMS)
    assert [step.id for step in every_step(definition.steps)] == [
        "send_sms-1",
        "branch-2",
        "send_sms-3",
        "wait-4",
        "branch-5",
        "send_sms-6",
        "send_sms-7",
    ]
    assert [place for place, _ in placed_steps(definition.steps)] == [
        "steps[0]",
        "steps[1]",
        "steps[1].then[0]",
        "steps[1].then[1]",
        "steps[1].else[0]",
        "steps[1].else[0].then[0]",
        "steps[2]",
    ]
    assert isinstance(definition.step("branch-5"), Branch)


def nested(depth: int) -> dict[str, Any]:
    step = SMS
    for number in range(depth):
        step = branch(step, if_={**LARGE, "value": number})
    return step


def test_branches_stand_eight_deep_and_no_deeper() -> None:
    assert parse(nested(DEEPEST)).steps
    path, said = problem(SMS, nested(DEEPEST + 1))
    assert path == "steps[1]" + ".then[0]" * DEEPEST + ".then"
    assert "branches may stand 8 deep" in said


def test_an_automation_has_two_hundred_steps_at_most_also_in_branches() -> None:
    assert parse(*[SMS] * MOST_STEPS).steps
    path, said = problem(SMS, branch(*[SMS] * 100, **{"else": [SMS] * 99}))
    assert path == "steps[1].else[98]"
    assert "200 steps" in said


def test_steps_that_contain_themselves_are_refused() -> None:
    cyclic = yaml.safe_load("&again [{type: branch, then: *again, else: *again}]")
    path, _ = problem(*cyclic)
    assert path.startswith("steps[0].then[0].then[0]")


def test_an_automation_listens_where_it_waits_or_may_end_early() -> None:
    assert not parse(SMS, branch(SMS), EXIT).listens
    assert parse(branch(SMS, **{"else": [WAIT]})).listens
    assert parse(SMS, exit_when=PAID).listens


def test_an_exit_may_stand_anywhere() -> None:
    assert [type(step) for step in parse(SMS, EXIT).steps][-1] is Exit
