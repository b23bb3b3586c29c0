"""fixlify starter."""

from __future__ import annotations

import asyncio

import click

from cli.environment import settings_of_this_process
from fixlify.logs import configure_logging
from starter.service import run_starter
from starter.stopping import stop_on_signals


@click.command()
def starter() -> None:
    """Run the relay alone, until Ctrl-C or SIGTERM; several may run at once."""
    settings = settings_of_this_process()
    configure_logging(settings.log_level, settings.log_format)

    async def run() -> None:
        await run_starter(settings, stop_on_signals())

    asyncio.run(run())
