"""Turn steps into messages in the ledger."""

from __future__ import annotations

from temporalio import activity

from activities.failures import usable_data
from activities.writing import MessageWriter
from fixlify.domain.runs import RenderedMessages, RenderRequest
from fixlify.storage.database import Database


class RenderingActivities:
    """Renders what channels send; lives as long as the worker."""

    def __init__(self, database: Database, writer: MessageWriter) -> None:
        self._database = database
        self._writer = writer

    @activity.defn(name="render_messages")
    async def render_messages(self, request: RenderRequest) -> RenderedMessages:
        """Write the messages of the requested steps; see ``MessageWriter.write``."""
        async with usable_data(), self._database.statement() as connection:
            return await self._writer.write(connection, request)
