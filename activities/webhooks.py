"""Call other systems over the web."""

from __future__ import annotations

from temporalio import activity

from activities.versions import PinnedVersions
from fixlify.domain.runs import ActionReceipt, StepRequest
from fixlify.storage.database import Database


class WebhookActivities:
    """Calls webhooks; lives as long as the worker."""

    def __init__(self, database: Database, versions: PinnedVersions) -> None:
        self._database = database
        self._versions = versions

    @activity.defn(name="call_webhook")
    async def call_webhook(self, request: StepRequest) -> ActionReceipt:
        """Send facts to an address."""
        raise NotImplementedError
