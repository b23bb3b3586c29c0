"""The worker process: workflows, sends and, unless told not to, the relay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Final

import structlog
from temporalio.client import Client
from temporalio.worker import Worker

from fixlify.domain.delivery import InDoubt
from fixlify.settings import Settings
from fixlify.storage.database import Database, Role
from starter.service import connect_patiently, running_relay
from starter.stopping import unless_stopped, until_stopped
from worker.channels import email_channel, sms_channel, webhook_channel
from worker.warmup import warm_up
from worker.workers import GRACEFUL_SHUTDOWN, build_workers

_SHUTDOWN_MARGIN: Final = timedelta(seconds=5)

_log = structlog.get_logger(__name__)


async def run_worker(settings: Settings, stop: asyncio.Event, *, relay: bool = True) -> None:
    """Run until *stop* is set, then finish what is under way and return.

    Args:
        settings: Read at the process edge.
        stop: Set by SIGINT and SIGTERM.
        relay: Whether to run the relay too, sharing the client so that starts are eager.
    """
    client = await unless_stopped(connect_patiently(settings, "worker"), stop)
    if client is None:
        return
    async with AsyncExitStack() as stack:
        workers = await stack.enter_async_context(_running_workers(settings, client))
        parts = list(workers)
        if relay:
            parts.extend(
                await stack.enter_async_context(running_relay(settings, client, eager=True))
            )
        _log.info("The worker is running.", temporal=settings.temporal_address, relay=relay)
        await until_stopped(stop, *parts)
        _log.info("The worker is stopping; it finishes what is under way.")
    _log.info("The worker has stopped.")


@asynccontextmanager
async def _running_workers(
    settings: Settings, client: Client
) -> AsyncIterator[list[asyncio.Task[None]]]:
    database = Database(
        settings.database_url.get_secret_value(),
        Role.ENGINE,
        pool_size=settings.database_pool_size,
    )
    email, sms = email_channel(settings), sms_channel(settings)
    webhooks = webhook_channel(settings)
    workers = build_workers(
        client,
        database,
        email=email,
        sms=sms,
        webhooks=webhooks,
        sender=settings.mail_from,
        links=settings.unsubscribe_links,
        public_url=settings.public_url,
        in_doubt=InDoubt(
            at_most_once=settings.email_classes_at_most_once,
            certain_after=timedelta(seconds=settings.sms_certain_after),
        ),
        at_once=settings.channels_tried_at_once,
    )
    await warm_up(database, email, sms)
    tasks = [asyncio.create_task(worker.run(), name=worker.task_queue) for worker in workers]
    try:
        yield tasks
    finally:
        await _shut_down(workers)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await email.aclose()
        await sms.aclose()
        await webhooks.aclose()
        await database.close()


async def _shut_down(workers: list[Worker]) -> None:
    """Let the workers finish what is under way; leave what a broken database holds up.

    Local activities wait for their database for ever, and the SDK waits for them. Another
    worker carries on where this one stops.
    """
    patience = GRACEFUL_SHUTDOWN + _SHUTDOWN_MARGIN
    stopping = [asyncio.create_task(each.shutdown()) for each in workers if each.is_running]
    if not stopping:
        return
    _, pending = await asyncio.wait(stopping, timeout=patience.total_seconds())
    for task in pending:
        task.cancel()
    if pending:
        _log.warning("The worker leaves with work under way; another one carries on.")
