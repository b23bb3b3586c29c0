"""fixlify email-report: take a mail that came back, from a file or from a mailbox's pipe."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Final

import click

from cli.database import explained_database_errors
from cli.environment import settings_of_this_process
from cli.main import Failure
from cli.output import console, counted, json_option, print_json
from cli.scope import engine_database
from fixlify.channels.email.reports import LONGEST_READ, read_reports
from fixlify.domain.errors import ConfigurationError
from starter.callbacks.email import EmailEventsReceipt, EmailReports, events_of, receipt_of

STDIN: Final = Path("-")


class TryLater(Failure):
    """The mail could not be taken now; a mail server that pipes it here tries again."""

    # EX_TEMPFAIL of sysexits.h. Any other code, and the report itself would come back.
    exit_code = 75


@click.command(name="email-report")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, allow_dash=True))
@json_option
def email_report(file: Path, as_json: bool) -> None:
    """Record what a mail that came back says of our messages; - reads standard input.

    Mail that is no delivery-status report, and one that is about no message of ours, change
    nothing and are no mistake. Exits with 75 where the database is away.
    """
    mail = _read(file)

    async def run() -> EmailEventsReceipt:
        async with engine_database(settings_of_this_process()) as database:
            return receipt_of(await EmailReports(database).apply(events_of(read_reports(mail))))

    try:
        with explained_database_errors():
            receipt = asyncio.run(run())
    except ConfigurationError as error:
        raise TryLater(str(error)) from error
    if as_json:
        print_json(receipt.model_dump())
    elif receipt == EmailEventsReceipt():
        console.print("It reports nothing about a message.")
    else:
        console.print(
            f"{counted(receipt.recorded, 'report')} recorded, {receipt.unchanged} told before, "
            f"{receipt.ignored} about no message of ours."
        )


def _read(file: Path) -> bytes:
    if file == STDIN:
        # All of it: a mail server whose pipe closes early takes the mail for refused.
        return sys.stdin.buffer.read()[:LONGEST_READ]
    try:
        with file.open("rb") as opened:
            return opened.read(LONGEST_READ)
    except OSError as error:
        raise Failure(f"{file} cannot be read: {(error.strerror or str(error)).lower()}") from None
