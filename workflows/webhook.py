"""Tell an organization of one failed execution, for as long as that is news."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.failures import UNUSABLE_DATA
    from activities.webhooks import WebhookActivities
    from fixlify.domain import queues
    from fixlify.domain.durations import format_duration
    from fixlify.domain.webhooks import AbandonedDelivery, DeliveryReceipt, WebhookDelivery

# Longer than the channel's own deadline and two looks into the database.
ATTEMPT_TIMEOUT = timedelta(seconds=60)
# Seconds at first, for a receiver that is being restarted; hours for one that is away.
ATTEMPT_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=5),
    backoff_coefficient=3,
    maximum_interval=timedelta(hours=1),
)

RECORD_TIMEOUT = timedelta(seconds=15)
RECORD_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=100), maximum_interval=timedelta(seconds=10)
)


@workflow.defn(name="webhook-delivery")
class WebhookDeliveryWorkflow:
    """One piece of news, delivered once or given up."""

    @workflow.run
    async def run(self, delivery: WebhookDelivery) -> DeliveryReceipt:
        try:
            receipt = await self._deliver(delivery)
        except ActivityError as error:
            receipt = await self._abandon(delivery, error)
            if is_cancelled_exception(error):
                raise
        workflow.set_current_details(f"**{receipt.status}** {receipt.reason or ''}".strip())
        return receipt

    async def _deliver(self, delivery: WebhookDelivery) -> DeliveryReceipt:
        return await workflow.execute_activity_method(
            WebhookActivities.deliver_webhook,
            delivery,
            task_queue=queues.WEBHOOKS,
            start_to_close_timeout=ATTEMPT_TIMEOUT,
            schedule_to_close_timeout=delivery.give_up_after,
            retry_policy=ATTEMPT_RETRY,
            summary="failure webhook",
        )

    async def _abandon(self, delivery: WebhookDelivery, error: ActivityError) -> DeliveryReceipt:
        is_cancelled = is_cancelled_exception(error)
        return await workflow.execute_local_activity_method(
            WebhookActivities.abandon_delivery,
            AbandonedDelivery(
                delivery=delivery,
                reason="the delivery was cancelled" if is_cancelled else _reason(delivery, error),
                now=workflow.now(),
                is_cancelled=is_cancelled,
            ),
            start_to_close_timeout=RECORD_TIMEOUT,
            retry_policy=RECORD_RETRY,
        )


def _reason(delivery: WebhookDelivery, error: ActivityError) -> str:
    cause = error.cause
    while cause is not None and not isinstance(cause, ApplicationError):
        cause = cause.__cause__
    if isinstance(cause, ApplicationError) and cause.type == UNUSABLE_DATA:
        return cause.message
    told = f": {cause.message}" if isinstance(cause, ApplicationError) else ""
    # A database's errors go on for pages; people need what went wrong, not the statement.
    first_line = told.partition("\n")[0]
    return f"given up after {format_duration(delivery.give_up_after)}{first_line}"
