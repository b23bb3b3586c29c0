"""What people do on such a day: pause a channel, stop a company, and let both go on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from benchmarks.chaos.companies import Companies

# A command finds the database or Temporal away as everybody does, and is typed again.
_PATIENCE: Final = timedelta(seconds=30)
_TYPED_AGAIN: Final = timedelta(seconds=1)

Command = Callable[..., Awaitable[bool]]
"""Runs ``fixlify …``; whether it did what was asked."""


@dataclass(frozen=True, slots=True)
class Act:
    """One command, at a fraction of the day."""

    at: float
    arguments: Sequence[str]


def acts_of(companies: Companies) -> Sequence[Act]:
    """Return what is done on every day, in its order."""
    stopped = str(companies.stopped.organization_id)
    return (
        Act(0.20, ("channels", "pause", "sms", "--reason", "the number moves")),
        Act(0.28, ("channels", "resume", "sms")),
        Act(0.55, ("stop", "--organization", stopped, "--reason", "a wrong price")),
        Act(0.68, ("resume", "--organization", stopped)),
    )


async def live_through(companies: Companies, command: Command, lasting: timedelta) -> None:
    """Do all of it, spread over a day of that length.

    Raises:
        TimeoutError: A command was typed for half a minute and never worked.
    """
    loop = asyncio.get_running_loop()
    begin = loop.time()
    for act in acts_of(companies):
        await asyncio.sleep(max(0.0, begin + act.at * lasting.total_seconds() - loop.time()))
        await _typed(command, act.arguments)


async def let_go_on(companies: Companies, command: Command) -> None:
    """Lift what is still held, as whoever stopped it does once everything is up again.

    A run that could not be told the first time, because Temporal was away, would look again by
    itself, in a quarter of an hour.
    """
    for act in acts_of(companies):
        if "resume" in act.arguments:
            await _typed(command, act.arguments)


async def _typed(command: Command, arguments: Sequence[str]) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + _PATIENCE.total_seconds()
    while not await command(*arguments):
        if loop.time() > end:
            asked = " ".join(arguments)
            raise TimeoutError(f"`fixlify {asked}` did not work for {_PATIENCE}")
        await asyncio.sleep(_TYPED_AGAIN.total_seconds())
