"""The judge of a run of chaos: a day without a fault holds, and each thing wrong is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from benchmarks.chaos.evidence import Change, Evidence, Fault
from benchmarks.chaos.ledgers import Ledgers
from benchmarks.chaos.promises import PROMISES
from benchmarks.chaos.rows import (
    Automation,
    Client,
    Event,
    Execution,
    Job,
    Message,
    Refusal,
    Step,
    Transition,
    Workflow,
)
from benchmarks.chaos.verdict import weigh
from devstack.captured_email import CapturedEmail
from devstack.twilio_api import CapturedSms
from fixlify.domain.ids import workflow_id
from fixlify.domain.rules import parse_rules

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
COMPANY, OTHER = UUID(int=1), UUID(int=2)
CLIENT, AUTOMATION, EXECUTION = UUID(int=3), UUID(int=4), UUID(int=5)
MAIL, TEXT = UUID(int=6), UUID(int=7)
EMAIL, PHONE, WORDS = "ada@example.com", "+12125550123", "Northwind: it is done."


def at(seconds: float) -> datetime:
    """Return a moment of the day, by seconds from its beginning."""
    return NOON + timedelta(seconds=seconds)


def email(seconds: float = 3, message_id: UUID = MAIL) -> CapturedEmail:
    raw = f"Message-ID: <{message_id}@fixlify.example>\r\n\r\n{WORDS}".encode()
    return CapturedEmail(
        recipients=(EMAIL,), sender="", raw=raw, received_at=at(seconds), accepted_at=seconds
    )


def sms(sid: str = "SM1", words: str = WORDS) -> CapturedSms:
    return CapturedSms(
        sid=sid, to=PHONE, from_="+1", body=words, segments=1, received_at=at(3), accepted_at=3
    )


def message(id_: UUID, step_id: str, channel: str, recipient: str, sid: str) -> Message:
    return Message(
        id=id_,
        organization_id=COMPANY,
        execution_id=EXECUTION,
        step_id=step_id,
        channel=channel,
        message_class="transactional",
        recipient_kind="client",
        recipient_id=CLIENT,
        recipient=recipient,
        subject=None,
        body_text=WORDS,
        body_html=None,
        status="sent",
        reason=None,
        attempts=1,
        provider_id=sid,
        created_at=at(2),
    )


def went(message_id: UUID, *statuses: str, since: float = 2) -> list[Transition]:
    """Return the changes of a message from queued through *statuses*, half a second apart."""
    changes, before, attempt = [], "queued", 0
    for place, after in enumerate(statuses):
        attempt += after == "sending"
        changes.append(
            Transition(message_id, at(since + place / 2), before, after, "because", attempt)
        )
        before = after
    return changes


def a_good_day() -> Ledgers:
    """One job is completed, and its client gets an email and a text."""
    moved = {"before": "scheduled", "after": "completed"}
    return Ledgers(
        evidence=Evidence(
            seed=1,
            url="",
            client=None,
            changes=[Change(COMPANY, "J-1", "scheduled", "completed", at(0), certain=True)],
            faults=(),
            emails=[email()],
            texts=[sms()],
            write_failures=(),
            fates={},
            at_most_once=False,
        ),
        names={COMPANY: "Northwind", OTHER: "Southwind"},
        zones={COMPANY: "UTC", OTHER: "UTC"},
        rules={},
        automations=[
            Automation(
                AUTOMATION,
                COMPANY,
                "Thanks",
                "active",
                1,
                at(-60),
                {"trigger": {"type": "job_completed"}},
            )
        ],
        jobs=[Job(COMPANY, "J-1", CLIENT, "completed")],
        clients=[Client(COMPANY, CLIENT, EMAIL, "(212) 555-0123")],
        refusals=[],
        events=[
            Event(
                id=1,
                organization_id=COMPANY,
                event_type="job_status_changed",
                subject_type="job",
                subject_id="J-1",
                data=moved,
                occurred_at=at(0),
                processed_at=at(1),
                outcome="1 pending",
                automation_id=None,
                occurrence_key=None,
                chain=None,
                caused_by=None,
            )
        ],
        executions=[
            Execution(
                id=EXECUTION,
                organization_id=COMPANY,
                automation_id=AUTOMATION,
                occurrence_key="event/1",
                subject_type="job",
                subject_id="J-1",
                trigger_value="completed",
                trigger_data={**moved, "event_id": 1},
                occurred_at=at(0),
                status="completed",
                reason=None,
                workflow_id=workflow_id(EXECUTION),
                run_id="run-1",
                created_at=at(1),
                launched_at=at(1),
                started_at=at(1.5),
                completed_at=at(5),
                chain=None,
                redrives=0,
            )
        ],
        steps=[
            Step(EXECUTION, "mail", "email", "completed", None, MAIL, at(5)),
            Step(EXECUTION, "text", "sms", "completed", None, TEXT, at(5)),
        ],
        decisions=[],
        messages=[
            message(MAIL, "mail", "email", EMAIL, "<mail>"),
            message(TEXT, "text", "sms", PHONE, "SM1"),
        ],
        transitions=[*went(MAIL, "sending", "sent"), *went(TEXT, "sending", "sent")],
        workflows=[Workflow(workflow_id(EXECUTION), "run-1", "COMPLETED", at(1.2))],
    )


Wrong = Callable[[Ledgers], Ledgers]


def first(rows: str, **columns: Any) -> Wrong:
    """Return what changes *columns* of the first of some *rows*."""
    return each(rows, 0, **columns)


def each(rows: str, place: int, **columns: Any) -> Wrong:
    """Return what changes *columns* of one of some *rows*."""

    def wrong(day: Ledgers) -> Ledgers:
        found = list(getattr(day, rows))
        found[place] = replace(found[place], **columns)
        changed: dict[str, Any] = {rows: found}
        return replace(day, **changed)

    return wrong


def more(rows: str, *added: Any) -> Wrong:
    """Return what adds rows; a function makes one of the first there is."""

    def wrong(day: Ledgers) -> Ledgers:
        found = list(getattr(day, rows))
        new = [one(found[0]) if callable(one) else one for one in added]
        changed: dict[str, Any] = {rows: [*found, *new]}
        return replace(day, **changed)

    return wrong


def evidence(**columns: Any) -> Wrong:
    """Return what changes the evidence."""
    return lambda day: replace(day, evidence=replace(day.evidence, **columns))


def without(rows: str) -> Wrong:
    """Return what leaves none of some *rows*."""
    nothing: dict[str, Any] = {rows: []}
    return lambda day: replace(day, **nothing)


def all_of(*wrongs: Wrong) -> Wrong:
    """Return what does one after another."""

    def wrong(day: Ledgers) -> Ledgers:
        for one in wrongs:
            day = one(day)
        return day

    return wrong


def mail_went(*statuses: str, times: int, **columns: Any) -> Wrong:
    """Return what sends the mail another way; it arrives so many times, a second apart."""

    def wrong(day: Ledgers) -> Ledgers:
        changes = went(MAIL, *statuses)
        attempts = sum(status == "sending" for status in statuses)
        changed: dict[str, Any] = {"status": statuses[-1], "attempts": attempts, **columns}
        told = replace(day.messages[0], **changed)
        return replace(
            day,
            messages=[told, day.messages[1]],
            transitions=[*changes, *went(TEXT, "sending", "sent")],
            evidence=replace(day.evidence, emails=[email(2.1 + n * 2) for n in range(times)]),
        )

    return wrong


IN_DOUBT = ("sending", "unknown", "queued", "sending", "sent")
WRONGS: list[tuple[str, str, Wrong]] = [
    ("P1", "a change left no event", without("events")),
    ("P1", "an event was recorded that nobody wrote", evidence(changes=[])),
    ("P1", "the row says what no event does", first("jobs", status="cancelled")),
    ("P1", "no relay came to it", first("events", processed_at=None)),
    ("P1", "a relay could not read it", first("events", outcome="failed: what?")),
    ("P1", "what matched has no execution", without("executions")),
    (
        "P2",
        "an occurrence ran twice",
        more("executions", lambda one: replace(one, id=UUID(int=9), occurred_at=at(90))),
    ),
    (
        "P2",
        "the same ran twice in half a minute",
        more(
            "executions",
            lambda one: replace(
                one, id=UUID(int=9), occurrence_key="event/2", occurred_at=at(29.9)
            ),
        ),
    ),
    ("P3", "it was begun by another workflow", first("executions", workflow_id="automation/x")),
    ("P3", "Temporal has no workflow of it", without("workflows")),
    ("P3", "a workflow ran twice", more("workflows", lambda one: replace(one, run_id="run-2"))),
    ("P3", "another run took it over", first("workflows", start_time=at(4))),
    (
        "P3",
        "a workflow has no execution",
        more("workflows", Workflow(workflow_id(OTHER), "run-9", "COMPLETED", at(1))),
    ),
    (
        "P4",
        "a step has two messages",
        more("messages", lambda one: replace(one, id=OTHER, status="cancelled", attempts=0)),
    ),
    ("P4", "the mail server never saw it", evidence(emails=[])),
    ("P4", "the mail server has it twice, without a doubt", evidence(emails=[email(), email()])),
    ("P4", "the mail server has what no ledger knows", evidence(emails=[email(), email(3, OTHER)])),
    ("P4", "a third copy of a mail in doubt", mail_went(*IN_DOUBT, times=3)),
    (
        "P4",
        "a mail is repeated that goes at most once",
        all_of(mail_went(*IN_DOUBT, times=2), evidence(at_most_once=True)),
    ),
    ("P4", "a mail arrived that was cancelled", mail_went("cancelled", times=1, attempts=0)),
    ("P4", "a provider would have taken it", mail_went("sending", "failed", times=0)),
    ("P4", "the phone company never saw it", evidence(texts=[])),
    ("P4", "the phone company has it twice", evidence(texts=[sms(), sms("SM2")])),
    ("P4", "the phone company has what nobody wrote", evidence(texts=[sms(), sms("SM2", "Hi")])),
    ("P4", "the ledger has another's id", each("messages", 1, provider_id="SM9")),
    ("P4", "an attempt is not told of", first("messages", attempts=2)),
    ("P4", "a change is not told of", first("messages", status="delivered")),
    (
        "P5",
        "it was not wanted any more",
        more("refusals", Refusal(COMPANY, "sms", CLIENT, None, None, at(1))),
    ),
    (
        "P5",
        "the address was suppressed",
        more("refusals", Refusal(COMPANY, "email", None, EMAIL, None, at(1))),
    ),
    ("P5", "it went to another address", first("messages", recipient="x@example.com")),
    ("P5", "the job is another client's", first("jobs", client_id=OTHER)),
    ("P5", "its run was over by the facts", lambda day: replace(day, over=frozenset({EXECUTION}))),
    ("P5", "nobody filled it in", first("messages", body_text="Hi {{ client.first_name }}")),
    (
        "P5",
        "it went out in quiet hours",
        lambda day: replace(
            day, rules={COMPANY: parse_rules("rules", {"quiet_hours": "08:00-20:00"})}
        ),
    ),
    ("P6", "a step failed in a completed run", first("steps", status="failed", reason="no")),
    ("P6", "it is completed and did nothing", without("steps")),
    (
        "P6",
        "a step is completed whose message failed",
        mail_went("sending", "failed", times=0, reason="no"),
    ),
    (
        "P6",
        "it went out after the run had ended",
        first("executions", completed_at=at(1.8)),
    ),
    ("P7", "a message failed without a word", mail_went("sending", "failed", times=0)),
    ("P7", "a step was skipped without a word", first("steps", status="skipped")),
    ("P7", "a run failed without a word", first("executions", status="failed")),
    ("P8", "a message is another company's", first("messages", organization_id=OTHER)),
    ("P8", "a message names another company", first("messages", body_text="From Southwind.")),
    ("P8", "a client is another company's", first("clients", organization_id=OTHER)),
    ("P9", "a write failed", evidence(write_failures=["J-1: division by zero"])),
    ("P10", "an automation set itself off", first("executions", chain=[AUTOMATION])),
    (
        "P10",
        "a chain goes on and on",
        first("executions", chain=[UUID(int=n) for n in range(10, 16)]),
    ),
    ("P10", "a chain leaves out its cause", first("events", caused_by=EXECUTION)),
    ("P11", "an event is left", first("events", processed_at=None)),
    ("P11", "an execution is still running", first("executions", status="running")),
    ("P11", "a message is still sending", first("messages", status="sending")),
    ("P11", "a signal was never delivered", lambda day: replace(day, undelivered=1)),
    ("P11", "a workflow still runs", first("workflows", status="RUNNING")),
    ("P11", "a workflow failed", first("workflows", status="FAILED")),
    ("P11", "an execution waits without a workflow", first("executions", status="waiting")),
]


def test_a_good_day_holds() -> None:
    verdict = weigh(a_good_day())

    assert verdict.holds, verdict.as_json()
    assert (verdict.lost, verdict.duplicated, verdict.unknown) == (0, 0, 0)


@pytest.mark.parametrize("promise", list(PROMISES))
def test_what_looked_at_nothing_has_shown_nothing(promise: str) -> None:
    day = a_good_day()
    nothing: dict[str, Any] = {
        rows: [] for rows in ("events", "executions", "steps", "messages", "transitions", "jobs")
    }
    day = replace(
        day,
        evidence=replace(day.evidence, changes=[], emails=[], texts=[]),
        workflows=[],
        **nothing,
    )

    assert promise in weigh(day).broken


@pytest.mark.parametrize(
    ("promise", "wrong"), [(p, w) for p, _, w in WRONGS], ids=[f"{p}: {s}" for p, s, _ in WRONGS]
)
def test_what_is_wrong_is_named(promise: str, wrong: Wrong) -> None:
    check = weigh(wrong(a_good_day())).promises[promise]

    assert check.violations


def test_mail_in_doubt_may_come_twice_and_is_counted() -> None:
    verdict = weigh(mail_went(*IN_DOUBT, times=2)(a_good_day()))

    assert verdict.holds, verdict.as_json()
    assert verdict.repeated_emails == 1


def test_a_text_in_doubt_never_comes_twice() -> None:
    day = a_good_day()
    doubted = [*went(MAIL, "sending", "sent"), *went(TEXT, *IN_DOUBT)]
    day = each("messages", 1, attempts=2)(replace(day, transitions=doubted))
    day = evidence(texts=[sms(), sms("SM2")])(day)

    assert weigh(day).duplicated == 1


def test_what_nobody_knows_is_counted_and_breaks_nothing() -> None:
    day = mail_went("sending", "unknown", times=1, reason="no answer")(a_good_day())
    day = first("steps", status="unknown", reason="no answer")(day)
    verdict = weigh(first("executions", status="failed", reason="no answer")(day))

    assert verdict.holds, verdict.as_json()
    assert verdict.unknown == 1


def test_an_unconfirmed_write_is_settled_by_the_rows() -> None:
    """It was committed or it was not; what it found nobody knows."""
    day = a_good_day()
    (change,) = day.evidence.changes
    committed = evidence(changes=[change, replace(change, certain=False, job_id="J-2")])(day)
    guessed = evidence(changes=[replace(change, certain=False, before="what?")])(day)

    assert weigh(committed).holds
    assert weigh(guessed).holds


def test_moments_may_be_out_of_order_while_things_break() -> None:
    """What hung between its look and its write did no wrong."""
    day = more("refusals", Refusal(COMPANY, "sms", CLIENT, None, None, at(1)))(a_good_day())
    broken = evidence(faults=[Fault(0.5, "stall postgres", False, "for 2 s")])(day)

    assert not weigh(day).promises["P5"].holds
    assert weigh(broken).promises["P5"].holds


def test_a_starved_company_is_found() -> None:
    day = a_good_day()
    (one,) = day.executions

    def runs(company: UUID, seconds: float, begin: int) -> list[Execution]:
        return [
            replace(
                one,
                id=UUID(int=begin + n),
                organization_id=company,
                completed_at=one.occurred_at + timedelta(seconds=seconds),
            )
            for n in range(20)
        ]

    day = replace(day, executions=[*runs(COMPANY, 1, 100), *runs(OTHER, 60, 200)])
    fast = replace(day, executions=[*runs(COMPANY, 1, 100), *runs(OTHER, 4, 200)])

    def sentences(ledgers: Ledgers) -> list[str]:
        return [str(each) for each in weigh(ledgers).promises["P8"].violations]

    assert any(said.startswith("Southwind: its runs took 60.0 s") for said in sentences(day))
    assert not any("its runs took" in said for said in sentences(fast))


def test_the_story_tells_what_struck_meanwhile() -> None:
    day = evidence(faults=[Fault(2.2, "kill worker", True, "worker 1")])(a_good_day())

    told = [line.split(maxsplit=1)[1] for line in weigh(day).tell_story(TEXT).splitlines()[1:]]

    assert told[0] == "business  writes scheduled -> completed"
    struck = told.index("MONKEY  kill worker (during recovery): worker 1")
    assert told[struck - 1] == "ledger  text: queued -> sending, attempt 1: because"
    assert told[struck + 1] == "ledger  mail: sending -> sent, attempt 1: because"
    assert told[-1] == "run  the execution is completed"


def test_nobody_has_a_story_of_what_is_not_there() -> None:
    with pytest.raises(LookupError, match="no execution and no message"):
        weigh(a_good_day()).tell_story(OTHER)
