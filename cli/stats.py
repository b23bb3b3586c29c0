"""fixlify stats: what automations did lately, drawn for people."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from textwrap import wrap
from typing import Any, Final

import click
from rich.text import Text

from cli.listing import Column, Line, print_listing
from cli.organization import open_organization, organization_option
from cli.output import console, counted, elapsed, json_option, local, print_json, printable
from cli.scope import stop_document
from fixlify.domain.facts import Organization
from fixlify.storage.channels import ChannelSettings, channel_settings
from fixlify.storage.statistics import DayFigures, Figures, Statistics, read_statistics

# Each outcome has a shade of its own, for those who see no colours and for files.
_OUTCOMES: Final = (
    ("completed", "█", "green"),
    ("failed", "▓", "red"),
    ("skipped", "▒", "yellow"),
    ("cancelled", "░", "default"),
    ("open", "·", "cyan"),
)
_WIDEST_BAR: Final = 50
_BESIDE_THE_BAR: Final = 24
_LABEL: Final = 13
_COLUMNS: Final = (
    Column("AUTOMATION", shrinks=True),
    Column("RUNS", right=True),
    Column("DONE", right=True),
    Column("FAILED", right=True),
    Column("SKIPPED", right=True),
    Column("SENT", right=True),
    Column("SUCCESS", right=True),
    Column("TAKES", right=True),
)


@click.command()
@click.option(
    "--days", type=click.IntRange(1, 366), default=7, show_default=True, help="How many UTC days."
)
@organization_option
@json_option
def stats(days: int, organization: str | None, as_json: bool) -> None:
    """Show what automations did lately, what waits now, and what stands in the way.

    Today is counted now; days before it are as the hourly update-automation-analytics left
    them.
    """

    async def run() -> None:
        async with open_organization(organization) as opened:
            async with opened.transaction() as connection:
                found = await read_statistics(connection, opened.organization.id, days)
                channels = (await channel_settings(connection)).values()
            paused = [channel for channel in channels if channel.paused_at is not None]
            if as_json:
                print_json(_document(opened.organization, found, paused))
            else:
                _print(opened.organization, found)
                _print_paused(paused)

    asyncio.run(run())


def _print(organization: Organization, found: Statistics) -> None:
    name = printable(organization.name)
    days = "today" if len(found.days) == 1 else f"the last {len(found.days)} days"
    console.print(Text.assemble((name, "bold"), f", {days} (UTC)\n"), soft_wrap=True)
    for line in (*_chart(found.days), _legend()):
        console.print(line, soft_wrap=True)
    if found.automations:
        console.print()
        print_listing(
            console, _COLUMNS, [_line(each.name, each.figures) for each in found.automations]
        )
    console.print()
    for label, words in (
        ("Messages", _messages(found.total)),
        *(("Latency", words) for words in _latencies(found)),
        ("Waiting now", _waiting(found)),
        ("Past days", _source(found)),
    ):
        if words:
            _print_labelled(label, words)
    for stop in found.stops:
        whose = "Every organization" if stop.organization_id is None else name
        reason = f": {printable(stop.reason)}" if stop.reason else ""
        console.print(
            Text(f"{whose} is stopped since {local(stop.stopped_at)}{reason}", "bold red"),
            soft_wrap=True,
        )


def _print_paused(channels: Sequence[ChannelSettings]) -> None:
    for each in channels:
        reason = f": {printable(each.paused_reason)}" if each.paused_reason else ""
        console.print(
            Text(
                f"The {each.channel} channel is paused since {local(each.paused_at)}{reason}",
                "bold yellow",
            ),
            soft_wrap=True,
        )


def _print_labelled(label: str, words: str) -> None:
    """Print *words* beside their label; on a terminal they are broken between words."""
    width = console.width - _LABEL if console.is_terminal else sys.maxsize
    first, *rest = wrap(words, max(width, _LABEL)) or [""]
    console.print(Text.assemble((f"{label:<{_LABEL}}", "dim"), first), soft_wrap=True)
    for line in rest:
        console.print(Text(" " * _LABEL + line), soft_wrap=True)


def _chart(days: tuple[DayFigures, ...]) -> Iterator[Text]:
    busiest = max(day.figures.executions for day in days)
    widest = max(1, min(_WIDEST_BAR, console.width - _BESIDE_THE_BAR))
    for day in days:
        line = Text(f"{day.date:%a %Y-%m-%d}  ")
        for place, characters in enumerate(_bar(day.figures, busiest, widest)):
            _, shade, style = _OUTCOMES[place]
            line.append(shade * characters, style)
        line.append(f" {day.figures.executions}" if day.figures.executions else "-", "dim")
        yield line


def _bar(figures: Figures, busiest: int, widest: int) -> Iterator[int]:
    """Yield how many characters each outcome gets; what happened at all gets one at least."""
    scale = min(1.0, widest / busiest) if busiest else 1.0
    for outcome, _, _ in _OUTCOMES:
        count: int = getattr(figures, outcome)
        yield max(1, round(count * scale)) if count else 0


def _legend() -> Text:
    legend = Text()
    for outcome, shade, style in _OUTCOMES:
        legend.append(f"{shade} ", style).append(f"{outcome}  ", "dim")
    legend.rstrip()
    return legend


def _line(name: str, figures: Figures) -> Line:
    rate = figures.success_rate
    cells = (
        name,
        *(
            str(count)
            for count in (
                figures.executions,
                figures.completed,
                figures.failed,
                figures.skipped,
                figures.emails_sent + figures.sms_sent,
            )
        ),
        "" if rate is None else f"{_floored(rate)}%",
        elapsed(figures.average_duration),
    )
    return Line(cells)


def _floored(rate: float) -> str:
    """Return a share as per cent, rounded down: 100 means that nothing failed."""
    tenths = int(rate * 1000)
    return f"{tenths / 10:g}"


def _messages(total: Figures) -> str:
    return (
        f"{counted(total.emails_sent, 'email')} and {counted(total.sms_sent, 'text')} sent, "
        f"{total.messages_not_sent} not sent"
    )


def _latencies(found: Statistics) -> Iterator[str]:
    for each in found.latencies:
        yield (
            f"{each.channel}: half within {elapsed(each.p50)}, 95% within {elapsed(each.p95)} "
            f"({counted(each.messages, 'message')} in 24 hours, waits left out)"
        )


def _waiting(found: Statistics) -> str:
    work = found.waiting
    unknown = f", {work.unknown} unknown" if work.unknown else ""
    return (
        f"{counted(work.events, 'event')}, {counted(work.pending, 'execution')} pending, "
        f"{counted(work.open, 'run')} under way; messages: {work.queued} queued, {work.held} held, "
        f"{work.sending} being sent{unknown}"
    )


def _source(found: Statistics) -> str | None:
    if len(found.days) == 1:
        return None
    if found.counted_at is None:
        return "not counted; the schedule update-automation-analytics does that every hour"
    return f"counted at {local(found.counted_at)}; today is counted now"


def _document(
    organization: Organization, found: Statistics, paused: Sequence[ChannelSettings]
) -> dict[str, Any]:
    return {
        "organization": {"id": organization.id, "name": organization.name},
        "days": [
            {"date": day.date, "live": day.live, **_figures(day.figures)} for day in found.days
        ],
        "counted_at": found.counted_at,
        "automations": [
            {"id": each.id, "name": each.name, **_figures(each.figures)}
            for each in found.automations
        ],
        "total": _figures(found.total),
        "latency": [
            {
                "channel": each.channel,
                "messages": each.messages,
                "p50_ms": round(each.p50.total_seconds() * 1000, 1),
                "p95_ms": round(each.p95.total_seconds() * 1000, 1),
            }
            for each in found.latencies
        ],
        "waiting": asdict(found.waiting),
        "stops": [stop_document(stop) for stop in found.stops],
        "paused_channels": [
            {
                "channel": each.channel.value,
                "paused_at": each.paused_at,
                "reason": each.paused_reason,
            }
            for each in paused
        ],
    }


def _figures(figures: Figures) -> dict[str, Any]:
    document = asdict(figures)
    took = document.pop("average_duration")
    return {
        **document,
        "success_rate": figures.success_rate,
        "average_duration_ms": None if took is None else round(took.total_seconds() * 1000, 1),
    }
