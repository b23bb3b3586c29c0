"""The activities a run of an automation calls, each with its deadlines."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

from temporalio import exceptions, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from activities.actions import ActionActivities
from activities.decisions import DecisionActivities
from activities.email import EmailActivities
from activities.executions import ExecutionActivities
from activities.failures import EXECUTION_ENDED, LANDLINE, UNUSABLE_DATA
from activities.rendering import RenderingActivities
from activities.sms import SmsActivities
from activities.webhooks import WebhookActivities
from fixlify.domain import queues
from fixlify.domain.delivery import DELIVERY_DEADLINES
from fixlify.domain.runs import (
    ActionReceipt,
    AutomationRun,
    ContextRequest,
    ExecutionStatus,
    MessageStatus,
    PlannedStep,
    RenderedMessage,
    RenderedMessages,
    RenderRequest,
    RunOutcome,
    RunPlan,
    RunProgress,
    SendReceipt,
    SendRequest,
    StepKind,
    StepRequest,
    StepStatus,
    View,
    Withdrawal,
)

# Our own database: quick when it is there, and asked again for as long as it is not.
DATABASE_TIMEOUT = timedelta(seconds=15)
DATABASE_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=100), maximum_interval=timedelta(seconds=10)
)

# Longer than every deadline inside a send, so that no attempt outlives its successor's start.
SEND_TIMEOUT = timedelta(seconds=150)
# How soon the death of a worker in the middle of a send is noticed.
SEND_HEARTBEAT = timedelta(seconds=10)
SEND_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1)
)
# What is tried inside a workflow task is tried again in its queue, if at all.
ONCE = RetryPolicy(maximum_attempts=1)
# Longer than the channel's own deadline.
WEBHOOK_TIMEOUT = timedelta(seconds=60)
WEBHOOK_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=2), maximum_interval=timedelta(minutes=10)
)
# A system that is down for longer than this has made the call stale.
WEBHOOK_DEADLINE = timedelta(hours=6)


Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


async def fetch_context(run: AutomationRun) -> RunPlan:
    """Take the execution for this run; return its pinned plan, and what it begins with."""
    request = ContextRequest(
        execution_id=run.execution_id,
        organization_id=run.organization_id,
        now=workflow.now(),
        writes=run.carried is None,
    )
    return await _ask(ExecutionActivities.fetch_context, request)


async def look(request: StepRequest) -> View:
    """See what the facts say, for one step."""
    summary = f"{request.step_id}: look at the facts"
    return await _ask(DecisionActivities.look, request, summary)


async def render(request: RenderRequest) -> RenderedMessages:
    """Write messages into the ledger, from the facts as they are."""
    summary = f"{', '.join(request.step_ids)}: write"
    return await _ask(RenderingActivities.render_messages, request, summary)


async def send_at_once(
    step: PlannedStep, message: RenderedMessage, run: AutomationRun
) -> SendReceipt:
    """Try once to hand one message to its channel, without a turn in the channel's queue.

    A ``queued`` receipt says that it is to take that turn. A failure for good is a receipt too.
    """
    is_email = step.kind is StepKind.EMAIL
    try:
        return await workflow.execute_local_activity_method(
            EmailActivities.send_email_at_once if is_email else SmsActivities.send_sms_at_once,
            SendRequest(
                message_id=message.message_id,
                organization_id=run.organization_id,
                now=workflow.now(),
            ),
            start_to_close_timeout=SEND_TIMEOUT,
            retry_policy=ONCE,
            summary=f"{step.id}: {step.kind} to the {step.to}",
        )
    except (ActivityError, ApplicationError) as error:
        if is_cancelled_exception(error):
            raise
        cause = _cause(error)
        if isinstance(cause, ApplicationError) and cause.non_retryable:
            return _failed(error)
        # The database was away, say: the attempt in the queue finds out how far this one came.
        return SendReceipt(status=MessageStatus.QUEUED)


async def send(
    step: PlannedStep, message: RenderedMessage, run: AutomationRun, begun: datetime | None
) -> SendReceipt:
    """Hand one message to its channel; a failure for good is a receipt too.

    It was tried at once when it had *begun*, unless that is None.
    """
    is_email = step.kind is StepKind.EMAIL
    try:
        return await workflow.execute_activity_method(
            EmailActivities.send_email if is_email else SmsActivities.send_sms,
            SendRequest(
                message_id=message.message_id, organization_id=run.organization_id, begun=begun
            ),
            task_queue=queues.EMAIL if is_email else queues.SMS,
            start_to_close_timeout=SEND_TIMEOUT,
            heartbeat_timeout=SEND_HEARTBEAT,
            schedule_to_close_timeout=DELIVERY_DEADLINES[message.message_class] + SEND_TIMEOUT,
            retry_policy=SEND_RETRY,
            summary=f"{step.id}: {step.kind} to the {step.to}",
        )
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise
        return _failed(error)


async def act(step: PlannedStep, request: StepRequest) -> ActionReceipt:
    """Do what a step does to another system or to a record; a failure is a receipt too."""
    if step.kind is not StepKind.WEBHOOK:
        is_update = step.kind is StepKind.UPDATE
        method = ActionActivities.update_record if is_update else ActionActivities.create_task
        return await _ask(method, request, f"{step.id}: {step.kind}")
    try:
        return await workflow.execute_activity_method(
            WebhookActivities.call_webhook,
            request,
            task_queue=queues.WEBHOOKS,
            start_to_close_timeout=WEBHOOK_TIMEOUT,
            schedule_to_close_timeout=WEBHOOK_DEADLINE,
            retry_policy=WEBHOOK_RETRY,
            summary=f"{step.id}: webhook",
        )
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise
        return ActionReceipt(status=StepStatus.FAILED, reason=_failed(error).reason)


async def withdraw(message: RenderedMessage, run: AutomationRun, reason: str) -> SendReceipt:
    """Cancel a message that waits; return what became of it."""
    withdrawal = Withdrawal(
        message_id=message.message_id, organization_id=run.organization_id, reason=reason
    )
    return await _ask(ExecutionActivities.withdraw_message, withdrawal)


async def record_progress(progress: RunProgress) -> None:
    """Write the steps done so far, and what the run waits for."""
    await _ask(ExecutionActivities.record_progress, progress)


async def record_outcome(outcome: RunOutcome) -> None:
    """Write how the run ended."""
    await _ask(ExecutionActivities.record_outcome, outcome)


async def _ask(
    activity: Callable[[Any, Asked], Awaitable[Answer]], asked: Asked, summary: str | None = None
) -> Answer:
    """Call a local activity that needs our database and nothing else."""
    return await workflow.execute_local_activity_method(
        activity,
        asked,
        start_to_close_timeout=DATABASE_TIMEOUT,
        retry_policy=DATABASE_RETRY,
        summary=summary,
    )


def unusable_data(error: BaseException) -> str | None:
    """Return why the run cannot go on, or None when it is not for the data's sake."""
    return _message(error, UNUSABLE_DATA)


def ended_before(error: BaseException) -> tuple[ExecutionStatus, str | None] | None:
    """Return how the execution ended before the run began, or None where it did not.

    Or how the run itself has ended it, in a task that is done anew because Temporal never heard.
    """
    if (reason := _message(error, EXECUTION_ENDED)) is None:
        return None
    cause = _cause(error)
    if isinstance(cause, ApplicationError) and cause.details:
        status, told = cause.details
        return ExecutionStatus(status), told
    return ExecutionStatus.SKIPPED, reason


def _message(error: BaseException, type_: str) -> str | None:
    cause = _cause(error)
    if isinstance(cause, ApplicationError) and cause.type == type_:
        return cause.message
    return None


def _cause(error: BaseException) -> BaseException | None:
    # A local activity's own error comes bare, an ordinary activity's wrapped.
    return error.cause if isinstance(error, ActivityError) else error


def _failed(error: ActivityError | ApplicationError) -> SendReceipt:
    cause = _cause(error)
    if isinstance(cause, exceptions.TimeoutError) and isinstance(cause.cause, ApplicationError):
        # Between two attempts: the last one says more.
        cause = cause.cause
    if not isinstance(cause, ApplicationError):
        return SendReceipt(status=MessageStatus.FAILED, reason="gave up: no answer in time")
    is_unknown = cause.type == "OutcomeUnknownError"
    return SendReceipt(
        status=MessageStatus.UNKNOWN if is_unknown else MessageStatus.FAILED,
        reason=cause.message,
        landline=cause.type == LANDLINE,
    )
