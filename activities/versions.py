"""The versions of automations that runs carry out; none ever changes, so each is read once."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.automation import PinnedDefinition
from fixlify.storage.automations import load_pinned


class PinnedVersions:
    """Versions by automation and number; lives as long as the worker."""

    def __init__(self) -> None:
        self._read: dict[tuple[UUID, int], PinnedDefinition] = {}

    async def get(
        self, connection: AsyncConnection, automation_id: UUID, version: int
    ) -> PinnedDefinition:
        """Return what that version runs."""
        key = (automation_id, version)
        if key not in self._read:
            self._read[key] = await load_pinned(connection, *key)
        return self._read[key]
