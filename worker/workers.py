"""The Temporal workers of one process: one for workflows, one per channel, one for sweeps."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any, Final

from temporalio.client import Client
from temporalio.worker import PollerBehaviorAutoscaling, Worker

from activities.actions import ActionActivities
from activities.decisions import DecisionActivities
from activities.delivery import FirstTries
from activities.email import EmailActivities
from activities.executions import ExecutionActivities
from activities.rendering import RenderingActivities
from activities.sms import SmsActivities
from activities.sweeps import SweepActivities
from activities.versions import PinnedVersions
from activities.webhooks import WebhookActivities
from activities.writing import MessageWriter
from fixlify.channels import EmailChannel, SmsChannel
from fixlify.channels.webhooks import WebhookChannel
from fixlify.domain import queues
from fixlify.domain.delivery import InDoubt
from fixlify.domain.limits import LimitedChannel
from fixlify.domain.unsubscribing import UnsubscribeLinks
from fixlify.storage.database import Database
from worker.sandbox import workflow_runner
from workflows.automation import AutomationWorkflow
from workflows.sweep import SweepWorkflow
from workflows.webhook import WebhookDeliveryWorkflow

WORKFLOWS: Final[list[type[Any]]] = [
    AutomationWorkflow,
    SweepWorkflow,
    WebhookDeliveryWorkflow,
]

# Longer than all deadlines inside a send together, so that a stop never cuts one short.
GRACEFUL_SHUTDOWN: Final = timedelta(seconds=150)
# Workflow tasks are CPU-bound: with four a core stands idle now and then, with ten a company waits
# longer beside another's herd, and there are no more runs a second.
CONCURRENT_WORKFLOW_TASKS: Final = 6
# Sends tried inside workflow tasks: these wait for providers, and cost no others their turn.
FIRST_TRIES: Final = 8
CONCURRENT_SENDS: Final = 50
# Each keeps a connection of the pool busy; the others are for the runs.
CONCURRENT_SWEEPS: Final = 4


def build_workers(
    client: Client,
    database: Database,
    *,
    email: EmailChannel,
    sms: SmsChannel,
    webhooks: WebhookChannel,
    sender: str,
    links: UnsubscribeLinks | None = None,
    public_url: str | None = None,
    in_doubt: InDoubt | None = None,
    at_once: Collection[LimitedChannel] = (LimitedChannel.EMAIL, LimitedChannel.SMS),
    max_cached_workflows: int = 1000,
) -> list[Worker]:
    """Return the workers, not yet running.

    Args:
        client: Shared with the relay of this process, if it has one, for eager starts.
        database: Acting as the engine role.
        email: Where mail goes.
        sms: Where text messages go.
        webhooks: How other systems are called.
        sender: The sender address of every email.
        links: How people unsubscribe from marketing email; None without a public address.
        public_url: Where providers report to; None for nowhere.
        in_doubt: What is done about messages whose fate nobody knows.
        at_once: The channels whose messages are tried in the workflow task that wrote them; of
            the others every message takes its turn in the channel's queue.
        max_cached_workflows: 0 replays every workflow task from its history, for tests.
    """
    versions = PinnedVersions()
    writer = MessageWriter(links, at_once=at_once)
    executions = ExecutionActivities(database, writer)
    decisions = DecisionActivities(database, versions)
    actions = ActionActivities(database, versions)
    rendering = RenderingActivities(database, writer)
    tries = FirstTries(FIRST_TRIES)
    emails = EmailActivities(
        database, email, sender, unsubscribe=links, in_doubt=in_doubt, tries=tries
    )
    texts = SmsActivities(database, sms, public_url=public_url, in_doubt=in_doubt, tries=tries)
    sweeps = SweepActivities(database)
    calls = WebhookActivities(database, versions, webhooks)
    automations = Worker(
        client,
        task_queue=queues.AUTOMATIONS,
        workflows=WORKFLOWS,
        activities=[
            executions.fetch_context,
            executions.record_progress,
            executions.withdraw_message,
            executions.record_outcome,
            rendering.render_messages,
            emails.send_email_at_once,
            texts.send_sms_at_once,
            decisions.look,
            actions.update_record,
            actions.create_task,
            sweeps.record_failed_sweep,
            calls.abandon_delivery,
        ],
        workflow_runner=workflow_runner(),
        workflow_task_poller_behavior=PollerBehaviorAutoscaling(),
        max_concurrent_workflow_tasks=CONCURRENT_WORKFLOW_TASKS + FIRST_TRIES,
        max_cached_workflows=max_cached_workflows,
        graceful_shutdown_timeout=GRACEFUL_SHUTDOWN,
    )
    return [
        automations,
        _sender(client, queues.EMAIL, emails.send_email),
        _sender(client, queues.SMS, texts.send_sms),
        _sender(client, queues.WEBHOOKS, calls.call_webhook, calls.deliver_webhook),
        Worker(
            client,
            task_queue=queues.SWEEPS,
            activities=[sweeps.run_sweep],
            max_concurrent_activities=CONCURRENT_SWEEPS,
            graceful_shutdown_timeout=GRACEFUL_SHUTDOWN,
        ),
    ]


def _sender(client: Client, queue: str, *sends: Any) -> Worker:
    return Worker(
        client,
        task_queue=queue,
        activities=sends,
        activity_task_poller_behavior=PollerBehaviorAutoscaling(),
        max_concurrent_activities=CONCURRENT_SENDS,
        graceful_shutdown_timeout=GRACEFUL_SHUTDOWN,
    )
