"""fixlify dev: the whole engine on one machine, until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

import click
from rich.text import Text

from cli.environment import home, require_devstack
from cli.output import console
from devstack.ports import LOOPBACK
from devstack.postgres import DATABASE, EmbeddedPostgres

if TYPE_CHECKING:
    from devstack.stack import DevStack

_SAMPLE_CHANGE: Final = "UPDATE jobs SET status = 'completed' WHERE id = 'J-2019';"


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
    """Run Postgres, Temporal with its Web UI, a mailbox, a phone, a worker and the HTTP API here.

    Data stays in .fixlify (or FIXLIFY_HOME) and is there again next time. Whatever
    FIXLIFY_DATABASE_URL, TEMPORAL_ADDRESS, FIXLIFY_SMTP_URL or TWILIO_ACCOUNT_SID name is
    used instead of an embedded one.
    """
    require_devstack()
    asyncio.run(_run(worker=worker, sample=sample))


async def _run(*, worker: bool, sample: bool) -> None:
    from cli.sample import enter_sample
    from devstack.stack import DevStack
    from fixlify.logs import configure_logging
    from fixlify.settings import load_settings
    from fixlify.storage.migrations import migrate
    from starter.http.service import serve_http
    from starter.stopping import stop_on_signals, until_stopped
    from worker.process import run_worker

    stop = stop_on_signals()
    async with DevStack(home(), api=True, environment=os.environ) as stack:
        # Temporal's own configuration reads the environment too.
        os.environ.update(stack.environment())
        settings = load_settings()
        configure_logging(settings.log_level, settings.log_format)
        await asyncio.to_thread(migrate, settings.database_url.get_secret_value())
        sampled = sample and stack.postgres is not None
        if sampled:
            await enter_sample(settings.database_url.get_secret_value())
        port = stack.api_port
        _show(_places(stack, f"http://{LOOPBACK}:{port}/api/v1"), sampled=sampled)
        parts = [
            asyncio.create_task(stack.wait(), name="stack"),
            asyncio.create_task(serve_http(settings, stop, host=LOOPBACK, port=port), name="api"),
        ]
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


def _fixlify() -> str:
    """Return how a person starts this program from here, whether or not they have uv."""
    program = Path(sys.prefix, "bin", "fixlify")
    return _short(program) if program.is_relative_to(Path.cwd()) else "fixlify"


def _places(stack: DevStack, api_url: str) -> dict[str, str]:
    """Return where everything is, by what it is called."""
    return {
        "Web UI": stack.ui_url or "not ours; see your Temporal",
        "API": f"{api_url}; `{_fixlify()} keys create NAME` makes a key",
        "Database": _psql(stack.postgres),
        "Temporal": stack.environment()["TEMPORAL_ADDRESS"],
        "Mail": "captured in " + _short(home() / "mail"),
        "SMS": "captured in " + _short(home() / "sms"),
    }


def _show(places: Mapping[str, str], *, sampled: bool) -> None:
    hints = [("In another terminal", f"{_fixlify()} doctor")]
    if sampled:
        hints += [
            ("To see something happen, in psql", _SAMPLE_CHANGE),
            ("and then", f"{_fixlify()} executions list"),
        ]
    console.print()
    console.print("[bold]Fixlify is running.[/bold] Ctrl-C stops everything.\n")
    # Left to the terminal to break, so that what is copied has no line breaks of ours in it.
    for label, fact in places.items():
        console.print(Text.assemble((f"{label:<10}", "dim"), fact), soft_wrap=True)
    for label, command in hints:
        console.print(f"\n{label}:")
        console.print(Text(f"  {command}", style="bold"), soft_wrap=True)
    console.print()
