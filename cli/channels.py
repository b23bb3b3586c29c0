"""fixlify channels: see every channel, pause one, let it go on, and say how fast it may send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

import click
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from cli.channel_output import (
    Seen,
    print_channels,
    print_paused,
    print_resumed,
    resumed_document,
    seen_document,
)
from cli.database import explained_database_errors
from cli.environment import settings_of_this_process
from cli.output import console, errors, json_option, print_json, printable
from cli.parameters import DurationType
from cli.scope import engine_database
from cli.telling import tell_runs
from fixlify import temporal
from fixlify.domain.limits import UNLIMITED, LimitedChannel, format_rate, parse_rate
from fixlify.settings import Settings
from fixlify.storage.channels import (
    ChannelSettings,
    channel_settings,
    channel_traffic,
    pause_channel,
    resume_channel,
    set_channel_rate,
    set_organization_rate,
    wake_channel,
)
from fixlify.storage.database import Database
from starter.channels import (
    LOOK_INTERVAL,
    QueueState,
    apply_pace,
    default_rates,
    read_queue,
    wanted_pace,
)

_LONGEST_REASON: Final = 200
_CONNECT_TIMEOUT: Final = timedelta(seconds=10)
_IDENTITY: Final = "fixlify-channels"
# What a process that keeps rates does for a command that could not.
_BY_ITSELF: Final = f"a relay brings it there within {LOOK_INTERVAL.seconds} seconds"

_CHANNEL = click.argument("channel", type=click.Choice(LimitedChannel, case_sensitive=False))


class _Rate(click.ParamType[float]):
    """A rate: ``20/second``, ``600/minute``, ``none``."""

    name = "rate"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return how many a second, or fail with what a rate looks like."""
        try:
            return value if isinstance(value, float) else parse_rate(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@dataclass(frozen=True, slots=True)
class _Opened:
    """The engine's view of the database, for every organization; lives as long as its command."""

    settings: Settings
    engine: Database


@asynccontextmanager
async def _opened() -> AsyncIterator[_Opened]:
    settings = settings_of_this_process()
    with explained_database_errors():
        async with engine_database(settings) as engine:
            yield _Opened(settings, engine)


@click.group()
def channels() -> None:
    """See every channel; pause one, let it go on, say how fast it may send."""


@channels.command(name="list")
@json_option
def list_(as_json: bool) -> None:
    """List the channels.

    Which have a provider, which are paused, how fast each may send, what waits for it and what
    left in the last hour, of all organizations together.
    """

    async def run() -> None:
        async with _opened() as opened:
            async with opened.engine.transaction() as connection:
                said = await channel_settings(connection)
                traffic = await channel_traffic(connection)
            queues = await _queues(opened.settings)
        seen = [
            Seen(
                said[channel],
                wanted_pace(said[channel], default_rates(opened.settings)),
                traffic[channel],
                _has_provider(opened.settings, channel),
                queues.get(channel),
            )
            for channel in LimitedChannel
        ]
        if as_json:
            print_json([seen_document(each) for each in seen])
        else:
            print_channels(seen)

    asyncio.run(run())


@channels.command()
@_CHANNEL
@click.option("--reason", metavar="TEXT", help="Why; shown wherever something is held.")
@json_option
def pause(channel: LimitedChannel, reason: str | None, as_json: bool) -> None:
    """Let nothing go out by one channel.

    At once and for every organization; what is to go by it is held, and lost never. `resume`
    lets it go on.
    """
    reason = (reason or "").strip() or None
    if reason is not None and len(reason) > _LONGEST_REASON:
        raise click.BadParameter(f"at most {_LONGEST_REASON} characters", param_hint="--reason")

    async def run() -> None:
        async with _opened() as opened:
            async with opened.engine.transaction() as connection:
                is_new = await pause_channel(connection, channel, reason)
            # After the commit: until then messages may still have been taken.
            async with opened.engine.transaction() as connection:
                said = (await channel_settings(connection))[channel]
                traffic = (await channel_traffic(connection))[channel]
        if as_json:
            print_json(
                {
                    "channel": channel.value,
                    "new": is_new,
                    "paused_at": said.paused_at,
                    "reason": said.paused_reason,
                    "queued": traffic.queued,
                    "held": traffic.held,
                    "sending": traffic.sending,
                }
            )
        else:
            print_paused(said, traffic, is_new)

    asyncio.run(run())


@channels.command()
@_CHANNEL
@click.option(
    "--cancel-older-than",
    type=DurationType(),
    metavar="2h",
    help="Cancel messages that were held and are older than 30m, 2h, 3d …",
)
@click.option("--send-everything", is_flag=True, help="Send what is older than 24h, too.")
@json_option
def resume(
    channel: LimitedChannel,
    cancel_older_than: timedelta | None,
    send_everything: bool,
    as_json: bool,
) -> None:
    """Let a paused channel go on.

    Messages older than 24 hours are never sent quietly: where there are some, say with
    --cancel-older-than or --send-everything what is to become of them.
    """
    if cancel_older_than is not None and send_everything:
        raise click.UsageError("--cancel-older-than leaves out what --send-everything would send")
    if cancel_older_than is not None and channel is LimitedChannel.WEBHOOK:
        raise click.UsageError("--cancel-older-than is for messages; webhooks are called late")

    async def run() -> None:
        async with _opened() as opened:
            async with opened.engine.transaction() as connection:
                resumption = await resume_channel(
                    connection,
                    channel,
                    cancel_older_than=cancel_older_than,
                    send_everything=send_everything,
                )
            # After the commit: until then messages may still have come to be held.
            async with opened.engine.transaction() as connection:
                late = await wake_channel(connection, channel)
            runs = tuple(dict.fromkeys((*resumption.runs, *late)))
            resumption = replace(resumption, runs=runs)
            woken, problem = await tell_runs(opened.settings, runs, _IDENTITY)
        if as_json:
            print_json(resumed_document(channel, resumption, woken))
        else:
            print_resumed(channel, resumption, woken, problem)

    asyncio.run(run())


@channels.command(name="set-rate")
@_CHANNEL
@click.argument("rate", type=_Rate(), required=False)
@click.option(
    "--per-organization", type=_Rate(), metavar="RATE", help="How fast one of them may send."
)
@click.option("--default", "by_settings", is_flag=True, help="As the settings say, again.")
@json_option
def set_rate(
    channel: LimitedChannel,
    rate: float | None,
    per_organization: float | None,
    by_settings: bool,
    as_json: bool,
) -> None:
    """Say how fast a channel may send.

    RATE is for all workers and organizations together: 20/second, 600/minute or none. What is
    above it waits in Temporal's queue, and organizations take turns there.
    """
    if rate is not None and by_settings:
        raise click.UsageError("--default takes the place of a RATE; give one of them")
    if rate is None and per_organization is None and not by_settings:
        raise click.UsageError("give a RATE such as 20/second, --per-organization, or --default")

    async def run() -> None:
        async with _opened() as opened:
            async with opened.engine.transaction() as connection:
                if rate is not None or by_settings:
                    await set_channel_rate(connection, channel, rate)
                if per_organization is not None:
                    limit = None if per_organization == UNLIMITED else per_organization
                    await set_organization_rate(connection, channel, limit)
                said = (await channel_settings(connection))[channel]
            problem = await _bring_to_temporal(opened.settings, said)
        pace = wanted_pace(said, default_rates(opened.settings))
        if as_json:
            print_json(
                {
                    "channel": channel.value,
                    "per_second": pace.per_second,
                    "organization_per_second": pace.organization_per_second,
                    "applied": problem is None,
                }
            )
        else:
            console.print(
                f"{channel.value}: {format_rate(pace.per_second)}, per organization "
                f"{format_rate(pace.organization_per_second)}."
            )
        if problem is not None:
            errors.print(printable(problem), style="yellow", soft_wrap=True)

    asyncio.run(run())


async def _bring_to_temporal(settings: Settings, said: ChannelSettings) -> str | None:
    """Apply what was said of a channel; return why Temporal does not have it, or None."""
    if (client := await _client(settings)) is None:
        return f"Temporal does not answer at {settings.temporal_address}; {_BY_ITSELF}."
    try:
        await apply_pace(client, said.channel, wanted_pace(said, default_rates(settings)))
    except RPCError as error:
        if error.status is RPCStatusCode.UNIMPLEMENTED:
            return (
                "This Temporal server keeps no rates: the channel sends as fast as it can until "
                "a newer server is there."
            )
        return f"Temporal did not take it ({str(error).partition(chr(10))[0]}); {_BY_ITSELF}."
    return None


async def _queues(settings: Settings) -> Mapping[LimitedChannel, QueueState]:
    """Return the queues as Temporal has them; none where it is away."""
    if (client := await _client(settings)) is None:
        errors.print("Temporal is away: its queues are not counted.")
        return {}
    try:
        return {channel: await read_queue(client, channel) for channel in LimitedChannel}
    except RPCError as error:
        errors.print(f"Temporal did not say what waits: {printable(str(error))}", soft_wrap=True)
        return {}


async def _client(settings: Settings) -> Client | None:
    try:
        async with asyncio.timeout(_CONNECT_TIMEOUT.total_seconds()):
            return await temporal.connect(
                settings.temporal_address, settings.temporal_namespace, identity=_IDENTITY
            )
    except (TimeoutError, *temporal.CONNECTION_ERRORS):
        return None


def _has_provider(settings: Settings, channel: LimitedChannel) -> bool:
    if channel is LimitedChannel.EMAIL:
        return settings.smtp_url is not None
    return settings.sends_sms if channel is LimitedChannel.SMS else True
