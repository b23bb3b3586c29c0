"""Turn steps into messages in the ledger, from the facts as they are now."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities.composition import compose
from activities.failures import usable_data
from fixlify.domain.automation import PinnedDefinition, TemplateSource
from fixlify.domain.facts import Subject
from fixlify.domain.runs import RenderedMessage, RenderedMessages, RenderRequest
from fixlify.domain.steps import SendEmail, SendSms, every_step
from fixlify.rendering import speaks_of_event
from fixlify.storage.automations import load_pinned
from fixlify.storage.database import Database
from fixlify.storage.facts import load_facts, load_trigger_data
from fixlify.storage.messages import enter_messages, find_entered


@dataclass(frozen=True, slots=True)
class _Version:
    """What a version runs, and whether any of its texts names something of the event."""

    pinned: PinnedDefinition
    speaks_of_event: bool


class RenderingActivities:
    """Renders what channels send; lives as long as the worker.

    Versions never change, so each is read from the database once.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._versions: dict[tuple[UUID, int], _Version] = {}

    @activity.defn(name="render_messages")
    async def render_messages(self, request: RenderRequest) -> RenderedMessages:
        """Render the requested steps and enter each into the ledger.

        A step that cannot be sent (no address, a missing value, an opt-out) is entered with
        its reason, beside those that can. A second call returns what the first entered.
        """
        subject = Subject(request.organization_id, request.subject_type, request.subject_id)
        async with usable_data(), self._database.statement() as connection:
            version = await self._version(connection, request)
            facts = (await load_facts(connection, [subject])).get(subject)
            if facts is not None and version.speaks_of_event:
                data = await load_trigger_data(
                    connection, request.execution_id, request.organization_id
                )
                facts = facts.with_event(data)
            composed = [
                compose(step, version.pinned, facts, subject, request.execution_id)
                for step in map(version.pinned.definition.step, request.step_ids)
                if isinstance(step, SendEmail | SendSms)
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
                )
                for message in (entered[step_id] for step_id in request.step_ids)
            )
        )

    async def _version(self, connection: AsyncConnection, request: RenderRequest) -> _Version:
        key = (request.automation_id, request.version)
        if key not in self._versions:
            pinned = await load_pinned(connection, *key)
            speaks = any(speaks_of_event(source) for source in _sources(pinned))
            self._versions[key] = _Version(pinned, speaks)
        return self._versions[key]


def _sources(pinned: PinnedDefinition) -> list[TemplateSource]:
    return [
        *pinned.templates.values(),
        *(
            pinned.source_of(step)
            for step in every_step(pinned.definition.steps)
            if isinstance(step, SendEmail | SendSms) and step.template is None
        ),
    ]
