"""fixlify automations backtest: what an automation would have done; nothing is sent."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import click
from rich.progress import Progress
from rich.text import Text

from cli.organization import open_organization, organization_option
from cli.output import console, counted, elapsed, errors, json_option, print_json, printable
from cli.rehearsing import automation_argument, find_rehearsed, zone_of
from cli.scope import engine_database
from fixlify.domain.triggers.due import FoundBySweep
from fixlify.domain.triggers.scheduled import Scheduled
from starter.simulation import Backtest, Rehearsed, Tally

_WEEKS_FROM: Final = timedelta(days=31)
_BAR: Final = 40
_REASONS: Final = 8
_LIMITS: Final = (
    "Facts, addresses and consent are today's, not those of then.",
    "Caps count the messages of this automation alone.",
)


@click.command()
@automation_argument
@click.option(
    "--days", type=click.IntRange(1, 730), default=90, show_default=True, help="How far back."
)
@click.option("--price", metavar="AMOUNT", help="What one SMS segment costs, such as 0.0079.")
@click.option("--timeouts", is_flag=True, help="Let no awaited event come; else all do at once.")
@organization_option
@json_option
def backtest(
    automation: str,
    days: int,
    price: str | None,
    timeouts: bool,
    organization: str | None,
    as_json: bool,
) -> None:
    """Run an automation over recorded events, sending nothing.

    FILE|NAME is a YAML file, which is not stored, or a stored automation. Reports how many
    events match, what would have gone when, what rules would have held, what would have been
    skipped and why, and how many SMS segments that is. Postgres itself refuses every write.
    """
    per_segment = _price(price)

    async def run() -> None:
        async with open_organization(organization) as opened:
            rehearsed = await find_rehearsed(opened, automation)
            since = datetime.now(UTC) - timedelta(days=days)
            with Progress(console=errors, transient=True, disable=not errors.is_terminal) as shown:
                task = shown.add_task("Looking at events")

                def progress(done: int, total: int) -> None:
                    shown.update(task, completed=done, total=max(total, 1))

                async with engine_database(opened.settings) as database:
                    tally = await Backtest(
                        database,
                        rehearsed,
                        opened.organization.id,
                        zone_of(opened),
                        happens=not timeouts,
                    ).run(since, progress)
        limits = [*_LIMITS, *_assumptions(rehearsed, timeouts=timeouts)]
        if as_json:
            print_json(_document(rehearsed, tally, days, per_segment, limits))
        else:
            _print(rehearsed, tally, days, per_segment, limits)

    asyncio.run(run())


def _price(written: str | None) -> Decimal | None:
    if written is None:
        return None
    try:
        price = Decimal(written)
    except InvalidOperation:
        price = Decimal(-1)
    if not price.is_finite() or price < 0:
        raise click.BadParameter(f"'{written}' is no price; write 0.0079", param_hint="--price")
    return price


def _assumptions(rehearsed: Rehearsed, *, timeouts: bool) -> Iterator[str]:
    definition = rehearsed.pinned.definition
    if "wait_for_event" in str(definition.model_dump(include={"steps"})):
        yield (
            "No awaited event came: --timeouts."
            if timeouts
            else "Every awaited event came at once; --timeouts lets none come."
        )
    if isinstance(definition.trigger, FoundBySweep | Scheduled) and not rehearsed.stored:
        yield (
            f"What sets off {definition.trigger.type} is found for each automation by itself: "
            "for a draft nothing is recorded yet; `simulate` shows one run."
        )


def _print(
    rehearsed: Rehearsed, tally: Tally, days: int, price: Decimal | None, limits: list[str]
) -> None:
    name = printable(rehearsed.pinned.definition.name)
    console.print(Text(f"{name}: what it would have done in {counted(days, 'day')}", "bold"))
    kept = tally.kept_back.total()
    _row(f"{tally.looked_at:>7}", counted(tally.looked_at, "event")[len(str(tally.looked_at)) :])
    _row(f"{tally.not_listened_for:>7}", " not what its trigger listens for", "dim")
    _row(f"{kept:>7}", " matched, and skipped", "yellow" if kept else "dim")
    _reasons(tally.kept_back)
    _row(f"{tally.runs:>7}", " set it off", "green" if tally.runs else "")
    console.print()
    for channel, count in sorted(tally.sent.items()):
        segments = f" ({counted(tally.segments, 'segment')})" if channel == "sms" else ""
        _row(f"{count:>7}", f" {channel} would have gone{segments}", "green")
    for kind, count in sorted(tally.acted.items()):
        _row(f"{count:>7}", f" {kind.replace('_', ' ')} would have been done", "green")
    held = sum(each.count for each in tally.held.values())
    _row(f"{held:>7}", " times a rule would have held a message", "yellow" if held else "dim")
    for reason, by in sorted(tally.held.items(), key=lambda each: -each[1].count)[:_REASONS]:
        average = elapsed(by.total / by.count)
        text = f"{by.count}: {reason}, {average} on average, {elapsed(by.longest)} at most"
        _row(" " * 7, f"   {printable(text)}", "dim")
    for what, reasons, style in (
        ("skipped", tally.skipped, "yellow"),
        ("failed", tally.failed, "red"),
    ):
        _row(f"{reasons.total():>7}", f" messages {what}", style if reasons else "dim")
        _reasons(reasons)
    if price is not None:
        cost = price * tally.segments
        _row(" " * 7, f" {counted(tally.segments, 'segment')} at {price} are {cost:.2f}")
    _histogram(tally, days)
    console.print()
    for limit in limits:
        console.print(Text(limit, "dim"))
    console.print(Text("Nothing was sent and nothing was written.", "dim"))


def _reasons(reasons: Counter[str]) -> None:
    for reason, count in reasons.most_common(_REASONS):
        _row(" " * 7, f"   {count}: {printable(reason)}", "dim")
    rest = len(reasons) - _REASONS
    if rest > 0:
        _row(" " * 7, f"   and {counted(rest, 'other reason')}", "dim")


def _row(number: str, text: str, style: str = "") -> None:
    """Print a figure and what it counts; a long text goes on below itself."""
    width = max(min(console.width, 100) - len(number), 20)
    indent = len(text) - len(text.lstrip())
    body = Text(text.strip(), style)
    for place, part in enumerate(body.wrap(console, width - indent)):
        part.rstrip()
        lead = number if place == 0 else " " * len(number)
        console.print(Text.assemble(lead, " " * indent, part), soft_wrap=True)


def _histogram(tally: Tally, days: int) -> None:
    """Draw how many messages would have gone, by day or by week."""
    if not tally.days:
        return
    weekly = timedelta(days=days) > _WEEKS_FROM
    bars = _bars(tally.days, weekly=weekly)
    most = max(bars.values())
    width = max(min(console.width - 24, _BAR), 8)
    console.print(Text(f"\nMessages by {'week, from Monday' if weekly else 'day'}", "bold"))
    for day, count in bars.items():
        bar = "█" * round(count / most * width) or ("▏" if count else "")
        row = Text.assemble((f"{day:%d %b %Y}", "dim"), "  ", (bar, "cyan"), f" {count}")
        console.print(row, soft_wrap=True)


def _bars(days: Mapping[date, int], *, weekly: bool) -> dict[date, int]:
    """Return the messages of each day or week between the first and the last, also of none."""
    found: Counter[date] = Counter()
    for day, count in days.items():
        found[day - timedelta(days=day.weekday()) if weekly else day] += count
    step = timedelta(days=7 if weekly else 1)
    place, last = min(found), max(found)
    bars = {}
    while place <= last:
        bars[place] = found[place]
        place += step
    return bars


def _document(
    rehearsed: Rehearsed, tally: Tally, days: int, price: Decimal | None, limits: list[str]
) -> dict[str, Any]:
    return {
        "automation": rehearsed.pinned.definition.name,
        "stored": rehearsed.stored,
        "days": days,
        "events": tally.looked_at,
        "unreadable": tally.unreadable,
        "not_listened_for": tally.not_listened_for,
        "kept_back": dict(tally.kept_back.most_common()),
        "runs": tally.runs,
        "sent": dict(tally.sent),
        "acted": dict(tally.acted),
        "segments": tally.segments,
        "cost": None if price is None else str(price * tally.segments),
        "held": {
            reason: {
                "count": by.count,
                "longest_seconds": by.longest.total_seconds(),
                "total_seconds": by.total.total_seconds(),
            }
            for reason, by in tally.held.items()
        },
        "skipped": dict(tally.skipped.most_common()),
        "failed": dict(tally.failed.most_common()),
        "messages_by_day": {day.isoformat(): count for day, count in sorted(tally.days.items())},
        "limits": limits,
    }
