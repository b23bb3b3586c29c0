"""Keep the rates of the channels' task queues in Temporal as settings and operators want them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from math import isclose
from types import MappingProxyType
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import RateLimit, RateLimitConfig, TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeTaskQueueRequest,
    UpdateTaskQueueConfigRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from fixlify.domain.limits import UNLIMITED, LimitedChannel, format_rate
from fixlify.settings import Settings
from fixlify.storage.channels import ChannelSettings, channel_settings
from fixlify.storage.database import Database

LOOK_INTERVAL: Final = timedelta(seconds=10)
"""How soon a Temporal that knows nothing of a rate has it."""
_RPC_TIMEOUT: Final = timedelta(seconds=10)
_ACTIVITIES: Final = TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How many sends a second: all together, and of one organization; None for no limit."""

    per_second: float | None = None
    organization_per_second: float | None = None

    def is_about(self, other: Pace) -> bool:
        """Whether *other* is the same; Temporal keeps seven digits."""
        return _same(self.per_second, other.per_second) and _same(
            self.organization_per_second, other.organization_per_second
        )


@dataclass(frozen=True, slots=True)
class QueueState:
    """A channel's task queue as Temporal has it; ``backlog`` is about what waits in it."""

    pace: Pace
    backlog: int


def default_rates(settings: Settings) -> Mapping[LimitedChannel, float | None]:
    """Return the rates of this process's settings, for channels whose rate nobody set."""
    return MappingProxyType(
        {LimitedChannel.EMAIL: settings.email_rate, LimitedChannel.SMS: settings.sms_rate}
    )


def wanted_pace(said: ChannelSettings, defaults: Mapping[LimitedChannel, float | None]) -> Pace:
    """Return the pace a channel is to have, by what an operator said or else by settings."""
    rate = said.per_second if said.per_second is not None else defaults.get(said.channel)
    return Pace(None if rate == UNLIMITED else rate, said.organization_per_second)


async def read_queue(client: Client, channel: LimitedChannel) -> QueueState:
    """Return what Temporal says of a channel's task queue.

    Raises:
        RPCError: It is away, or does not say.
    """
    told = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=channel.queue),
            task_queue_type=_ACTIVITIES,
            report_config=True,
            report_stats=True,
        ),
        timeout=_RPC_TIMEOUT,
    )
    pace = Pace(
        _rate(told.config.queue_rate_limit), _rate(told.config.fairness_keys_rate_limit_default)
    )
    return QueueState(pace, told.stats.approximate_backlog_count)


async def apply_pace(client: Client, channel: LimitedChannel, pace: Pace) -> None:
    """Give a channel's task queue this pace; from then on Temporal hands out no more.

    Raises:
        RPCError: Temporal is away, or does not know how (``UNIMPLEMENTED``).
    """
    await client.workflow_service.update_task_queue_config(
        UpdateTaskQueueConfigRequest(
            namespace=client.namespace,
            identity=client.identity,
            task_queue=channel.queue,
            task_queue_type=_ACTIVITIES,
            update_queue_rate_limit=_update(pace.per_second),
            update_fairness_key_rate_limit_default=_update(pace.organization_per_second),
        ),
        timeout=_RPC_TIMEOUT,
    )


class RateKeeper:
    """Brings every channel's pace to Temporal at the start, and again where it was lost.

    Lives as long as its relay. Several may run at once: what one wrote the next finds as it
    should be. Their settings must agree.
    """

    def __init__(
        self,
        client: Client,
        database: Database,
        defaults: Mapping[LimitedChannel, float | None],
        look_interval: timedelta = LOOK_INTERVAL,
    ) -> None:
        self._client = client
        self._database = database
        self._defaults = defaults
        self._look_interval = look_interval

    async def run(self) -> None:
        """Keep until cancelled; a database or Temporal that is away is waited for."""
        said = False
        while True:
            try:
                await self.keep()
                said = False
            except (RPCError, SQLAlchemyError, OSError) as error:
                if not said:
                    _log.warning(_complaint(error), error=str(error).partition("\n")[0])
                    said = True
            await asyncio.sleep(self._look_interval.total_seconds())

    async def keep(self) -> tuple[LimitedChannel, ...]:
        """Look once; return the channels whose pace was not as it should be, and now is."""
        async with self._database.statement() as connection:
            said = await channel_settings(connection)
        mended = []
        for channel in LimitedChannel:
            wanted = wanted_pace(said[channel], self._defaults)
            if wanted.is_about((await read_queue(self._client, channel)).pace):
                continue
            await apply_pace(self._client, channel, wanted)
            mended.append(channel)
            _log.info(
                "A channel has its rate in Temporal.",
                channel=channel.value,
                rate=format_rate(wanted.per_second),
                per_organization=format_rate(wanted.organization_per_second),
            )
        return tuple(mended)


def _complaint(error: Exception) -> str:
    if isinstance(error, RPCError) and error.status is RPCStatusCode.UNIMPLEMENTED:
        return (
            "This Temporal server keeps no rates, so channels send as fast as they can; "
            "a newer one does."
        )
    return "The rates of channels cannot be looked after now; trying again."


def _rate(config: RateLimitConfig) -> float | None:
    return config.rate_limit.requests_per_second if config.HasField("rate_limit") else None


def _update(per_second: float | None) -> UpdateTaskQueueConfigRequest.RateLimitUpdate:
    update = UpdateTaskQueueConfigRequest.RateLimitUpdate()
    # Without one, that of before is taken away. None at all would be a queue that stands still.
    if per_second is not None:
        update.rate_limit.CopyFrom(RateLimit(requests_per_second=per_second))
    return update


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return isclose(one, other, rel_tol=1e-6)
