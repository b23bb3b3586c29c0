"""Turn steps into messages in the ledger, from the facts as they are now."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities.composition import compose
from activities.failures import usable_data
from fixlify.domain.automation import PinnedDefinition
from fixlify.domain.runs import (
    RenderedMessage,
    RenderedMessages,
    RenderRequest,
)
from fixlify.domain.steps import Wait
from fixlify.storage.automations import load_pinned
from fixlify.storage.database import Database
from fixlify.storage.facts import load_facts
from fixlify.storage.messages import enter_messages, find_entered


class RenderingActivities:
    """Renders what channels send; lives as long as the worker.

    Versions never change, so each is read from the database once.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._versions: dict[tuple[UUID, int], PinnedDefinition] = {}

    @activity.defn(name="render_messages")
    async def render_messages(self, request: RenderRequest) -> RenderedMessages:
        """Render the requested steps and enter each into the ledger.

        A step that cannot be sent (no address, a missing value, an opt-out) is entered with
        its reason, beside those that can. A second call returns what the first entered.
        """
        subject = (request.organization_id, request.subject_id)
        async with usable_data(), self._database.statement() as connection:
            pinned = await self._version(connection, request)
            facts = (await load_facts(connection, [subject])).get(subject)
            composed = [
                compose(
                    step,
                    pinned,
                    facts,
                    organization_id=request.organization_id,
                    execution_id=request.execution_id,
                )
                for step in map(pinned.definition.step, request.step_ids)
                if not isinstance(step, Wait)
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

    async def _version(
        self, connection: AsyncConnection, request: RenderRequest
    ) -> PinnedDefinition:
        key = (request.automation_id, request.version)
        if key not in self._versions:
            self._versions[key] = await load_pinned(connection, *key)
        return self._versions[key]
