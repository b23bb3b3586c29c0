"""Do everything slow once before the first message waits for it."""

from __future__ import annotations

import asyncio
import gc
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from fixlify.channels import EmailChannel, SmsChannel
from fixlify.domain.errors import FixlifyError, TransportError
from fixlify.domain.facts import Client, Facts, Job, Organization
from fixlify.rendering import render_email, render_sms, shipped_templates
from fixlify.storage.database import Database

_CONNECTIONS: Final = 4
# Sample values for every filter's first use; nobody is ever written to.
_SAMPLE: Final = Facts(
    organization=Organization(id=UUID(int=0), name="Sample"),
    client=Client(id=UUID(int=0), first_name="Sample"),
    job=Job(id="sample"),
)

_log = structlog.get_logger(__name__)


async def warm_up(database: Database, email: EmailChannel, sms: SmsChannel) -> None:
    """Open connections, load what is loaded late, and tell what cannot be reached.

    Nothing here is needed: what fails is logged, and tried again when a message needs it.
    """
    await asyncio.gather(
        _reach("email", email),
        _reach("sms", sms),
        *(_open_connection(database) for _ in range(_CONNECTIONS)),
    )
    _render_samples()
    # What is alive now stays alive; not looking through it again keeps every later collection
    # short, and the slowest messages with it.
    gc.collect()
    gc.freeze()


async def _reach(name: str, channel: EmailChannel | SmsChannel) -> None:
    try:
        await channel.check()
    except TransportError as error:
        _log.warning(
            "A channel cannot be used now; its messages wait.", channel=name, reason=str(error)
        )


async def _open_connection(database: Database) -> None:
    try:
        async with database.statement() as connection:
            await connection.execute(text("SELECT pg_sleep(0.02)"))
    except (SQLAlchemyError, OSError) as error:
        _log.warning("The database cannot be reached.", error=str(error).partition("\n")[0])


def _render_samples() -> None:
    for source in shipped_templates().values():
        try:
            if source.text is not None:
                render_email(source, _SAMPLE)
            if source.sms is not None:
                render_sms(source, _SAMPLE)
        except FixlifyError:
            # A template may want more than the sample has; it is compiled now all the same.
            continue
