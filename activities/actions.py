"""What steps do to the business's own records: update one, enter a task."""

from __future__ import annotations

from temporalio import activity

from activities.versions import PinnedVersions
from fixlify.domain.runs import ActionReceipt, StepRequest
from fixlify.storage.database import Database


class ActionActivities:
    """Writes records; lives as long as the worker."""

    def __init__(self, database: Database, versions: PinnedVersions) -> None:
        self._database = database
        self._versions = versions

    @activity.defn(name="update_record")
    async def update_record(self, request: StepRequest) -> ActionReceipt:
        """Write fields of a record."""
        raise NotImplementedError

    @activity.defn(name="create_task")
    async def create_task(self, request: StepRequest) -> ActionReceipt:
        """Enter a task."""
        raise NotImplementedError
