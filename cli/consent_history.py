"""What was ever said about messages: keep what is entered by hand, and show all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from getpass import getuser
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from cli.listing import Column, Line, print_listing
from cli.output import console, local
from fixlify.domain.rules import MessageClass
from fixlify.storage.consent import ConsentRecord, record_consent
from fixlify.storage.messages import Channel

SOURCE: Final = "cli"
"""By which way it came: an employee entered it."""
MOST_RECORDS: Final = 100
"""More than anybody says of themselves; the newest are shown."""

_COLUMNS: Final = (
    Column("WHEN"),
    Column("WANTS"),
    Column("SAID BY"),
    Column("EVIDENCE", shrinks=True),
)


async def keep_evidence(
    connection: AsyncConnection,
    organization_id: UUID,
    *,
    channel: Channel,
    wants: bool,
    client_id: UUID | None = None,
    address: str | None = None,
    message_class: MessageClass | None = None,
    evidence: Mapping[str, str] | None = None,
) -> None:
    """Keep who entered it on this machine, beside *evidence*."""
    await record_consent(
        connection,
        organization_id,
        client_id=client_id,
        channel=channel,
        message_class=message_class,
        address=address,
        wants=wants,
        source=SOURCE,
        evidence={"entered_by": _user(), **(evidence or {})},
        said_at=datetime.now(UTC),
    )


def print_history(records: Sequence[ConsentRecord]) -> None:
    """Print *records*; nothing where there are none."""
    if not records:
        return
    console.print("\nWhat was said, the newest first:\n")
    print_listing(console, _COLUMNS, [_line(each) for each in records])


def record_document(each: ConsentRecord) -> dict[str, Any]:
    """Return *each* for ``--json``; without a class it is about the whole channel."""
    return {
        "channel": each.channel,
        "message_class": each.message_class,
        "address": each.address,
        "wants": each.wants,
        "source": each.source,
        "evidence": each.evidence,
        "said_at": each.said_at,
        "recorded_at": each.recorded_at,
    }


def what_of(channel: Channel, message_class: MessageClass | None) -> str:
    """Return which messages are meant, in words: ``marketing text messages``."""
    kind = f"{message_class} " if message_class else ""
    return f"{kind}{'email' if channel is Channel.EMAIL else 'text messages'}"


def _line(each: ConsentRecord) -> Line:
    what = what_of(each.channel, each.message_class)
    evidence = ", ".join(f"{name} {value}" for name, value in each.evidence.items())
    return Line(
        (local(each.said_at) or "", what if each.wants else f"no {what}", each.source, evidence)
    )


def _user() -> str:
    try:
        return getuser()
    except (OSError, KeyError):
        # A container's user may have no name.
        return "somebody without a name"
