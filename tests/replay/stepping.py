"""Runs of every step and each of its branches: what is done while one waits, and how it ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from tests.receiving import Reply
from tests.replay import playing
from tests.replay.playing import DAY, LATER, SOON
from tests.stories.waiting import Handle, WaitingRoom

_HEAD = "name: Steps\ntrigger: {type: job_status_changed, to: [scheduled]}\nsteps:\n"
_EXIT_WHEN = "exit_when: {field: job.status, operator: equals, value: cancelled}\n"
_TEXT = "  - {id: text, type: send_sms, text: 'About {{ job.title }}.'}\n"
_MAIL = "  - {id: mail, type: send_email, subject: 'Hello', text: '{{ client.first_name }}!'}\n"
_NAP = f"  - {{id: nap, type: wait, for: {SOON.seconds}s}}\n"
_NAP_THEN_TEXT = _HEAD + _NAP + _TEXT
_UPDATE = "  - {id: update, type: update_record, add_tags: [gold]}\n"
_TELL = """
  - {id: tell, type: call_webhook, url: "https://books.example.com/?of=Byron", fields: [job.title]}
"""

_REMIND = (
    _HEAD
    + """
  - id: day-before
    type: wait_until
    at: {field: job.schedule_start, offset: -24h}
    if_late: skip
  - {id: remind, type: send_sms, text: "Tomorrow: {{ job.title }}."}
"""
)
_REPLY = (
    _HEAD
    + """
  - {id: ask, type: send_sms, text: "Does ten suit you?"}
  - id: reply
    type: wait_for_event
    event: {type: sms_received}
    conditions: {field: event.body, operator: contains, value: "yes"}
    timeout: TIMEOUT
    on_timeout: POLICY
  - {id: thanks, type: send_sms, text: Thank you}
"""
)
_REVIEW = (
    _HEAD
    + """
  - id: after
    type: wait_for_event
    event: {type: job_status_changed, to: [completed]}
    timeout: 7d
  - {id: review, type: send_email, subject: "How was it?", text: "Tell us, {{ client.first_name }}"}
"""
)
_BRANCHES = (
    _HEAD
    + """
  - id: size
    type: branch
    if: {field: job.total, operator: greater_than, value: 1000}
    then:
      - id: kind
        type: branch
        if: {field: job.job_type, operator: equals, value: installation}
        then: [{id: big-install, type: send_sms, text: Big installation}]
        else: [{id: big-other, type: send_sms, text: Big other}]
      - {id: enough, type: exit}
    else:
      - {id: small, type: send_sms, text: Small}
  - {id: after, type: send_sms, text: After}
"""
)
_ACT = (
    _HEAD
    + _UPDATE
    + '  - {id: call, type: create_task, title: "Call {{ client.first_name }}", due_in: 1d}\n'
)
_STOP = _HEAD + _MAIL.replace("}\n", ", on_error: stop}\n") + _NAP + _TEXT
_NOT_ENABLED = (
    _HEAD
    + _MAIL.replace("}\n", ", enabled: false}\n")
    + "  - {id: nap, type: wait, for: 30d, enabled: false}\n"
    + _TEXT
)
# Every step that an earlier run may have completed, then one that fails.
_EVERY_WAY = (
    _HEAD
    + """
  - {id: nap, type: wait, for: 1s}
  - id: reply
    type: wait_for_event
    event: {type: sms_received}
    timeout: 1s
    on_timeout: continue
  - id: day-before
    type: wait_until
    at: {field: job.schedule_start, offset: -24h}
    if_late: {within: 2h}
  - id: size
    type: branch
    if: {field: job.total, operator: greater_than, value: 10}
    then:
      - {id: small, type: send_sms, text: Hello}
      - {id: update, type: update_record, add_tags: [gold]}
      - {id: mail, type: send_email, subject: Hello, text: Hello, on_error: stop}
      - {id: call, type: create_task, title: Call}
"""
)


async def _nothing(room: WaitingRoom, handle: Handle) -> None:
    """Let the run be."""


async def _no_preparation(room: WaitingRoom) -> None:
    """Leave the company as it is."""


@dataclass(frozen=True, slots=True)
class StepScenario:
    """One run about a visit, how it ends, and what happens while it waits.

    ``visit_in`` is how long after the beginning the visit starts; None where it has no date.
    ``replies`` are what the receiver of webhooks says, before it takes everything.
    """

    automation: str
    expected_status: str = "completed"
    play: Callable[[WaitingRoom, Handle], Awaitable[None]] = _nothing
    prepare: Callable[[WaitingRoom], Awaitable[None]] = _no_preparation
    visit_in: timedelta | None = None
    client: Mapping[str, Any] = field(default_factory=dict)
    job: Mapping[str, Any] = field(default_factory=dict)
    replies: tuple[Reply, ...] = ()


STEP_SCENARIOS: Mapping[str, StepScenario] = MappingProxyType(
    {
        "moment-moved-twice": StepScenario(_REMIND, play=playing.move_twice, visit_in=DAY + LATER),
        "moment-too-late": StepScenario(_REMIND, "skipped", visit_in=timedelta(hours=3)),
        "moment-too-late-sent": StepScenario(
            _REMIND.replace("if_late: skip", "if_late: send"), visit_in=timedelta(hours=3)
        ),
        "moment-missing": StepScenario(_REMIND, "skipped"),
        "moment-cancelled": StepScenario(
            _REMIND, "cancelled", play=playing.cancel, visit_in=DAY + LATER
        ),
        "archived-while-waiting": StepScenario(
            _REMIND, "cancelled", play=playing.archive, visit_in=DAY + LATER
        ),
        "told-while-waiting": StepScenario(_NAP_THEN_TEXT, play=playing.edit_the_job),
        "event-came": StepScenario(_REVIEW, play=playing.complete_the_job),
        "event-met-its-conditions-later": StepScenario(
            _REPLY.replace("TIMEOUT", "1d").replace("POLICY", "exit"), play=playing.answer_twice
        ),
        "event-timed-out-and-ended": StepScenario(
            _REPLY.replace("TIMEOUT", "1s").replace("POLICY", "exit")
        ),
        "event-timed-out-and-went-on": StepScenario(
            _REPLY.replace("TIMEOUT", "1s").replace("POLICY", "continue")
        ),
        "branches-then-exit": StepScenario(_BRANCHES, job={"total": 5_000}),
        "branch-else": StepScenario(_BRANCHES),
        "exited-while-waiting": StepScenario(
            _EXIT_WHEN + _NAP_THEN_TEXT, "skipped", play=playing.cancel_the_job
        ),
        "exited-when-rendered": StepScenario(
            _EXIT_WHEN + _NAP_THEN_TEXT + _MAIL + _UPDATE,
            "skipped",
            play=playing.cancel_the_job_and_tell_nobody,
        ),
        "exited-while-held": StepScenario(
            _EXIT_WHEN + _NAP_THEN_TEXT, "skipped", play=playing.cancel_the_job_while_held
        ),
        "record-updated-and-task-created": StepScenario(_ACT),
        "webhook-taken-later": StepScenario(
            _HEAD + _TELL, replies=(Reply(503, {"Retry-After": "0"}),)
        ),
        "webhook-refused": StepScenario(_HEAD + _TELL, "failed", replies=(Reply(404),)),
        "stopped-on-error": StepScenario(
            _STOP, "failed", client={"email": "fail-550+ada@example.com"}
        ),
        "not-enabled": StepScenario(_NOT_ENABLED),
        "messages-held-then-written-anew": StepScenario(
            _NAP_THEN_TEXT + _MAIL, play=playing.pause_then_enable_messages
        ),
        "actions-held-then-released": StepScenario(
            _HEAD + _NAP + _UPDATE + _NAP.replace("nap", "pause") + _TELL,
            play=playing.pause_then_enable_actions,
        ),
        "held-by-a-cap": StepScenario(
            _HEAD + _TEXT + _TEXT.replace("id: text", "id: again"),
            prepare=playing.allow_one_text_in_three_seconds,
        ),
        "moved-while-held": StepScenario(
            _REMIND, play=playing.move_while_held, visit_in=DAY + SOON
        ),
        "moved-then-enabled-while-held": StepScenario(
            _REMIND, play=playing.move_and_enable_while_held, visit_in=DAY + SOON
        ),
        "moved-away-while-held": StepScenario(
            _REMIND, "skipped", play=playing.move_away_while_held, visit_in=DAY + SOON
        ),
        "redriven": StepScenario(
            _EVERY_WAY, play=playing.redrive, visit_in=DAY, client={"email": None}
        ),
        "continued-in-a-new-history": StepScenario(
            _REMIND, play=playing.tell_until_it_goes_on, visit_in=DAY + LATER
        ),
        "continued-while-held": StepScenario(
            _REMIND.replace(_HEAD, _HEAD + _NAP),
            play=playing.hold_until_it_goes_on,
            visit_in=DAY + 2 * SOON,
        ),
    }
)
