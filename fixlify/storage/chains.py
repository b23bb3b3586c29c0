"""Chains: what an automation does to the business says which automations led to it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# Local to the transaction, as SET LOCAL is: the connection goes back to a pool.
_CARRY: Final = text("""
    SELECT set_config(
               'fixlify.chain', array_to_string(array_append(e.chain, e.automation_id), ','), true
           ),
           set_config('fixlify.cause', CAST(e.id AS text), true)
    FROM automation_execution_logs e
    WHERE e.id = :id
""")

# Anybody may write any id into a chain; no other company's automation is named for it.
_NAMES: Final = text("""
    SELECT a.organization_id, a.id, a.name
    FROM unnest(CAST(:organizations AS uuid[]), CAST(:ids AS uuid[]))
        AS chained (organization_id, id)
    JOIN automation_workflows a
      ON a.organization_id = chained.organization_id AND a.id = chained.id
""")


async def carry_chain(connection: AsyncConnection, execution_id: UUID) -> None:
    """Let every event recorded until the transaction ends say that this execution caused it.

    Its chain is the execution's own and then its automation, so that no automation is set off
    by what it did itself, however long the way round.

    Raises:
        LookupError: There is no such execution.
    """
    result = await connection.execute(_CARRY, {"id": execution_id})
    if result.one_or_none() is None:
        raise LookupError(f"there is no execution {execution_id}")


async def names_in_chains(
    connection: AsyncConnection, chained: Collection[tuple[UUID, UUID]]
) -> Mapping[tuple[UUID, UUID], str]:
    """Return what automations are called, by organization and id; those unknown are left out."""
    if not chained:
        return {}
    rows = await connection.execute(
        _NAMES,
        {
            "organizations": [organization for organization, _ in chained],
            "ids": [automation for _, automation in chained],
        },
    )
    return {(row.organization_id, row.id): row.name for row in rows}
