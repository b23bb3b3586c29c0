"""An email that went out, for tests of what comes back to it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from fixlify.domain.rules import MessageClass
from fixlify.domain.runs import MessageStatus
from fixlify.storage.consent import list_opt_outs, list_suppressions
from fixlify.storage.database import Database
from fixlify.storage.messages import Channel, Ledger, Report, enter_messages
from tests.office import Office
from tests.runs import add_execution, new_message

SECRET = "a key for links that nobody guesses"
TOKEN = "a token for callbacks that nobody guesses"
PUBLIC = "https://automations.example.com"


async def add_email(office: Office, database: Database, **fields: Any) -> UUID:
    """Enter a marketing email to the newest client, or what *fields* make of it; queued."""
    execution_id = await add_execution(office)
    defaults = {
        "step_id": "mail",
        "channel": Channel.EMAIL,
        "message_class": MessageClass.MARKETING,
        "recipient": "ada@example.com",
        "subject": "Offers",
        "body_text": "Come back.",
        "recipient_id": office.newest_client_id,
    }
    message = new_message(office, execution_id, **(defaults | fields))
    async with database.statement() as connection:
        entered = await enter_messages(connection, execution_id, [message])
    return entered[message.step_id].id


async def send_email(office: Office, database: Database, **fields: Any) -> UUID:
    """Enter such an email, and let a mail server take it."""
    message_id = await add_email(office, database, **fields)
    async with database.transaction() as connection:
        ledger = Ledger(connection, message_id, office.organization_id)
        await ledger.claim(datetime.now(UTC))
        await ledger.accepted(Report("smtp", MessageStatus.SENT))
    return message_id


async def opt_outs(office: Office, database: Database, client_id: UUID) -> list[tuple[Any, str]]:
    """Return what the client wants no email of: the class, None for all of it, and the source."""
    async with database.statement() as connection:
        said = await list_opt_outs(connection, office.organization_id, client_id)
    return [(each.message_class, each.source) for each in said if each.channel is Channel.EMAIL]


async def suppressions(office: Office, database: Database) -> list[tuple[str, str, str]]:
    """Return the addresses that get no email, each with its reason and source."""
    async with database.statement() as connection:
        found = await list_suppressions(
            connection, office.organization_id, 100, channel=Channel.EMAIL
        )
    return [(each.address, each.reason, each.source) for each in found]


async def evidence(office: Office) -> list[dict[str, Any]]:
    """Return the evidence of what people said, oldest first."""
    return await office.query(
        "SELECT * FROM consent_records WHERE organization_id = %s ORDER BY id",
        office.organization_id,
    )
