"""The engine in the test's own process: workers, channels and a relay around real servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

from pydantic import SecretStr
from temporalio.client import Client, WorkflowHandle

from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from fixlify.channels.email import SmtpChannel, SmtpServer
from fixlify.channels.sms import TwilioAccount, TwilioChannel
from fixlify.channels.sms.http import ANSWER_PATIENCE
from fixlify.channels.webhooks import WebhookChannel
from fixlify.domain.delivery import InDoubt
from fixlify.domain.ids import workflow_id
from fixlify.domain.limits import LimitedChannel
from fixlify.domain.runs import RunOutcome
from fixlify.domain.unsubscribing import UnsubscribeLinks
from fixlify.storage.database import Database, Role
from fixlify.storage.listen import EventSignal
from starter.hearing import Teller
from starter.launch import Launcher
from starter.relay import Relay
from tests.office import Office
from worker.workers import build_workers
from workflows.automation import AutomationWorkflow

SENDER = "automations@fixlify.example"
# Those of the engine take minutes.
IN_DOUBT = InDoubt(
    look_after=timedelta(milliseconds=200),
    certain_after=timedelta(seconds=3),
    send_again_after=timedelta(milliseconds=200),
)
NOBODY = "http://127.0.0.1:9/"
"""Where nothing listens."""
_LOOK_AGAIN = 0.005


async def eventually(
    condition: Callable[[], Awaitable[Any]], at_most: timedelta = timedelta(seconds=40)
) -> Any:
    """Return the first true result of *condition*; fail with the last one after *at_most*."""
    result = None
    try:
        async with asyncio.timeout(at_most.total_seconds()):
            while not (result := await condition()):  # noqa: ASYNC110 - conditions of others
                await asyncio.sleep(_LOOK_AGAIN)
    except TimeoutError:
        raise AssertionError(f"not within {at_most}; the last answer was {result!r}") from None
    return result


class Engine:
    """What a test asks of the running engine."""

    def __init__(self, client: Client, relay: Relay, office: Office) -> None:
        self.client = client
        self.relay = relay
        self._office = office

    async def relay_everything(self) -> None:
        """Relay until no event is left."""
        while await self.relay.relay_batch():
            pass

    async def settled(self) -> list[dict[str, Any]]:
        """Relay everything, wait for every run's end, and return the executions."""
        await self.relay_everything()
        await eventually(self.all_are_launched)
        for execution in await self._office.executions():
            if execution["status"] != "skipped":
                await self.handle(execution["id"], execution["redrives"]).result()
        return await self._office.executions()

    async def all_are_launched(self) -> bool:
        """Launch what there is room for now, and say whether nothing of it waits any more."""
        waiting = [
            execution
            for execution in await self._office.executions()
            if execution["status"] == "pending" and execution["launched_at"] is None
        ]
        if waiting:
            await self.relay.launch_waiting()
        return not waiting

    def handle(
        self, execution_id: UUID, redrives: int = 0
    ) -> WorkflowHandle[AutomationWorkflow, RunOutcome]:
        """Return the handle of an execution's workflow."""
        return self.client.get_workflow_handle_for(
            AutomationWorkflow.run, workflow_id(execution_id, redrives)
        )


@asynccontextmanager
async def running_engine(
    office: Office,
    client: Client,
    mail: MailCatcher,
    phone: SmsCatcher,
    *,
    webhooks: str = NOBODY,
    links: UnsubscribeLinks | None = None,
    in_doubt: InDoubt = IN_DOUBT,
    answer_patience: timedelta = ANSWER_PATIENCE,
    at_once: Collection[LimitedChannel] = (LimitedChannel.EMAIL, LimitedChannel.SMS),
    max_cached_workflows: int = 1000,
) -> AsyncIterator[Engine]:
    """Run workers against the office's database; the test calls the relay itself.

    Every webhook goes to the receiver at *webhooks*. Twilio may take *answer_patience* to
    answer. Messages of the channels that are not tried *at_once* go through their queues.
    """
    database = Database(office.url, Role.ENGINE)
    email = SmtpChannel(SmtpServer.from_url(mail.url))
    sms = TwilioChannel(
        TwilioAccount(
            account_sid=phone.account_sid,
            auth_token=SecretStr(phone.auth_token),
            from_number="+15005550100",
            base_url=phone.base_url,
        ),
        answer_patience=answer_patience,
    )
    calls = WebhookChannel(stand_in=webhooks)
    workers = build_workers(
        client,
        database,
        email=email,
        sms=sms,
        webhooks=calls,
        sender=SENDER,
        links=links,
        in_doubt=in_doubt,
        at_once=at_once,
        max_cached_workflows=max_cached_workflows,
    )
    try:
        async with AsyncExitStack() as stack:
            for worker in workers:
                await stack.enter_async_context(worker)
            relay = Relay(
                database, Launcher(client, eager=True), EventSignal(office.url), Teller(client)
            )
            yield Engine(client, relay, office)
    finally:
        await email.aclose()
        await sms.aclose()
        await calls.aclose()
        await database.close()
