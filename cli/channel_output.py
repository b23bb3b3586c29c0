"""How channels look: a table and sentences for people, documents for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.text import Text

from cli.listing import Column, Line, print_listing
from cli.output import console, counted, local, printable
from fixlify.domain.durations import format_duration
from fixlify.domain.limits import LimitedChannel, format_rate
from fixlify.storage.channels import ChannelResumption, ChannelSettings, ChannelTraffic
from starter.channels import LOOK_INTERVAL, Pace, QueueState
from workflows.holding import HELD_CHECK_LATER

_COLUMNS: Final = (
    Column("CHANNEL"),
    Column("STATE"),
    Column("RATE"),
    Column("EACH"),
    Column("QUEUED", right=True),
    Column("HELD", right=True),
    Column("SENDING", right=True),
    Column("UNKNOWN", right=True),
    Column("SENT/H", right=True),
)


@dataclass(frozen=True, slots=True)
class Seen:
    """A channel as its settings, the ledger and Temporal have it.

    ``pace`` is what it is to have; ``queue`` is None where Temporal did not say.
    """

    said: ChannelSettings
    pace: Pace
    traffic: ChannelTraffic
    has_provider: bool
    queue: QueueState | None

    @property
    def state(self) -> str:
        """One word on whether it sends."""
        if self.said.paused_at is not None:
            return "paused"
        return "on" if self.has_provider else "no provider"


def seen_document(seen: Seen) -> dict[str, Any]:
    """Return a channel for ``--json``; a rate that is null is no limit."""
    queue = seen.queue
    return {
        "channel": seen.said.channel.value,
        "has_provider": seen.has_provider,
        "paused_at": seen.said.paused_at,
        "paused_reason": seen.said.paused_reason,
        **_pace_document(seen.pace),
        "queued": seen.traffic.queued,
        "held": seen.traffic.held,
        "sending": seen.traffic.sending,
        "unknown": seen.traffic.unknown,
        "sent_last_hour": seen.traffic.sent_last_hour,
        "temporal": queue and {**_pace_document(queue.pace), "backlog": queue.backlog},
    }


def print_channels(channels: Sequence[Seen]) -> None:
    """Print the list."""
    print_listing(console, _COLUMNS, [_line(each) for each in channels])


def print_paused(said: ChannelSettings, traffic: ChannelTraffic, is_new: bool) -> None:
    """Print that a channel is paused, and what that holds."""
    since = "" if is_new else f" already, since {local(said.paused_at)}"
    line = Text.assemble(f"The {said.channel} channel is ", ("paused", "bold yellow"))
    line.append(since + (f": {printable(said.paused_reason)}" if said.paused_reason else "."))
    console.print(line, soft_wrap=True)
    waiting = (traffic.queued or 0) + traffic.held
    what = "run" if said.channel is LimitedChannel.WEBHOOK else "message"
    console.print(
        f"Nothing goes out by it until `fixlify channels resume {said.channel}`; "
        f"{counted(waiting, what)} {'waits' if waiting == 1 else 'wait'} now.",
        soft_wrap=True,
    )
    if traffic.sending:
        console.print(
            f"{traffic.sending} under way: nobody can call "
            f"{'it' if traffic.sending == 1 else 'them'} back.",
            style="yellow",
        )


def resumed_document(
    channel: LimitedChannel, resumption: ChannelResumption, woken: int
) -> dict[str, Any]:
    """Return what a resume did, for ``--json``."""
    return {
        "channel": channel.value,
        "resumed": resumption.paused_at is not None,
        "paused_at": resumption.paused_at,
        "reason": resumption.paused_reason,
        "messages": resumption.messages,
        "cancelled": resumption.cancelled,
        "runs": len(resumption.runs),
        "woken": woken,
    }


def print_resumed(
    channel: LimitedChannel, resumption: ChannelResumption, woken: int, problem: str | None
) -> None:
    """Print what a resume did; *problem* kept Temporal from telling the runs."""
    if resumption.paused_at is None:
        console.print(f"The {channel} channel was not paused.")
    else:
        console.print(
            f"The {channel} channel goes on, paused since {local(resumption.paused_at)}.",
            soft_wrap=True,
        )
    if resumption.cancelled:
        console.print(f"Cancelled: {counted(resumption.cancelled, 'message')}.")
    if channel is LimitedChannel.WEBHOOK:
        going = counted(len(resumption.runs), "run")
    else:
        going = f"{counted(resumption.messages, 'message')} to send"
    if resumption.paused_at is not None or resumption.runs:
        console.print(f"Going on: {going}.")
    if asleep := len(resumption.runs) - woken:
        console.print(
            f"{problem or 'Some runs did not hear it'}: {counted(asleep, 'held run')} "
            f"{'looks' if asleep == 1 else 'look'} again within "
            f"{format_duration(HELD_CHECK_LATER)}.",
            style="yellow",
            soft_wrap=True,
        )


def _line(seen: Seen) -> Line:
    traffic = seen.traffic
    return Line(
        (
            seen.said.channel.value,
            seen.state,
            format_rate(seen.pace.per_second),
            format_rate(seen.pace.organization_per_second),
            "-" if traffic.queued is None else str(traffic.queued),
            str(traffic.held),
            str(traffic.sending),
            str(traffic.unknown),
            str(traffic.sent_last_hour),
        ),
        "; ".join(_notes(seen)) or None,
    )


def _notes(seen: Seen) -> Iterator[str]:
    if seen.said.paused_at is not None:
        why = f": {seen.said.paused_reason}" if seen.said.paused_reason else ""
        yield f"paused since {local(seen.said.paused_at)}{why}"
    if seen.queue is None:
        return
    if not seen.pace.is_about(seen.queue.pace):
        yield (
            f"in Temporal it is {format_rate(seen.queue.pace.per_second)}, each "
            f"{format_rate(seen.queue.pace.organization_per_second)}; a relay changes that within "
            f"{LOOK_INTERVAL.seconds} seconds"
        )
    if seen.queue.backlog:
        yield f"about {seen.queue.backlog} in Temporal's queue"


def _pace_document(pace: Pace) -> dict[str, Any]:
    return {
        "per_second": pace.per_second,
        "organization_per_second": pace.organization_per_second,
    }
