"""fixlify starter."""

from __future__ import annotations

import asyncio

import click

from cli.environment import settings_of_this_process
from fixlify.logs import configure_logging
from starter.service import run_starter
from starter.stopping import stop_on_signals, until_stopped


@click.command()
@click.option(
    "--relay/--no-relay",
    default=True,
    show_default=True,
    help="Relay events to workflows.",
)
@click.option("--http", is_flag=True, help="Serve the HTTP API, too; alone it needs no Temporal.")
@click.option("--host", help="Address the API listens on, instead of FIXLIFY_HTTP_HOST.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Port the API listens on, instead of FIXLIFY_HTTP_PORT; 0 for any free one.",
)
def starter(relay: bool, http: bool, host: str | None, port: int | None) -> None:
    """Run the relay, the HTTP API or both, until Ctrl-C or SIGTERM; several may run at once.

    Requests under way are answered first.
    """
    if not http and (host is not None or port is not None):
        raise click.UsageError("--host and --port are about the HTTP API; add --http.")
    if not http and not relay:
        raise click.UsageError("--no-relay leaves nothing to run; add --http.")
    settings = settings_of_this_process()
    configure_logging(settings.log_level, settings.log_format)

    async def run() -> None:
        stop = stop_on_signals()
        parts = []
        if http:
            # Imported late: half a second that a relay alone does not need.
            from starter.http.service import serve_http

            serving = serve_http(settings, stop, host=host, port=port)
            parts.append(asyncio.create_task(serving, name="http"))
        if relay:
            parts.append(asyncio.create_task(run_starter(settings, stop), name="relay"))
        try:
            await until_stopped(stop, *parts)
        finally:
            # If one failed, the other still ends in good order.
            stop.set()
            await asyncio.gather(*parts, return_exceptions=True)

    asyncio.run(run())
