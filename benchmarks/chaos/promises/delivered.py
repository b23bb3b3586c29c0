"""P4: what the ledger says of each message is what its provider has."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from benchmarks.chaos.ledgers import Ledgers, grouped
from benchmarks.chaos.promises.checks import Check, Harm, Violation
from benchmarks.chaos.rows import Message, Transition
from devstack.captured_email import CapturedEmail
from devstack.twilio_api import CapturedSms

TAKES_NOTHING: Final = frozenset({"refuses", "opted out"})
"""What becomes of a recipient whose messages fail, and rightly."""

MOST_COPIES: Final = 2
"""Of one email, by decision 0015: the second after a doubt, under the same Message-ID."""

_ID: Final = re.compile(r"<([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})@")


def each_message_is_sent_once(ledgers: Ledgers) -> Check:
    """P4: one message per execution and step; at the provider's as often as the ledger knows.

    An email may be there twice where the ledger doubted before the second hand-over, and a text
    never. ``counts`` has those emails, and what nobody knows the fate of.
    """
    emails = grouped((_message_id(email), email) for email in ledgers.evidence.emails)
    violations = [
        *_twice_in_the_ledger(ledgers),
        *_untold_changes(ledgers),
        *_given_up(ledgers),
        *_strangers(ledgers, emails),
        *_texts(ledgers),
    ]
    repeated = 0
    for message in ledgers.messages:
        if message.channel == "email":
            arrived = sorted(emails.get(message.id, ()), key=lambda email: email.received_at)
            found = list(_email(ledgers, message, arrived))
            violations += found
            repeated += 0 if found else max(len(arrived) - 1, 0)
    unknown = sum(message.status == "unknown" for message in ledgers.messages)
    return Check(
        len(ledgers.messages), violations, {"unknown": unknown, "repeated_emails": repeated}
    )


def _twice_in_the_ledger(ledgers: Ledgers) -> Iterator[Violation]:
    entered = Counter((each.execution_id, each.step_id) for each in ledgers.messages)
    for (execution_id, step_id), times in entered.items():
        if times > 1:
            yield Violation(
                f"step {step_id} of {execution_id}",
                f"it has {times} messages",
                Harm.DUPLICATED,
                execution_id,
            )


def _untold_changes(ledgers: Ledgers) -> Iterator[Violation]:
    """The ledger's own account: each change follows the last, and each hand-over is one."""
    for message in ledgers.messages:
        changes = ledgers.transitions_of.get(message.id, ())
        sentence = None
        if message.attempts != len(ledgers.hand_overs(message)):
            sentence = (
                f"{message.attempts} attempts, and {len(ledgers.hand_overs(message))} told of"
            )
        elif changes and changes[-1].to_status != message.status:
            sentence = f"it is {message.status}, and was last told to be {changes[-1].to_status}"
        elif any(
            earlier.to_status != later.from_status for earlier, later in itertools.pairwise(changes)
        ):
            sentence = "its changes do not follow one another"
        if sentence is not None:
            yield _about(message, sentence)


def _given_up(ledgers: Ledgers) -> Iterator[Violation]:
    """A provider that is away for a while costs nobody a message."""
    for message in ledgers.messages:
        fate = ledgers.evidence.fates.get(message.recipient or "", "ordinary")
        if message.status == "failed" and message.attempts and fate not in TAKES_NOTHING:
            yield _about(message, f"its provider would have taken it: {message.reason}", Harm.LOST)


def _strangers(ledgers: Ledgers, ids: Iterable[UUID | None]) -> Iterator[Violation]:
    for id_ in ids:
        if id_ not in ledgers.message:
            yield Violation(f"email {id_}", "no message of ours has that id", Harm.DUPLICATED)


def _email(
    ledgers: Ledgers, message: Message, arrived: Sequence[CapturedEmail]
) -> Iterator[Violation]:
    if message.is_taken and not arrived:
        yield _about(message, "the ledger has it sent, the mail server never saw it", Harm.LOST)
    if not arrived:
        return
    if not message.is_taken and not ledgers.doubts(message):
        yield _about(message, f"it is {message.status}, and the mail server has it")
    most = 1 if ledgers.evidence.at_most_once else MOST_COPIES
    if len(arrived) > most:
        yield _about(message, f"the mail server has it {len(arrived)} times", Harm.DUPLICATED)
        return
    changes = ledgers.transitions_of.get(message.id, ())
    for copies, email in enumerate(arrived):
        if _repeats_in_doubt(changes, email.received_at) < copies:
            yield _about(message, "it was sent again without a doubt on record", Harm.DUPLICATED)


def _repeats_in_doubt(changes: Sequence[Transition], until: datetime) -> int:
    """Return how many hand-overs before *until* followed a doubt about the one before."""
    repeats, doubted, handed_over = 0, False, False
    for change in changes:
        if change.to_status == "unknown":
            doubted = True
        elif change.to_status == "sending" and change.at <= until:
            repeats += handed_over and doubted
            handed_over, doubted = True, False
    return repeats


@dataclass(frozen=True, slots=True)
class _Expected:
    """How many texts of one wording to one number there must be, and may be."""

    least: int
    most: int


def _texts(ledgers: Ledgers) -> Iterator[Violation]:
    """Compare by number and wording: what is in doubt has no id of the provider's."""
    arrived = grouped(((text.to, text.body), text) for text in ledgers.evidence.texts)
    told = grouped(
        ((each.recipient or "", each.body_text or ""), each)
        for each in ledgers.messages
        if each.channel == "sms"
    )
    for key in arrived.keys() | told.keys():
        texts, messages = arrived.get(key, ()), told.get(key, ())
        if not messages:
            yield Violation(f"text {texts[0].sid}", "no message of ours says that", Harm.DUPLICATED)
            continue
        expected = _expected(ledgers, messages)
        if len(texts) < expected.least:
            yield _about(
                messages[-1],
                f"the ledger has {expected.least} sent, the phone company {len(texts)}",
                Harm.LOST,
            )
        elif len(texts) > expected.most:
            yield _about(
                messages[-1],
                f"the phone company has {len(texts)} where {expected.most} may be",
                Harm.DUPLICATED,
            )
        yield from _ids(messages, texts)


def _expected(ledgers: Ledgers, messages: Sequence[Message]) -> _Expected:
    taken = sum(each.is_taken for each in messages)
    doubted = sum(
        not each.is_taken and bool(ledgers.doubts(each) or each.provider_id) for each in messages
    )
    return _Expected(taken, taken + doubted)


def _ids(messages: Sequence[Message], texts: Sequence[CapturedSms]) -> Iterator[Violation]:
    sids = {text.sid for text in texts}
    for message in messages:
        if message.is_taken and message.provider_id not in sids:
            yield _about(message, f"the phone company has no {message.provider_id}")


def _message_id(email: CapturedEmail) -> UUID | None:
    found = _ID.match(email.headers.get("Message-ID", ""))
    return UUID(found[1]) if found else None


def _about(message: Message, sentence: str, harm: Harm = Harm.OTHER) -> Violation:
    return Violation(f"{message.channel} {message.id}", sentence, harm, message.execution_id)
