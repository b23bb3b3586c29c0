"""Who a message goes to: a person of the subject, an address in a field, a fixed one."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, field_validator
from pydantic_core import PydanticCustomError

from fixlify.domain.facts import ORIGIN_ALIASES, fact_names, is_event_field
from fixlify.domain.models import Frozen
from fixlify.domain.names import did_you_mean


class Recipient(StrEnum):
    """A person of the subject, or of the company; ``owner`` is the profile of that role."""

    CLIENT = "client"
    TECHNICIAN = "technician"
    OWNER = "owner"


class FieldRecipient(Frozen):
    """The address that a field holds when the message is written, such as ``event.email``."""

    field: str

    @field_validator("field")
    @classmethod
    def _field_exists(cls, field: str) -> str:
        name = ORIGIN_ALIASES.get(field, field)
        if name in fact_names() or is_event_field(name):
            return name
        raise PydanticCustomError(
            "unknown_field",
            "unknown field '{field}'; {hint}",
            {"field": field, "hint": did_you_mean(field, fact_names())},
        )


class FixedRecipient(Frozen):
    """One address, whatever the automation is about: the office's own, say."""

    address: Annotated[str, Field(min_length=3, max_length=320)]


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return "field" if "field" in value else "address"
    if isinstance(value, FieldRecipient):
        return "field"
    return "address" if isinstance(value, FixedRecipient) else "person"


SendTo = Annotated[
    Annotated[Recipient, Tag("person")]
    | Annotated[FieldRecipient, Tag("field")]
    | Annotated[FixedRecipient, Tag("address")],
    Discriminator(_kind),
]
"""``client``, ``technician``, ``owner``, ``{field: …}`` or ``{address: …}``."""


def recipient_kind(to: SendTo) -> str:
    """Return the one word the ledger and the Web UI have for *to*; never an address.

    An address out of the client's own record is the client: the same consent, the same hours.
    """
    if isinstance(to, Recipient):
        return to.value
    if isinstance(to, FieldRecipient):
        return "client" if to.field.startswith("client.") else "field"
    return "address"
