"""Write messages into the ledger, from the facts as they are now."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.composition import compose, message_class_of
from fixlify.domain.automation import PinnedDefinition, TemplateSource
from fixlify.domain.endings import exit_reason
from fixlify.domain.facts import Facts, Subject, is_event_field
from fixlify.domain.limits import LimitedChannel
from fixlify.domain.rules import MessageClass
from fixlify.domain.runs import (
    Ending,
    ExecutionStatus,
    RenderedMessage,
    RenderedMessages,
    RenderRequest,
)
from fixlify.domain.steps import FieldRecipient, Recipient, SendEmail, SendSms, every_step
from fixlify.domain.unsubscribing import UnsubscribeLinks
from fixlify.rendering import speaks_of_event
from fixlify.storage.automations import load_pinned
from fixlify.storage.decisions import DecisionKind, record_decision
from fixlify.storage.facts import load_facts, load_trigger_data
from fixlify.storage.messages import EnteredMessage, enter_messages, find_entered
from fixlify.storage.owners import find_owner


@dataclass(frozen=True, slots=True)
class _Version:
    """What a version runs, and whether anything of it names something of the event."""

    pinned: PinnedDefinition
    speaks_of_event: bool


class MessageWriter:
    """Writes what channels send; lives as long as the worker.

    Versions never change, so each is read from the database once.
    """

    def __init__(
        self,
        links: UnsubscribeLinks | None = None,
        *,
        at_once: Collection[LimitedChannel] = (),
    ) -> None:
        """Take the settings.

        Args:
            links: How people get out of marketing email.
            at_once: The channels whose messages are tried as soon as they are written, unless an
                operator gave the channel a rate.
        """
        self._links = links or UnsubscribeLinks()
        self._at_once = frozenset(at_once)
        self._versions: dict[tuple[UUID, int], _Version] = {}

    async def write(self, connection: AsyncConnection, request: RenderRequest) -> RenderedMessages:
        """Render the requested steps and enter each into the ledger.

        A step that cannot be sent (no address, a missing value, an opt-out) is entered with
        its reason, beside those that can. A second call returns what the first entered; only
        what is held is written anew, from the facts as they are then. Where the automation's
        exit condition holds, nothing is entered and the run is over.
        """
        version = await self._version(connection, request)
        subject = Subject(request.organization_id, request.subject_type, request.subject_id)
        facts = await _facts(connection, request, version, subject)
        if facts is not None and (ending := _exit(version, facts)) is not None:
            await _journal_exit(connection, request, ending)
            return RenderedMessages(ending=ending)
        steps = [
            step
            for step in map(version.pinned.definition.step, request.step_ids)
            if isinstance(step, SendEmail | SendSms)
        ]
        owner = None
        if any(step.to is Recipient.OWNER for step in steps):
            owner = await find_owner(connection, request.organization_id)
        ids = await _linked_ids(connection, request, version.pinned, steps)
        composed = [
            compose(
                step,
                version.pinned,
                facts,
                subject,
                request.execution_id,
                owner=owner,
                now=request.now,
                good_until=request.good_until,
                links=self._links,
                entered_as=ids.get(str(step.id)),
            )
            for step in steps
        ]
        entered = await enter_messages(connection, request.execution_id, composed)
        if len(entered) < len(composed):
            # An earlier attempt committed while this one's statement was under way: too
            # late for its snapshot, early enough to win.
            entered = await find_entered(connection, request.execution_id, request.step_ids)
        return RenderedMessages(
            messages=tuple(
                RenderedMessage(
                    step_id=message.step_id,
                    message_id=message.id,
                    status=message.status,
                    reason=message.reason,
                    message_class=message_class_of(step, version.pinned),
                    at_once=self._is_tried_at_once(step, message),
                    found=message.found,
                )
                for step, message in ((step, entered[str(step.id)]) for step in steps)
            )
        )

    def _is_tried_at_once(self, step: SendEmail | SendSms, message: EnteredMessage) -> bool:
        channel = LimitedChannel.EMAIL if isinstance(step, SendEmail) else LimitedChannel.SMS
        # What has a rate takes its turn in the queue, where Temporal keeps to it.
        return channel in self._at_once and not message.has_rate

    async def _version(self, connection: AsyncConnection, request: RenderRequest) -> _Version:
        key = (request.automation_id, request.version)
        if key not in self._versions:
            pinned = await load_pinned(connection, *key)
            self._versions[key] = _Version(pinned, _speaks_of_event(pinned))
        return self._versions[key]


async def _facts(
    connection: AsyncConnection, request: RenderRequest, version: _Version, subject: Subject
) -> Facts | None:
    facts = (await load_facts(connection, [subject], request.now)).get(subject)
    if facts is None or not version.speaks_of_event:
        return facts
    data = await load_trigger_data(connection, request.execution_id, request.organization_id)
    return facts.with_event(data)


async def _linked_ids(
    connection: AsyncConnection,
    request: RenderRequest,
    pinned: PinnedDefinition,
    steps: Sequence[SendEmail | SendSms],
) -> Mapping[str, UUID]:
    """Return the ids of messages that name themselves in their text and are entered already.

    What is held is written anew and keeps its id, so its link has to name that one.
    """
    linked = [
        str(step.id)
        for step in steps
        if isinstance(step, SendEmail) and message_class_of(step, pinned) is MessageClass.MARKETING
    ]
    if not linked:
        return {}
    entered = await find_entered(connection, request.execution_id, linked)
    return {step_id: message.id for step_id, message in entered.items()}


def _exit(version: _Version, facts: Facts) -> Ending | None:
    reason = exit_reason(version.pinned.definition, facts)
    return None if reason is None else Ending(status=ExecutionStatus.COMPLETED, reason=reason)


async def _journal_exit(
    connection: AsyncConnection, request: RenderRequest, ending: Ending
) -> None:
    await record_decision(
        connection,
        request.organization_id,
        request.execution_id,
        request.step_ids[0],
        DecisionKind.EXITED,
        ending.reason,
    )


def _speaks_of_event(pinned: PinnedDefinition) -> bool:
    # Which fields an exit condition names is not looked for: it rarely is there, and cheap.
    return (
        pinned.definition.exit_when is not None
        or any(speaks_of_event(source) for source in _sources(pinned))
        or any(
            isinstance(step, SendEmail | SendSms)
            and isinstance(step.to, FieldRecipient)
            and is_event_field(step.to.field)
            for step in every_step(pinned.definition.steps)
        )
    )


def _sources(pinned: PinnedDefinition) -> list[TemplateSource]:
    return [
        *pinned.templates.values(),
        *(
            pinned.source_of(step)
            for step in every_step(pinned.definition.steps)
            if isinstance(step, SendEmail | SendSms) and step.template is None
        ),
    ]
