"""P5, P8: messages go to whom they are for, who wants them, and to nobody else's clients."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from statistics import median
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from benchmarks.chaos.ledgers import NOBODY, Ledgers, grouped
from benchmarks.chaos.promises.checks import Check, Violation
from benchmarks.chaos.rows import ENDED, Message, Refusal
from fixlify.domain.rules import MessageClass, hold_for_hours

STARVED_BEYOND: Final = 4
STARVED_BY: Final = timedelta(seconds=10)
"""A company is starved whose runs take so many times, and so much, longer than all others do."""
_TOO_FEW: Final = 5

# HTML has single braces of its own; two of them are a template nobody filled in.
_RAW: Final = re.compile(r"\{\{|\{%|\{#|\bNone\b|\bundefined\b")
_NOT_DIGITS: Final = re.compile(r"[^0-9]")


def nothing_goes_to_who_does_not_want_it(ledgers: Ledgers) -> Check:
    """P5: each hand-over was to the client it is for, who had not opted out, of a run not over.

    Caps are not looked at: the companies of a run of chaos have none.
    """
    violations: list[Violation] = []
    refusals = _refusals(ledgers)
    looked_at = 0
    for message in ledgers.messages:
        handed_over = [each.at for each in ledgers.hand_overs(message)]
        if not handed_over:
            continue
        looked_at += len(handed_over)
        last = handed_over[-1]
        violations += _unwanted(ledgers, message, refusals, last)
        violations += _wrong_person(ledgers, message, last)
        violations += _after_its_exit(ledgers, message, last)
        violations += _at_night(ledgers, message, last)
        violations += _raw(message)
    return Check(looked_at, violations)


_Refusals = Mapping[tuple[UUID, str, UUID | str | None], list[Refusal]]


def _refusals(ledgers: Ledgers) -> _Refusals:
    return {
        key: list(said)
        for key, said in grouped(
            ((each.organization_id, each.channel, each.client_id or each.address), each)
            for each in ledgers.refusals
        ).items()
    }


def _unwanted(
    ledgers: Ledgers, message: Message, refusals: _Refusals, at: datetime
) -> Iterator[Violation]:
    address = (message.recipient or "").lower()
    who = (message.recipient_id, address) if message.recipient_kind == "client" else (address,)
    for each in who:
        for refusal in refusals.get((message.organization_id, message.channel, each), ()):
            is_meant = refusal.message_class in (None, message.message_class)
            if is_meant and at > refusal.since + ledgers.race:
                yield _about(
                    message, f"handed over at {at}; it was not wanted since {refusal.since}"
                )


def _wrong_person(ledgers: Ledgers, message: Message, at: datetime) -> Iterator[Violation]:
    execution = ledgers.execution.get(message.execution_id)
    if not message.recipient:
        yield _about(message, "handed over without an address")
    if execution is None or message.recipient_kind != "client":
        return
    if execution.subject_type == "job":
        job = ledgers.job.get((execution.organization_id, execution.subject_id))
        about = ledgers.events_about.get(
            (execution.organization_id, "job", execution.subject_id), ()
        )
        moved = max(
            (each.occurred_at for each in about if "client_id" in each.data.get("changed", ())),
            default=None,
        )
        settled = moved is None or at > moved + ledgers.race
        if job is not None and settled and job.client_id != message.recipient_id:
            yield _about(message, f"the job {job.id} has another client")
    client = ledgers.client.get(message.recipient_id or NOBODY)
    if client is None:
        yield _about(message, "nobody's client is its recipient")
    elif not _same_address(message, client.email if message.channel == "email" else client.phone):
        yield _about(message, "its address is not that of its client")


def _same_address(message: Message, address: str | None) -> bool:
    if message.channel == "email":
        return (message.recipient or "").lower() == (address or "").strip().lower()
    its, theirs = (_NOT_DIGITS.sub("", each or "") for each in (message.recipient, address))
    return bool(theirs) and its.endswith(theirs.lstrip("0"))


def _after_its_exit(ledgers: Ledgers, message: Message, at: datetime) -> Iterator[Violation]:
    """What ends a run ends it before its next message: decision 0014."""
    execution = ledgers.execution.get(message.execution_id)
    if execution is None or execution.id not in ledgers.over:
        return
    about = (execution.organization_id, execution.subject_type, execution.subject_id)
    since = max((each.occurred_at for each in ledgers.events_about.get(about, ())), default=None)
    if since is not None and at > since + ledgers.race:
        yield _about(message, f"handed over at {at}; its run was over by the facts since {since}")


def _at_night(ledgers: Ledgers, message: Message, at: datetime) -> Iterator[Violation]:
    rules = ledgers.rules.get(message.organization_id)
    if rules is None or message.recipient_kind != "client" or message.message_class == "urgent":
        return
    zone = ZoneInfo(ledgers.zones[message.organization_id])
    if (hold := hold_for_hours(rules, MessageClass(message.message_class), at, zone)) is not None:
        yield _about(message, f"handed over at {at}, in {hold.reason}")


def _raw(message: Message) -> Iterator[Violation]:
    for part in (message.subject, message.body_text, message.body_html):
        if part is not None and (found := _RAW.search(part)) is not None:
            yield _about(message, f"it says {part[found.start() : found.start() + 40]!r}")


def everybody_keeps_to_their_own(ledgers: Ledgers) -> Check:
    """P8: a message stays in its company, names no other, and no company waits for another."""
    violations: list[Violation] = []
    others = {id_: _names(ledgers, id_) for id_ in ledgers.names}
    for message in ledgers.messages:
        execution = ledgers.execution.get(message.execution_id)
        automation = execution and ledgers.automation.get(execution.automation_id)
        client = ledgers.client.get(message.recipient_id or NOBODY)
        owners = {each.organization_id for each in (execution, automation, client) if each}
        if owners != {message.organization_id}:
            violations.append(_about(message, "it crosses from one company to another"))
        said = "\n".join(filter(None, (message.subject, message.body_text)))
        if (named := others[message.organization_id]) is not None and named.search(said):
            violations.append(_about(message, "it names another company"))
    return Check(len(ledgers.messages), [*violations, *_starved(ledgers)])


def _names(ledgers: Ledgers, own: UUID) -> re.Pattern[str] | None:
    """Return what finds the name of any other company; None where there is none."""
    names = {name for id_, name in ledgers.names.items() if id_ != own} - {ledgers.names[own]}
    if not names:
        return None
    return re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in sorted(names)))


def _starved(ledgers: Ledgers) -> Iterator[Violation]:
    took: dict[UUID, list[float]] = {}
    for execution in ledgers.executions:
        if execution.ran and execution.status in ENDED and execution.completed_at is not None:
            seconds = (execution.completed_at - execution.occurred_at).total_seconds()
            took.setdefault(execution.organization_id, []).append(seconds)
    for organization, own in took.items():
        others = [each for id_, theirs in took.items() if id_ != organization for each in theirs]
        if len(own) < _TOO_FEW or not others:
            continue
        typical, usual = median(own), median(others)
        if typical > max(usual * STARVED_BEYOND, usual + STARVED_BY.total_seconds()):
            yield Violation(
                ledgers.names.get(organization, str(organization)),
                f"its runs took {typical:.1f} s, where everybody else's take {usual:.1f} s",
            )


def _about(message: Message, sentence: str) -> Violation:
    return Violation(f"{message.channel} {message.id}", sentence, execution_id=message.execution_id)
