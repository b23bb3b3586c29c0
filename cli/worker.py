"""fixlify worker."""

from __future__ import annotations

import asyncio

import click

from cli.environment import settings_of_this_process
from fixlify.logs import configure_logging
from starter.stopping import stop_on_signals
from worker.process import run_worker


@click.command()
@click.option(
    "--relay/--no-relay",
    default=True,
    show_default=True,
    help="Also relay events to workflows, sharing the connection so that starts are faster.",
)
def worker(relay: bool) -> None:
    """Run workflows and sends (and the relay), until Ctrl-C or SIGTERM.

    What is under way is finished first; a second worker may run at any time.
    """
    settings = settings_of_this_process()
    configure_logging(settings.log_level, settings.log_format)

    async def run() -> None:
        await run_worker(settings, stop_on_signals(), relay=relay)

    asyncio.run(run())
