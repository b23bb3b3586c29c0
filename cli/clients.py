"""CLIENT on the command line: an id, an email or a phone number."""

from __future__ import annotations

from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from cli.output import printable
from fixlify.domain.errors import NotFoundError
from fixlify.domain.facts import Organization
from fixlify.storage.timeline import KnownClient, find_clients

_CANDIDATES: Final = 10


async def find_client(
    connection: AsyncConnection, organization: Organization, wanted: str
) -> KnownClient:
    """Return the one client that *wanted* is the id, the email or the phone of.

    Raises:
        NotFoundError: There is none, or there are several; the message lists them.
    """
    found = await find_clients(connection, organization.id, wanted, _CANDIDATES)
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotFoundError(
            f"{organization.name} has no client '{printable(wanted)}'; give an id, an email, or "
            "a phone number with its area code, as the clients table has it"
        )
    listed = "\n".join(f"  {each.id}  {printable(each.name)}" for each in found)
    raise NotFoundError(f"several clients are '{printable(wanted)}'; give the id:\n{listed}")
