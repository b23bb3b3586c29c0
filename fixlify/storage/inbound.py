"""Text messages that come in: whose they are, who wrote them, and that each came in once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Addressees:
    """The companies that a text message is for.

    ``company`` gets it, and what it sets off; None where it is nobody's. ``sharing`` are all
    that its sender may mean, that one among them: a word that opts out holds for each.
    """

    company: UUID | None
    sharing: Sequence[UUID]


@dataclass(frozen=True, slots=True)
class ReceivedText:
    """A text message that is now recorded, and when it came in."""

    id: UUID
    received_at: datetime


@dataclass(frozen=True, slots=True)
class InboundText:
    """Who wrote a text message, and what.

    ``locale`` is the company's, for numbers without a country code. ``is_heard`` says that
    what it says about consent was recorded as it came in.
    """

    id: UUID
    organization_id: UUID
    client_id: UUID | None
    from_number: str | None
    to_number: str | None
    body: str | None
    provider_id: str | None
    locale: str | None
    is_heard: bool


@dataclass(frozen=True, slots=True)
class Company:
    """How a company calls itself, and how its clients reach it."""

    name: str
    phone: str | None
    email: str | None
    locale: str


_OF_NUMBER: Final = text("SELECT id FROM organizations WHERE sms_number = :number ORDER BY id")

_WROTE_TO: Final = text("""
    SELECT organization_id FROM messages
    WHERE recipient = :address AND channel = 'sms' AND sending_at IS NOT NULL
    GROUP BY organization_id
    ORDER BY max(sending_at) DESC, organization_id
""")

_FIRST_TWO: Final = text("SELECT id FROM organizations LIMIT 2")

# The gate's rule for one phone in two spellings: see messages.refusals. Of several clients the
# one who was written to last answers.
_THEIRS: Final = "regexp_replace(k.phone, '[^0-9]', '', 'g')"
_CLIENT_OF_PHONE: Final = text(f"""
    SELECT k.id FROM clients k
    WHERE k.organization_id = :organization_id
      AND right({_THEIRS}, 9) = right(:digits, 9)
      AND right(:digits, length(ltrim({_THEIRS}, '0'))) = ltrim({_THEIRS}, '0')
    ORDER BY (SELECT max(m.sending_at) FROM messages m
              WHERE m.organization_id = k.organization_id AND m.recipient_id = k.id
                AND m.recipient_kind = 'client' AND m.sending_at IS NOT NULL) DESC NULLS LAST,
             k.created_at DESC, k.id
    LIMIT 1
""")  # noqa: S608 - constants

# Told of twice it came in once, also where its company would be another by now.
_RECEIVE: Final = text("""
    INSERT INTO inbound_messages
        (organization_id, client_id, from_number, to_number, body, provider_id, received_at)
    SELECT :organization_id, :client_id, :from_number, :to_number, :body, :provider_id,
           clock_timestamp()
    WHERE NOT EXISTS (
        SELECT FROM inbound_messages
        WHERE organization_id = ANY(CAST(:sharing AS uuid[])) AND provider_id = :provider_id
    )
    ON CONFLICT (organization_id, provider_id) WHERE provider_id IS NOT NULL DO NOTHING
    RETURNING id, received_at
""")

_INBOUND_TEXTS: Final = text("""
    SELECT m.id, m.organization_id, m.client_id, m.from_number, m.to_number, m.body,
           m.provider_id, o.locale,
           m.provider_id IS NOT NULL AND EXISTS (
               SELECT FROM consent_records r
               WHERE r.organization_id = m.organization_id AND r.address = m.from_number
                 AND r.evidence ->> 'inbound_message_id' = CAST(m.id AS text)
           ) AS is_heard
    FROM inbound_messages m JOIN organizations o ON o.id = m.organization_id
    WHERE m.id = ANY(CAST(:ids AS uuid[]))
""")

_COMPANY: Final = text("""
    SELECT name, phone, email, locale FROM organizations WHERE id = :organization_id
""")


async def find_addressees(
    connection: AsyncConnection, *, to_number: str, from_number: str
) -> Addressees:
    """Return the companies that a text message is for.

    The one whose number it came to. Where several have that number, or none: the one that wrote
    to the sender last, of those. Else the only company there is.
    """
    of_number = list(await connection.scalars(_OF_NUMBER, {"number": to_number}))
    if len(of_number) == 1:
        return Addressees(of_number[0], of_number)
    wrote = list(await connection.scalars(_WROTE_TO, {"address": from_number}))
    if of_number:
        wrote = [each for each in wrote if each in of_number]
        # They all have the number that somebody answers, and nobody knows whom.
        return Addressees(wrote[0], wrote) if wrote else Addressees(None, of_number)
    if not wrote:
        everybody = list(await connection.scalars(_FIRST_TWO))
        wrote = everybody if len(everybody) == 1 else []
    return Addressees(wrote[0] if wrote else None, wrote)


async def find_client_of_phone(
    connection: AsyncConnection, organization_id: UUID, number: str
) -> UUID | None:
    """Return whose phone *number* (E.164) is, as people write phones; None where nobody's is."""
    found: UUID | None = await connection.scalar(
        _CLIENT_OF_PHONE, {"organization_id": organization_id, "digits": number.lstrip("+")}
    )
    return found


async def receive_text(
    connection: AsyncConnection,
    addressees: Addressees,
    *,
    client_id: UUID | None,
    from_number: str,
    to_number: str,
    body: str,
    provider_id: str,
) -> ReceivedText | None:
    """Record a text message of the addressees' company, which sets off ``sms_received``.

    Returns:
        None where it came in before.
    """
    rows = await connection.execute(
        _RECEIVE,
        {
            "organization_id": addressees.company,
            "client_id": client_id,
            "from_number": from_number,
            "to_number": to_number,
            "body": body,
            "provider_id": provider_id,
            "sharing": list(addressees.sharing),
        },
    )
    row = rows.mappings().one_or_none()
    return ReceivedText(**row) if row else None


async def inbound_texts(connection: AsyncConnection, ids: Sequence[UUID]) -> list[InboundText]:
    """Return who wrote these text messages; those that are gone are missing."""
    rows = await connection.execute(_INBOUND_TEXTS, {"ids": list(ids)})
    return [InboundText(**row) for row in rows.mappings()]


async def read_company(connection: AsyncConnection, organization_id: UUID) -> Company:
    """Return how the company is reached."""
    rows = await connection.execute(_COMPANY, {"organization_id": organization_id})
    return Company(**rows.mappings().one())
