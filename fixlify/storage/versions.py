"""The versions of an automation: what each says, since when, and who still runs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.automation import PinnedDefinition


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """One version; ``pinned`` is None where it was edited by hand into something unreadable.

    ``open_runs`` are the executions that are not over and run it.
    """

    version: int
    created_at: datetime
    is_current: bool
    pinned: PinnedDefinition | None
    open_runs: int


# The open ones have an index each, by organization and by time.
_OPEN_RUNS: Final = """
    SELECT automation_version AS version, count(*) AS open_runs
    FROM (
        SELECT automation_version FROM automation_execution_logs
        WHERE organization_id = :organization_id AND automation_id = :automation_id
          AND status IN ('running', 'waiting')
        UNION ALL
        SELECT automation_version FROM automation_execution_logs
        WHERE organization_id = :organization_id AND automation_id = :automation_id
          AND status = 'pending'
    ) AS open
    GROUP BY automation_version
"""

_VERSIONS: Final = text(f"""
    SELECT v.version, v.created_at, v.version = a.version AS is_current, v.pinned,
           coalesce(o.open_runs, 0) AS open_runs
    FROM automation_workflows a
    JOIN automation_workflow_versions v ON v.automation_id = a.id
    LEFT JOIN ({_OPEN_RUNS}) AS o ON o.version = v.version
    WHERE a.id = :automation_id
    ORDER BY v.version DESC
""")  # noqa: S608 - a constant of this module


async def list_versions(
    connection: AsyncConnection, organization_id: UUID, automation_id: UUID
) -> list[StoredVersion]:
    """Return every version of an automation, the newest first."""
    rows = await connection.execute(
        _VERSIONS, {"organization_id": organization_id, "automation_id": automation_id}
    )
    return [StoredVersion(**{**row, "pinned": _pinned(row)}) for row in rows.mappings()]


def _pinned(row: Mapping[Any, Any]) -> PinnedDefinition | None:
    try:
        return PinnedDefinition.model_validate(row["pinned"])
    except ValidationError:
        return None
