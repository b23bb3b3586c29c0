"""fixlify dev: the whole engine on one machine, until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
from rich.table import Table

from cli.environment import home
from cli.output import console
from devstack.postgres import DATABASE, EmbeddedPostgres


@click.command()
@click.option(
    "--worker/--no-worker",
    default=True,
    show_default=True,
    help="Also run a worker with its relay in this process.",
)
@click.option(
    "--sample/--no-sample",
    default=True,
    show_default=True,
    help="Enter a sample company into an embedded database that has none.",
)
def dev(worker: bool, sample: bool) -> None:
    """Run Postgres, Temporal with its Web UI, a mailbox, a phone and a worker here.

    Data stays in .fixlify (or FIXLIFY_HOME) and is there again next time. Whatever
    FIXLIFY_DATABASE_URL, TEMPORAL_ADDRESS, FIXLIFY_SMTP_URL or TWILIO_ACCOUNT_SID name is
    used instead of an embedded one.
    """
    asyncio.run(_run(worker=worker, sample=sample))


async def _run(*, worker: bool, sample: bool) -> None:
    from cli.sample import enter_sample
    from devstack.stack import DevStack
    from fixlify.logs import configure_logging
    from fixlify.settings import load_settings
    from fixlify.storage.migrations import migrate
    from starter.stopping import stop_on_signals, until_stopped
    from worker.process import run_worker

    stop = stop_on_signals()
    async with DevStack(home(), environment=os.environ) as stack:
        # Temporal's own configuration reads the environment too.
        os.environ.update(stack.environment())
        settings = load_settings()
        configure_logging(settings.log_level, settings.log_format)
        await asyncio.to_thread(migrate, settings.database_url.get_secret_value())
        sampled = sample and stack.postgres is not None
        if sampled:
            await enter_sample(settings.database_url.get_secret_value())
        _show(stack.environment(), stack.ui_url, _psql(stack.postgres), sampled=sampled)
        parts = [asyncio.create_task(stack.wait(), name="stack")]
        if worker:
            parts.append(asyncio.create_task(run_worker(settings, stop), name="worker"))
        try:
            await until_stopped(stop, *parts)
        finally:
            # Workers first, while everything they need is still there.
            stop.set()
            await asyncio.gather(*parts[1:], return_exceptions=True)
            parts[0].cancel()
            await asyncio.gather(parts[0], return_exceptions=True)
    console.print("Stopped; the data stays in", str(home()))


def _psql(postgres: EmbeddedPostgres | None) -> str:
    """Return the command that opens the database, with its password in a file and not in it."""
    if postgres is None:
        return "your own, from FIXLIFY_DATABASE_URL"
    url = urlsplit(postgres.dsn(DATABASE))
    pgpass = home() / "pgpass"
    pgpass.unlink(missing_ok=True)
    pgpass.touch(mode=0o600)
    pgpass.write_text(f"{url.hostname}:{url.port}:*:{url.username}:{unquote(url.password or '')}")
    where = f"-h {url.hostname} -p {url.port} -U {url.username} {DATABASE}"
    return f"PGPASSFILE={_short(pgpass)} psql {where}"


def _short(path: Path) -> str:
    """Return *path* as seen from here, when it is below here."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _show(environment: dict[str, str], ui_url: str | None, psql: str, *, sampled: bool) -> None:
    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    table.add_row("Web UI", ui_url or "not ours; see your Temporal")
    table.add_row("Database", psql)
    table.add_row("Temporal", environment["TEMPORAL_ADDRESS"])
    table.add_row("Mail", "captured in " + _short(home() / "mail"))
    table.add_row("SMS", "captured in " + _short(home() / "sms"))
    console.print()
    console.print("[bold]Fixlify is running.[/bold] Ctrl-C stops everything.")
    console.print(table)
    console.print("In another terminal: [bold]uv run fixlify doctor[/bold]")
    if sampled:
        console.print(
            "To see something happen, in psql: "
            "[bold]UPDATE jobs SET status = 'completed' WHERE id = 'J-2019';[/bold]\n"
            "and then: [bold]uv run fixlify executions list[/bold]"
        )
    console.print()
