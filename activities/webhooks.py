"""Call other systems over the web: what a step tells them, and news of failed executions."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from pydantic_core import to_jsonable_python
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.failures import usable_data
from activities.versions import PinnedVersions
from fixlify.channels.webhooks import OutgoingWebhook, WebhookChannel
from fixlify.channels.webhooks.channel import PATIENCE
from fixlify.channels.webhooks.codes import GONE
from fixlify.domain.automation import PinnedDefinition
from fixlify.domain.errors import TransportError
from fixlify.domain.facts import Facts, Subject
from fixlify.domain.limits import LimitedChannel
from fixlify.domain.runs import ActionReceipt, StepRequest, StepStatus
from fixlify.domain.steps import CallWebhook
from fixlify.domain.webhooks import (
    AbandonedDelivery,
    DeliveryReceipt,
    DeliveryStatus,
    WebhookDelivery,
    WebhookKind,
    delivery_webhook_id,
    parse_target,
    payload,
    step_webhook_id,
)
from fixlify.storage.database import Database
from fixlify.storage.facts import load_facts, load_trigger_data
from fixlify.storage.permission import may_act
from fixlify.storage.webhook_calls import WebhookCall
from fixlify.storage.webhook_deliveries import DeliveryBook
from fixlify.storage.webhooks import signing_secret

# A receiver may ask for patience, not for ever: another attempt is made by then.
LONGEST_PAUSE: Final = timedelta(hours=1)

_log = structlog.get_logger(__name__)


class WebhookActivities:
    """Calls webhooks; lives as long as the worker."""

    def __init__(
        self, database: Database, versions: PinnedVersions, channel: WebhookChannel
    ) -> None:
        self._database = database
        self._versions = versions
        self._channel = channel

    @activity.defn(name="call_webhook")
    async def call_webhook(self, request: StepRequest) -> ActionReceipt:
        """Send the facts a step names to its address, unless they were taken before.

        A second call makes another attempt under the same id, by which the receiver knows it
        again; what was taken is not sent again.

        Raises:
            ApplicationError: Retryable; the receiver may take it later.
        """
        book = WebhookCall(request.execution_id, request.step_id, request.organization_id)
        async with usable_data(), self._database.transaction() as connection:
            outgoing = await self._prepare(connection, request, book)
        if isinstance(outgoing, ActionReceipt):
            return outgoing
        host = parse_target(outgoing.url).host
        try:
            accepted = await self._channel.post(outgoing)
        except TransportError as error:
            reason = str(error)
            _log.warning(
                "A webhook was not taken.",
                execution_id=str(request.execution_id),
                reason=reason,
                permanent=error.permanent,
            )
            async with self._database.statement() as connection:
                if error.permanent:
                    await book.failed(connection, reason, host, error.code)
                    return ActionReceipt(status=StepStatus.FAILED, reason=reason)
                await book.not_taken(connection, reason, host, error.code)
            raise _retryable(error) from error
        async with self._database.statement() as connection:
            await book.completed(connection, host, accepted.detail)
        return ActionReceipt(status=StepStatus.COMPLETED)

    @activity.defn(name="deliver_webhook")
    async def deliver_webhook(self, delivery: WebhookDelivery) -> DeliveryReceipt:
        """Tell an organization of a failed execution, unless it was told or listens no more.

        A second call makes another attempt under the same id. Every answer but success is
        worth another attempt, 410 excepted: it disables the webhook, and so does a receiver
        that fails for days.

        Raises:
            ApplicationError: Retryable; it was not taken.
        """
        async with usable_data(), self._database.statement() as connection:
            begun = await DeliveryBook(connection, delivery).begin()
            if isinstance(begun, DeliveryReceipt):
                return begun
            secret = await signing_secret(connection, delivery.organization_id)
        outgoing = OutgoingWebhook(
            url=begun.failure_url,
            webhook_id=delivery_webhook_id(delivery.delivery_id),
            payload=payload(WebhookKind.FAILURE, _iso(begun.failed_at), begun.data),
            secret=secret,
        )
        try:
            await self._channel.post(outgoing)
        except TransportError as error:
            async with self._database.statement() as connection:
                receipt = await DeliveryBook(connection, delivery).not_taken(
                    str(error),
                    activity.info().started_time,
                    failure_url=begun.failure_url,
                    gone=error.code == GONE,
                )
            _log.warning(
                "News of a failed execution were not taken.",
                delivery_id=str(delivery.delivery_id),
                reason=str(error),
                status=receipt.status.value,
            )
            if receipt.status is DeliveryStatus.PENDING:
                raise _retryable(error) from error
            return receipt
        async with self._database.statement() as connection:
            return await DeliveryBook(connection, delivery).delivered()

    @activity.defn(name="abandon_delivery")
    async def abandon_delivery(self, abandoned: AbandonedDelivery) -> DeliveryReceipt:
        """Record that no further attempt is made; a second call changes nothing."""
        async with self._database.statement() as connection:
            book = DeliveryBook(connection, abandoned.delivery)
            if abandoned.is_cancelled:
                return await book.cancel(abandoned.reason)
            return await book.not_taken(abandoned.reason, abandoned.now, given_up=True)

    async def _prepare(
        self, connection: AsyncConnection, request: StepRequest, book: WebhookCall
    ) -> OutgoingWebhook | ActionReceipt:
        # Asked before everything else: what was taken stays taken, whatever is true by now.
        if await book.was_taken(connection):
            return ActionReceipt(status=StepStatus.COMPLETED)
        # Held for hours or not, what decides is the moment of this attempt.
        asked = request.model_copy(update={"now": activity.info().started_time})
        if (receipt := await may_act(connection, asked, LimitedChannel.WEBHOOK)) is not None:
            return receipt
        pinned = await self._versions.get(connection, request.automation_id, request.version)
        step = pinned.definition.step(request.step_id)
        if not isinstance(step, CallWebhook):
            raise TypeError(f"the step is a {step.type}, not a call_webhook")
        facts = await _facts(connection, asked) if step.fields else None
        if not await book.begin(connection):
            return ActionReceipt(status=StepStatus.COMPLETED)
        return OutgoingWebhook(
            url=step.url,
            webhook_id=step_webhook_id(request.execution_id, request.step_id),
            payload=payload(
                WebhookKind.STEP, _iso(request.now), _told(request, pinned, step, facts)
            ),
            secret=await signing_secret(connection, request.organization_id),
            timeout=step.timeout or PATIENCE,
        )


async def _facts(connection: AsyncConnection, request: StepRequest) -> Facts | None:
    subject = Subject(request.organization_id, request.subject_type, request.subject_id)
    known = (await load_facts(connection, [subject], request.now)).get(subject)
    if known is None:
        return None
    data = await load_trigger_data(connection, request.execution_id, request.organization_id)
    return known.with_event(data)


def _told(
    request: StepRequest, pinned: PinnedDefinition, step: CallWebhook, facts: Facts | None
) -> dict[str, Any]:
    return {
        "organization_id": str(request.organization_id),
        "execution_id": str(request.execution_id),
        "automation_id": str(request.automation_id),
        "automation": pinned.definition.name,
        "step_id": request.step_id,
        "subject": {"type": request.subject_type.value, "id": request.subject_id},
        "fields": {
            field: to_jsonable_python(facts.lookup(field)) if facts else None
            for field in step.fields
        },
    }


def _retryable(error: TransportError) -> ApplicationError:
    # Benign: the world refusing a call is not a fault of this worker.
    pause = error.retry_after
    return ApplicationError(
        str(error),
        type=TransportError.__name__,
        next_retry_delay=None if pause is None else min(pause, LONGEST_PAUSE),
        category=ApplicationErrorCategory.BENIGN,
    )


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
