"""The facts a rehearsal goes by, and what messages become of them; everything was read before."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

from activities.composition import compose
from fixlify.domain.automation import PinnedDefinition
from fixlify.domain.facts import Facts, Subject
from fixlify.domain.moments import client_zone
from fixlify.domain.rules import (
    Hold,
    MessageClass,
    Rules,
    caps_that_bind,
    hold_for_cap,
    hold_for_hours,
)
from fixlify.domain.runs import MessageStatus
from fixlify.domain.segments import number_of_segments
from fixlify.domain.steps import SendEmail, SendSms, every_step
from fixlify.storage.messages import NewMessage
from fixlify.storage.owners import Owner
from fixlify.storage.rehearsal import Addressed, SentMessage
from starter.simulation.steps import Holding, SimulatedMessage

# What is rehearsed is written into no table.
_NOWHERE: Final = UUID(int=0)
# Rules that hold a message in turn for longer than this hold it for good.
_HOLDS: Final = 400


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of one message: sent ``at`` then, or not for this ``reason``."""

    message: SimulatedMessage
    at: datetime
    held: tuple[Holding, ...] = ()
    reason: str | None = None
    failed: bool = False


@dataclass(slots=True)
class World:
    """One subject's facts, its client's consent, and the company's rules; lives for one walk.

    ``rules`` are those in effect; a text says why nobody can read them. ``sent`` are messages to
    the client that count for caps; what a walk sends is added.
    """

    pinned: PinnedDefinition
    subject: Subject
    facts: Facts
    rules: Rules | str = field(default_factory=Rules)
    refusals: dict[str, str | None] = field(default_factory=dict)
    sent: list[SentMessage] = field(default_factory=list)
    owner: Owner | None = None
    worth: timedelta | None = None

    def facts_at(self, now: datetime) -> Facts:
        """Return the facts as the clock makes them then: how long an invoice is overdue."""
        if self.facts.invoice is None:
            return self.facts
        overdue = self.facts.invoice.overdue_on(self.facts.organization.today(now))
        invoice = self.facts.invoice.model_copy(update={"days_overdue": overdue})
        return self.facts.model_copy(update={"invoice": invoice})

    def compose(self, step: SendEmail | SendSms, now: datetime) -> NewMessage:
        """Return the message of *step* as it would be written then."""
        facts = self.facts_at(now)
        return compose(step, self.pinned, facts, self.subject, _NOWHERE, owner=self.owner, now=now)

    def class_of(self, step: SendEmail | SendSms) -> MessageClass:
        """Return which rules the message of *step* is under."""
        return step.message_class or self.pinned.definition.message_class

    def send(
        self, step: SendEmail | SendSms, now: datetime, good_until: datetime | None
    ) -> Outcome:
        """Return what becomes of *step* from *now* on; what is sent counts for caps.

        Args:
            step: What to send.
            now: When the run comes to it.
            good_until: After which it is worth nothing; None where nothing limits it.
        """
        composed = self.compose(step, now)
        message = self._shown(step, composed)
        if composed.status is not MessageStatus.QUEUED:
            failed = composed.status is MessageStatus.FAILED
            return Outcome(message, now, reason=composed.reason, failed=failed)
        if (refusal := self.refusals.get(str(step.id))) is not None:
            return Outcome(message, now, reason=refusal)
        limits = [good_until, *(now + each for each in (step.good_for, self.worth) if each)]
        worth_until = min((each for each in limits if each is not None), default=None)
        held: list[Holding] = []
        at = now
        while (hold := self._hold(message, at)) is not None:
            held.append(Holding(since=at, until=hold.until, reason=hold.reason))
            if worth_until is not None and hold.until > worth_until:
                late = f"too late: held by {hold.reason}, and worth nothing after"
                reason = f"{late} {worth_until:%Y-%m-%d %H:%M} UTC"
                return Outcome(message, at, tuple(held), reason)
            if len(held) > _HOLDS or hold.until <= at:
                return Outcome(message, at, tuple(held), hold.reason)
            at = hold.until
        if worth_until is not None and at > worth_until:
            reason = f"too late: worth nothing after {worth_until:%Y-%m-%d %H:%M} UTC"
            return Outcome(message, at, tuple(held), reason)
        if message.recipient_kind == "client":
            self.sent.append(SentMessage(at, message.channel, message.message_class))
        # What it says is written anew when it goes.
        written = self._shown(step, self.compose(step, at)) if held else message
        return Outcome(written, at, tuple(held))

    def _hold(self, message: SimulatedMessage, now: datetime) -> Hold | None:
        kind = message.message_class
        if message.recipient_kind != "client" or kind is MessageClass.URGENT:
            return None
        if isinstance(self.rules, str):
            return Hold(now, self.rules)
        zone = client_zone(self.facts)
        if (hold := hold_for_hours(self.rules, kind, now, zone)) is not None:
            return hold
        holds = [
            hold_for_cap(
                cap,
                [
                    each.at
                    for each in self.sent
                    if cap.counts(_channel(each.channel), each.message_class)
                ],
                now,
            )
            for cap in caps_that_bind(self.rules, _channel(message.channel), kind)
        ]
        return max((hold for hold in holds if hold), key=lambda each: each.until, default=None)

    def _shown(self, step: SendEmail | SendSms, composed: NewMessage) -> SimulatedMessage:
        is_sms = isinstance(step, SendSms)
        body = composed.body_text
        return SimulatedMessage(
            channel=composed.channel.value,
            message_class=self.class_of(step),
            recipient_kind=composed.recipient_kind,
            recipient=composed.recipient,
            subject=composed.subject,
            text=body,
            html=composed.body_html is not None,
            segments=number_of_segments(body) if is_sms and body is not None else None,
        )


def addressed(world: World, now: datetime) -> list[tuple[str, Addressed]]:
    """Return whom each message of the automation would go to, by step; what cannot go is left."""
    found = []
    for step in every_step(world.pinned.definition.steps):
        if not isinstance(step, SendEmail | SendSms) or not step.enabled:
            continue
        composed = world.compose(step, now)
        if composed.status is MessageStatus.QUEUED and composed.recipient is not None:
            client = world.facts.client
            found.append(
                (
                    str(step.id),
                    Addressed(
                        client_id=client.id if client else None,
                        recipient_kind=composed.recipient_kind,
                        channel=composed.channel.value,
                        message_class=world.class_of(step),
                        recipient=composed.recipient,
                    ),
                )
            )
    return found


def _channel(name: str) -> Literal["email", "sms"]:
    return "email" if name == "email" else "sms"
