"""A company's own templates: each language's versions, of which the newest counts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.automation import TemplateSource


@dataclass(frozen=True, slots=True)
class StoredTemplate:
    """One language of one template, as it stands.

    ``version`` counts the changes of the template in any language; this is the one that this
    language was last changed in. ``source`` is None where the row was edited by hand into
    something unreadable. ``is_default`` says that it was stored as the template's own language.
    """

    name: str
    locale: str
    version: int
    is_default: bool
    source: TemplateSource | None
    created_at: datetime


_NEWEST: Final = text("""
    SELECT DISTINCT ON (name, locale) name, locale, version, is_default, source, created_at
    FROM message_templates
    WHERE organization_id = :organization_id
    ORDER BY name, locale, version DESC
""")

_STORE: Final = text("""
    INSERT INTO message_templates (organization_id, name, locale, version, is_default, source)
    VALUES (:organization_id, :name, :locale, :version, :is_default, CAST(:source AS jsonb))
""")

_LOCALE: Final = text("SELECT locale FROM organizations WHERE id = :organization_id")


async def load_templates(
    connection: AsyncConnection, organization_id: UUID
) -> list[StoredTemplate]:
    """Return every language of every template of the organization, as it stands, by name."""
    rows = await connection.execute(_NEWEST, {"organization_id": organization_id})
    return [StoredTemplate(**{**row, "source": _source(row)}) for row in rows.mappings()]


async def store_template(
    connection: AsyncConnection,
    organization_id: UUID,
    name: str,
    version: int,
    sources: Mapping[str, TemplateSource],
    default_locale: str,
) -> None:
    """Store a new version of a template in the languages of *sources*; others stay as they are.

    The caller holds ``lock_automations``, so that nobody else takes the same *version*.
    """
    rows: Sequence[dict[str, Any]] = [
        {
            "organization_id": organization_id,
            "name": name,
            "locale": locale,
            "version": version,
            "is_default": locale == default_locale,
            "source": json.dumps(
                source.model_dump(exclude_none=True, exclude={"translations", "locale"})
            ),
        }
        for locale, source in sources.items()
    ]
    await connection.execute(_STORE, rows)


async def company_locale(connection: AsyncConnection, organization_id: UUID) -> str:
    """Return the company's own language and country, as its row has it."""
    locale: str | None = await connection.scalar(_LOCALE, {"organization_id": organization_id})
    return locale or "en_US"


def _source(row: Mapping[Any, Any]) -> TemplateSource | None:
    try:
        return TemplateSource.model_validate(row["source"])
    except ValidationError:
        return None
